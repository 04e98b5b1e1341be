"""What the dashboards are made of: panels of Grafana, laid out from left to right. Which panels there are is in boards/.

Queries say FILTER where the variables of a dashboard narrow a gateway's series, and PUSHED where they narrow the keeper's,
which come from jobs that have ended.
"""

import json

# Grafana 11; newer ones bring it forward themselves.
SCHEMA_VERSION = 39
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
FILTER = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
PUSHED = 'namespace=~"$namespace"'
WIDTH = 24


def query(text):
    """A query with its filters."""
    return " ".join(text.split()).replace("FILTER", FILTER).replace("PUSHED", PUSHED)


def rate(name, by="", match=""):
    """The rate of a counter over all replicas, by labels."""
    inner = "{" + (match + "," if match else "") + "FILTER}"
    grouping = f" by ({by})" if by else ""
    return f"sum{grouping} (rate(stagedoor_{name}{inner}[$__rate_interval]))"


def quantile(q, name, by=""):
    """A quantile of a histogram over all replicas, by labels besides `le`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({q}, sum by ({labels}) (rate(stagedoor_{name}_bucket{{FILTER}}[$__rate_interval])))"


def _panel(kind, title, description, queries, width, height, unit, **more):
    targets = [
        {
            "refId": chr(ord("A") + at),
            "datasource": SOURCE,
            "editorMode": "code",
            "expr": query(expr),
            "legendFormat": legend,
            "range": kind != "table",
            "instant": kind == "table",
            **({"format": "table"} if kind == "table" else {}),
        }
        for at, (expr, legend) in enumerate(queries)
    ]
    defaults = {"unit": unit, **more.pop("defaults", {})}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
        "fieldConfig": {"defaults": defaults, "overrides": more.pop("overrides", [])},
        "targets": targets,
        **more,
    }


def _steps(limits):
    """Colours from limits: green, and from each on the next one."""
    colours = ["green", "orange", "red"]
    steps = [{"color": colours[0], "value": None}]
    steps += [{"color": colour, "value": limit} for colour, limit in zip(colours[1:], limits)]
    return {"mode": "absolute", "steps": steps}


def lines(title, description, unit, *queries, width=8, height=8, stacked=False, limits=(), least=0):
    """Figures over time; `limits` are drawn as lines where somebody is to look."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 25 if stacked else 8,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }
    defaults = {"min": least, "custom": custom, "color": {"mode": "palette-classic"}}
    if limits:
        defaults["thresholds"] = _steps(limits)
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return _panel("timeseries", title, description, queries, width, height, unit, defaults=defaults, options=options)


def figure(title, description, unit, expr, width=4, limits=(), lower_is_worse=False, decimals=None):
    """One figure of now, coloured by limits."""
    steps = _steps(limits)
    if lower_is_worse:
        warning, failing = limits
        steps["steps"] = [
            {"color": "red", "value": None},
            {"color": "orange", "value": failing},
            {"color": "green", "value": warning},
        ]
    defaults = {"thresholds": steps, "color": {"mode": "thresholds" if limits else "fixed", "fixedColor": "text"}}
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    }
    return _panel("stat", title, description, [(expr, "")], width, 4, unit, defaults=defaults, options=options)


def table(title, description, unit, expr, *columns, width=12, height=10, limits=()):
    """Figures of now, one row for each set of labels; `columns` are labels and their headings, the figure's last."""
    *labels, (_, heading) = columns
    names = {**dict(labels), "Value": heading}
    transformations = [
        {"id": "labelsToFields", "options": {"mode": "columns"}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {name: at for at, name in enumerate(names)},
                "renameByName": names,
            },
        },
        {"id": "sortBy", "options": {"sort": [{"field": heading, "desc": True}]}},
    ]
    cell = {"id": "custom.cellOptions", "value": {"type": "color-text" if limits else "auto"}}
    overrides = [
        {
            "matcher": {"id": "byName", "options": heading},
            "properties": [cell, {"id": "thresholds", "value": _steps(limits)}, {"id": "unit", "value": unit}],
        }
    ]
    options = {"showHeader": True, "cellHeight": "sm"}
    more = {"overrides": overrides, "options": options, "transformations": transformations}
    return _panel("table", title, description, [(expr, "")], width, height, "none", **more)


def text(title, content, width=24, height=5):
    """Words in Markdown."""
    return {
        "type": "text",
        "title": title,
        "description": "What this dashboard does not show, and where it is.",
        "gridPos": {"w": width, "h": height, "x": 0, "y": 0},
        "options": {"mode": "markdown", "content": content},
    }


def row(title):
    """A heading over the panels behind it."""
    return {"type": "row", "title": title, "collapsed": False, "gridPos": {"w": WIDTH, "h": 1, "x": 0, "y": 0}, "panels": []}


def _laid_out(panels):
    x = y = tallest = 0
    for number, panel in enumerate(panels, start=1):
        place = panel["gridPos"]
        if x + place["w"] > WIDTH:
            x, y, tallest = 0, y + tallest, 0
        place["x"], place["y"] = x, y
        x, tallest = x + place["w"], max(tallest, place["h"])
        panel["id"] = number
    return panels


def _choice(name, label, metric):
    return {
        "type": "query",
        "name": name,
        "label": label,
        "datasource": SOURCE,
        "query": {"query": f"label_values({metric}, {name})", "refId": name},
        "definition": f"label_values({metric}, {name})",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        # Also where series have no such label.
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def board(uid, title, description, panels, up="stagedoor_requests_in_flight"):
    """A dashboard as Grafana imports it: whatever Prometheus it finds there, no id of anyone's. Replicas are those that
    have the metric `up`.
    """
    source = {
        "type": "datasource",
        "name": "datasource",
        "label": "Prometheus",
        "query": "prometheus",
        "refresh": 1,
        "current": {},
        "hide": 0,
    }
    variables = [source, _choice("namespace", "Namespace", up), _choice("job", "Job", up), _choice("instance", "Replica", up)]
    alerts = {
        "name": "Alerts",
        "datasource": SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'max by (alertname, severity) (ALERTS{alertname=~"Stagedoor.+",alertstate="firing"})',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
        "step": "60s",
    }
    others = {
        "type": "dashboards",
        "title": "Stagedoor",
        "tags": ["stagedoor"],
        "asDropdown": True,
        "includeVars": True,
        "keepTime": True,
    }
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["stagedoor"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": variables},
        "annotations": {"list": [alerts]},
        "links": [others],
        "panels": _laid_out(panels),
    }


def written(dashboard):
    """The dashboard's file."""
    return json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
