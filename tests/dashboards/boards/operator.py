"""The operator of Kubernetes: whether one replica acts, what it does about objects, and what it hears of the admin API."""

from panels import board, figure, lines, quantile, rate, row

REFUSED = 'code!="ok"'
ANSWERED = "max(stagedoor_operator_last_admin_answer_timestamp_seconds{FILTER})"


def since_then(name, by, match=""):
    """How much a counter grew within a step, by labels."""
    inner = "{" + (match + "," if match else "") + "FILTER}"
    return f"sum by ({by}) (increase(stagedoor_operator_{name}{inner}[$__rate_interval]))"


PANELS = [
    row("Now"),
    figure("Replicas that act", "One has the lease. None: see docs/runbooks/StagedoorOperatorIdle.md.", "none", "sum(stagedoor_operator_leading{FILTER})", limits=(1, 1), lower_is_worse=True),
    figure("Replicas", "Those that act and those that wait.", "none", "count(stagedoor_operator_leading{FILTER})"),
    figure("Last answer of the admin API", "Since a call of the replica that acts was last let in and answered. Nobody calls while there are no objects.", "s", f"time() - ({ANSWERED} > 0)", limits=(900, 3600)),
    figure(
        "Work that failed, of all",
        "The part of looks at objects that failed within the time shown.",
        "percentunit",
        'sum(increase(stagedoor_operator_reconciles_total{outcome="failed",FILTER}[$__range])) / sum(increase(stagedoor_operator_reconciles_total{FILTER}[$__range]))',
        limits=(0.05, 0.5),
        decimals=2,
    ),
    figure("Keys rotated", "Within the time shown.", "none", 'sum(increase(stagedoor_operator_changes_total{kind="AgentKey",change="rotated",FILTER}[$__range]))', decimals=0),
    figure("Changed back", "What someone had changed by hand in the installation, within the time shown.", "none", 'sum(increase(stagedoor_operator_changes_total{change="drift_corrected",FILTER}[$__range]))', decimals=0),
    row("Objects"),
    lines("Work on objects", "By kind: after a change, after a failure, and at the latest when the next look is due.", "ops", (rate("operator_reconciles_total", "kind"), "{{kind}}"), stacked=True),
    lines("How it ended", "Settled, or not yet; released ones are gone.", "ops", (rate("operator_reconciles_total", "outcome"), "{{outcome}}"), stacked=True),
    lines("Duration of work", "95th percentile, with waiting for the rate of calls.", "s", (quantile(0.95, "operator_reconcile_duration_seconds", "kind"), "{{kind}}")),
    lines("Work that failed", "Looks at objects that ended with an error of the admin API or of Kubernetes, and are tried again.", "none", (since_then("reconciles_total", "kind", 'outcome="failed"'), "{{kind}}")),
    lines("Work that waits", "Looks at objects that need something of their owner's first: a Secret, a tenant, a person.", "none", (since_then("reconciles_total", "kind", 'outcome="waiting"'), "{{kind}}")),
    lines("Changes", "What was done in the installation.", "none", (since_then("changes_total", "kind, change"), "{{kind}} {{change}}"), stacked=True),
    row("Admin API"),
    lines("Calls of the admin API", "By call; all together keep to operator.calls_per_second.", "ops", (rate("operator_admin_calls_total", "rpc"), "{{rpc}}"), stacked=True),
    lines("Calls of the admin API that failed", "By code; not_found is often an answer like others.", "ops", (rate("operator_admin_calls_total", "rpc, code", REFUSED), "{{rpc}} {{code}}")),
    lines("Duration of calls", "95th percentile, without waiting for the rate.", "s", (quantile(0.95, "operator_admin_call_duration_seconds", "rpc"), "{{rpc}}")),
    row("Lease and events"),
    lines("Who acts", "1 for the replica that has the lease.", "none", ("max by (instance) (stagedoor_operator_leading{FILTER})", "{{instance}}")),
    lines("Leases lost", "Times that a replica could not renew the lease and stopped everything.", "none", (since_then("lease_losses_total", "instance"), "{{instance}}")),
    lines("Events lost", "Events that Kubernetes did not take; the conditions say the same.", "none", (since_then("events_lost_total", "instance"), "{{instance}}")),
]

BOARD = board("stagedoor-operator", "Stagedoor / Operator", "What the operator of Kubernetes does about tenants, clients and keys.", PANELS, up="stagedoor_operator_leading")
