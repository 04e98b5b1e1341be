"""What is about tenants. No metric has a tenant in its labels (names that anyone can choose are none), so these are sums."""

from panels import board, figure, lines, rate, row, text

WORDS = """
Metrics have no label for tenants, people or keys: with thousands of them Prometheus would hold a series for each, and names would leave the installation. Whose a figure is, the admin API says:

| question | command |
| --- | --- |
| which tenants call most, fail most, are refused most | `stagedoorctl usage summarize` |
| one tenant, over time, by tool or key | `stagedoorctl usage query --tenant T --group-by tool,interval --from -24h` |
| one tenant, day by day | `stagedoorctl usage list-daily-figures --tenant T` |
| what it may do, and what it has set | `stagedoorctl settings get --tenant T` |
"""

PANELS = [
    text("One tenant apart", WORDS, height=7),
    row("Limits that tenants meet"),
    lines(
        "Refused by limits",
        "By whose limit it was: one key's, the whole tenant's, or a penalty.",
        "reqps",
        (rate("limiter_refused_total", "limit"), "{{limit}}"),
        stacked=True,
    ),
    lines(
        "No place free",
        "Requests refused because too many of the tenant, or of the replica, were under way.",
        "reqps",
        (rate("requests_overloaded_total", "scope"), "{{scope}}"),
        stacked=True,
    ),
    lines(
        "Clients at the music services",
        "A client id is one tenant's at one service: how many are called at a learned pace, or are left alone because the service asked to wait.",
        "none",
        ("sum by (provider) (stagedoor_provider_clients_paced{FILTER})", "{{provider}} paced"),
        ("sum by (provider) (stagedoor_provider_clients_paused{FILTER})", "{{provider}} paused"),
    ),
    lines(
        "Audit logs of the day",
        "Tenants' days seen at 80 % of their size, and calls refused because a day was full.",
        "none",
        ("sum(increase(stagedoor_audit_log_nearly_full_total{FILTER}[$__rate_interval]))", "nearly full"),
        ("sum(increase(stagedoor_audit_log_full_total{FILTER}[$__rate_interval]))", "refused"),
    ),
    lines(
        "Refused credentials",
        "By reason; callers see one answer for all.",
        "reqps",
        (rate("auth_failures_total", "reason"), "{{reason}}"),
        stacked=True,
    ),
    lines(
        "Handles and devices",
        "Handles used by someone else than their owner, devices that were new, too many, or refused.",
        "none",
        ("sum(increase(stagedoor_hijack_attempts_total{FILTER}[$__rate_interval]))", "foreign handles"),
        ("sum(increase(stagedoor_devices_new_total{FILTER}[$__rate_interval]))", "new devices"),
        ("sum(increase(stagedoor_devices_exceeded_total{FILTER}[$__rate_interval]))", "too many devices"),
        ("sum(increase(stagedoor_devices_refused_total{FILTER}[$__rate_interval]))", "refused devices"),
    ),
    row("People"),
    figure("Requests of people, open", "Copies and deletions of data that are not over.", "none", "max(stagedoor_privacy_requests_open{FILTER})", width=6),
    figure("Requests of people, late", "Those that should have been answered by now: the law names the time.", "none", "max(stagedoor_privacy_requests_late{FILTER})", width=6, limits=(1, 1)),
    figure("Sessions in memory", "Linked accounts whose tokens a replica has open.", "none", "sum(stagedoor_sessions_in_memory{FILTER})", width=6),
    figure("Grants that were refused", "Accounts whose service no longer accepts the grant, over the time shown: the person links again.", "none", 'sum(increase(stagedoor_session_refreshes_total{outcome="refused",FILTER}[$__range]))', width=6, decimals=0),
    row("Changes of tenants and keys"),
    lines(
        "Changes seen",
        "By replica: settings and status of tenants, and keys. All replicas see the same ones.",
        "none",
        ("sum by (instance) (increase(stagedoor_tenant_changes_total{FILTER}[$__rate_interval]))", "{{instance}} tenants"),
        ("sum by (instance) (increase(stagedoor_key_changes_total{FILTER}[$__rate_interval]))", "{{instance}} keys"),
    ),
    lines(
        "The channel of changes",
        "Times that a replica could not ask for changes, or lost the channel on which the database tells of them. It asks twice a second meanwhile.",
        "none",
        ("sum by (instance) (increase(stagedoor_tenant_watch_failures_total{FILTER}[$__rate_interval]))", "{{instance}} could not ask"),
        ("sum by (instance) (increase(stagedoor_change_channel_losses_total{FILTER}[$__rate_interval]))", "{{instance}} lost it"),
    ),
    lines(
        "Told of changes",
        "Times that the database told a replica, and times of last use of keys that were written.",
        "none",
        ("sum(increase(stagedoor_change_channel_heard_total{FILTER}[$__rate_interval]))", "told"),
        ("sum(increase(stagedoor_key_uses_written_total{FILTER}[$__rate_interval]))", "uses of keys written"),
    ),
    row("Counting of usage"),
    lines("Figures in the store", "Calls and refusals whose figures were written.", "reqps", (rate("usage_recorded_total"), "recorded")),
    lines(
        "Figures that are not exact",
        "Calls counted without key and tool because a minute had too many of them, and calls whose figures were lost.",
        "none",
        ("sum(increase(stagedoor_usage_overflowed_total{FILTER}[$__rate_interval]))", "without key and tool"),
        ("sum(increase(stagedoor_usage_lost_total{FILTER}[$__rate_interval]))", "lost"),
    ),
    lines(
        "In memory",
        "Keys and tools that the present minute counts apart, and lines that wait to be written.",
        "none",
        ("sum(stagedoor_usage_series{FILTER})", "kept apart"),
        ("sum(stagedoor_usage_lines_waiting{FILTER})", "waiting"),
    ),
]

BOARD = board("stagedoor-tenants", "Stagedoor / Tenants", "What tenants meet and what is done for them, all together.", PANELS)
