"""Checks dashboards, alert rules and runbooks against each other; `--write` first writes the dashboards' files.

Whether their queries name series that there are is for tests/it/dashboards.rs, which asks a running gateway and the keeper.
"""

import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import boards
import panels

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = ROOT / "charts/stagedoor/dashboards"
RULES = ROOT / "docs/alerts.yaml"
TESTS = [ROOT / "docs/alerts.test.yaml", ROOT / "docs/alerts.days.test.yaml"]
RUNBOOKS = ROOT / "docs/runbooks"

# What Grafana puts in for its variables, good enough to parse.
STAND_INS = [("$__rate_interval", "5m"), ("$__range", "6h"), ("$__interval", "1m")]
# What Grafana knows of the units that are in use.
UNITS = {"none", "s", "bytes", "Bps", "reqps", "ops", "percent", "percentunit"}
KINDS = {"row", "timeseries", "stat", "table", "text"}
# A ConfigMap may have a mebibyte, and a client that applies it keeps a second copy in an annotation.
MOST_BYTES = 256 * 1024

faults = []


def fault(where, what):
    faults.append(f"{where}: {what}")


def queries(board):
    """Each query of a dashboard with where it is."""
    for panel in board["panels"]:
        for target in panel.get("targets", []):
            yield f"{panel['title']} {target['refId']}", target["expr"], target["legendFormat"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"], ""


def check_files(write):
    """The files are those that the boards make, and no other."""
    for name, board in boards.ALL.items():
        path = FILES / name
        if write:
            path.write_text(panels.written(board), encoding="utf-8")
        if not path.is_file() or path.read_text(encoding="utf-8") != panels.written(board):
            fault(name, "is not what tests/dashboards/boards makes: run `just dashboards --write`")
        elif path.stat().st_size > MOST_BYTES:
            fault(name, f"takes {path.stat().st_size} bytes, more than {MOST_BYTES}")
    for path in FILES.iterdir():
        if path.name not in boards.ALL:
            fault(path.name, "is no dashboard of tests/dashboards/boards")


def check_board(name, board):
    """What Grafana needs, and what somebody who looks at it does."""
    if board["schemaVersion"] < panels.SCHEMA_VERSION or "id" in board:
        fault(name, "has an old schema, or the id of one Grafana")
    variables = {variable["name"] for variable in board["templating"]["list"]}
    titles, taken = set(), set()
    for panel in board["panels"]:
        title = panel["title"]
        if panel["type"] not in KINDS:
            fault(name, f"{title}: unknown kind {panel['type']}")
        if panel["type"] == "row":
            continue
        if title in titles:
            fault(name, f"two panels are called {title}")
        titles.add(title)
        if not panel["description"].strip().endswith("."):
            fault(name, f"{title}: no description")
        place = panel["gridPos"]
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        if cells & taken or place["x"] + place["w"] > panels.WIDTH:
            fault(name, f"{title}: does not fit where it is")
        taken |= cells
        if panel["type"] == "text":
            continue
        if panel["fieldConfig"]["defaults"]["unit"] not in UNITS:
            fault(name, f"{title}: unknown unit")
        if not panel["targets"]:
            fault(name, f"{title}: shows nothing")
    for uid in re.findall(r'"uid": "([^"]+)"', json.dumps(board["panels"] + board["annotations"]["list"])):
        if uid != "${datasource}":
            fault(name, f"names the data source {uid} of one Grafana")
    if len({panel["id"] for panel in board["panels"]}) != len(board["panels"]):
        fault(name, "two panels have one id")
    for where, expr, legend in queries(board):
        for variable in re.findall(r"\$\{?(\w+)", expr):
            if variable not in variables and not variable.startswith("__"):
                fault(name, f"{where}: no variable is called {variable}")
        if "FILTER" in expr or "PUSHED" in expr:
            fault(name, f"{where}: a filter was not put in")
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
        grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expr) for label in by.split(",")}
        recorded = {"slo"} if "stagedoor:" in expr else set()
        if not shown <= grouped | recorded:
            fault(name, f"{where}: the legend shows {shown - grouped - recorded}, which the query does not keep")
        if len(grouped - {"le"} - shown) and legend and not expr.startswith("topk"):
            fault(name, f"{where}: the legend does not tell {grouped - {'le'} - shown} apart")


def check_queries(promtool):
    """Every query is one: each becomes a rule, which promtool reads."""
    rules, places = [], []
    for name, board in boards.ALL.items():
        for where, expr, _ in queries(board):
            for variable, value in STAND_INS:
                expr = expr.replace(variable, value)
            expr = re.sub(r"\$(namespace|job|instance)\b", ".*", expr)
            rules.append({"record": f"dashboard:query_{len(rules)}", "expr": expr})
            places.append(f"{name}: {where}: {expr}")
    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        json.dump({"groups": [{"name": "dashboards", "rules": rules}]}, file)
        file.flush()
        done = subprocess.run([promtool, "check", "rules", file.name], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stdout + done.stderr
        for number in sorted({int(number) for number in re.findall(r"query_(\d+)", said)}):
            fault("queries", places[number])
        fault("queries", said.strip())
    return len(rules)


def check_alerts():
    """Each alert has its page, fires in a test, and keeps quiet in another."""
    rules = RULES.read_text(encoding="utf-8")
    parts = re.split(r"(?m)^\s+- alert: ", rules)[1:]
    names = [part.split("\n", 1)[0].strip() for part in parts]
    for name, part in zip(names, parts):
        part = re.split(r"(?m)^\s+- (?:record|name): ", part)[0]
        severity = re.search(r"severity: (\w+)", part)
        if not severity or severity[1] not in {"warning", "critical"}:
            fault(name, "has no severity")
        if f"runbook_url: docs/runbooks/{name}.md\n" not in part + "\n":
            fault(name, "does not name its page")
        page = RUNBOOKS / f"{name}.md"
        if not page.is_file():
            fault(name, f"has no page {page.relative_to(ROOT)}")
        elif severity:
            check_page(page, name, severity[1])
    for page in RUNBOOKS.iterdir():
        if page.stem not in names:
            fault(page.name, "is about no alert")
    tests = "".join(file.read_text(encoding="utf-8") for file in TESTS)
    cases = re.split(r"(?m)^      - (?=\{?eval_time)", tests)[1:]
    fired, quiet = set(), set()
    for case in cases:
        found = re.search(r"alertname: (\w+)", case)
        (fired if "exp_alerts" in case else quiet).add(found[1])
    for name in names:
        if name not in fired:
            fault(name, "fires in no test of docs/alerts*.test.yaml")
        if name not in quiet:
            fault(name, "keeps quiet in no test of docs/alerts*.test.yaml")
    return len(names)


def check_page(page, name, severity):
    """A runbook says what it is about, where to look and what to do; its links and panels are there."""
    words = page.read_text(encoding="utf-8")
    if not words.startswith(f"# {name}\n\nSeverity {severity}, "):
        fault(page.name, "does not begin with the alert's name and severity")
    for heading in ["What agents notice", "Where to look", "What to do"]:
        if f"\n## {heading}\n" not in words and not (heading == "What agents notice" and "Jobs" in name):
            fault(page.name, f"has no part “{heading}”")
    for link in re.findall(r"\]\(([^)#]+)", words):
        if not (page.parent / link).is_file():
            fault(page.name, f"links to {link}, which is not there")
    titles = {board["title"]: {panel["title"] for panel in board["panels"]} for board in boards.ALL.values()}
    shown = re.search(r"Dashboard \*([^*]+)\*, panel \*([^*]+)\*", words)
    if not shown or shown[2] not in titles.get(shown[1], set()):
        fault(page.name, "names a panel that is on no dashboard")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--write", action="store_true", help="write the dashboards' files first")
    parser.add_argument("--promtool", help="the program; without it queries are not parsed")
    arguments = parser.parse_args()
    check_files(arguments.write)
    for name, board in boards.ALL.items():
        check_board(name, board)
    parsed = f"{check_queries(arguments.promtool)} queries" if arguments.promtool else "no query"
    alerts = check_alerts()
    for line in faults:
        print(f"dashboards: {line}", file=sys.stderr)
    if faults:
        print(f"dashboards: {len(faults)} faults")
        sys.exit(1)
    print(f"dashboards: {len(boards.ALL)} dashboards and {alerts} alerts hold, {parsed} parsed")


if __name__ == "__main__":
    main()
