"""The audit trail and the keeper's jobs. The keeper's figures are pushed at a run's end and are stale five minutes later,
so these queries look back (docs/keeper.md, docs/health.md)."""

from panels import board, figure, lines, rate, row, table

SUCCESS = "last_over_time(stagedoor_keeper_last_success_timestamp_seconds{%sPUSHED}[30d])"
RUN = "last_over_time(stagedoor_keeper_last_run_timestamp_seconds{PUSHED}[30d])"


def age(job):
    """Seconds since a job last succeeded."""
    return "time() - max(" + SUCCESS % f'keeper_job="{job}",' + ")"


HOURS = 3600
PANELS = [
    row("Now"),
    figure("Unsealed", "Age of the oldest audit record that no checkpoint covers. Checkpoints are made every minute.", "s", "max(stagedoor_audit_unsealed_seconds{FILTER})", limits=(300, 1800)),
    figure("Records lost", "Reads that were not recorded, within the time shown.", "none", "sum(increase(stagedoor_audit_dropped_total{FILTER}[$__range]))", limits=(1, 1), decimals=0),
    figure("Checkpoints that the archive lacks", "Caught up with when the archive takes them again.", "none", "max(stagedoor_audit_archive_lag{FILTER})", limits=(1, 60)),
    figure("Last backup", "Since the job that makes backups last did all of it.", "s", age("backup"), limits=(26 * HOURS, 50 * HOURS)),
    figure("Last drill", "Since backups were last restored for practice.", "s", age("drill"), limits=(8 * 24 * HOURS, 15 * 24 * HOURS)),
    figure(
        "Database",
        "What it takes of what it may take (doctor.database_gib); nothing where that is not set.",
        "percent",
        "100 * max(stagedoor_store_bytes{FILTER}) / (max(stagedoor_store_bytes_most{FILTER}) > 0)",
        limits=(80, 95),
    ),
    row("Audit trail"),
    lines(
        "Records",
        "Handed to the queue, stored, and lost.",
        "ops",
        (rate("audit_queued_total"), "queued"),
        (rate("audit_written_total"), "stored"),
        (rate("audit_dropped_total"), "lost"),
    ),
    lines("Records that wait", "Which the database did not take yet.", "none", ("sum by (instance) (stagedoor_audit_parked{FILTER})", "{{instance}}")),
    lines(
        "Troubles with storing",
        "Batches tried again, and closing records that failed at once and were queued.",
        "ops",
        (rate("audit_retries_total"), "batches again"),
        (rate("audit_late_closings_total"), "late closings"),
    ),
    lines("Age of the oldest unsealed record", "By replica, as each saw it last.", "s", ("max by (instance) (stagedoor_audit_unsealed_seconds{FILTER})", "{{instance}}"), limits=(300, 1800)),
    lines(
        "Checkpoints",
        "Stored, archived, and not made.",
        "ops",
        (rate("audit_checkpoints_total"), "stored"),
        (rate("audit_checkpoints_archived_total"), "archived"),
        (rate("audit_checkpoint_failures_total"), "failed"),
    ),
    lines(
        "Archive",
        "Times that it did not take a checkpoint, and how many it lacks.",
        "none",
        ("sum(increase(stagedoor_audit_archive_failures_total{FILTER}[$__rate_interval]))", "refused"),
        ("max(stagedoor_audit_archive_lag{FILTER})", "lacking"),
    ),
    row("The keeper's jobs"),
    table(
        "Last success",
        "How long ago each job last did all of it, by the last 30 days.",
        "s",
        "time() - max by (keeper_job) (" + SUCCESS % "" + ")",
        ("keeper_job", "job"),
        ("", "ago"),
    ),
    table("Last run", "How long ago each job last ended, however it did.", "s", f"time() - max by (keeper_job) ({RUN})", ("keeper_job", "job"), ("", "ago")),
    table(
        "How the last runs ended",
        "Of each job, by the last 30 days: a run of somebody's by hand is there under a name of its own.",
        "none",
        "max by (keeper_job, outcome) (last_over_time(stagedoor_keeper_run_outcome{PUSHED}[30d])) == 1",
        ("keeper_job", "job"),
        ("outcome", "outcome"),
        ("", "is"),
    ),
    table(
        "What the last runs did",
        "Counts of each job's last run, by name.",
        "none",
        "max by (keeper_job, of) (last_over_time(stagedoor_keeper_run_count{PUSHED}[30d]))",
        ("keeper_job", "job"),
        ("of", "count"),
        ("", "number"),
    ),
    lines("Duration of runs", "As each job's last run told it.", "s", ("max by (keeper_job) (last_over_time(stagedoor_keeper_run_duration_seconds{PUSHED}[1h]))", "{{keeper_job}}"), width=12),
    lines("Size of the database", "What it takes, and what it may take where that is set.", "bytes", ("max(stagedoor_store_bytes{FILTER})", "takes"), ("max(stagedoor_store_bytes_most{FILTER}) > 0", "may take"), width=12),
]

BOARD = board("stagedoor-audit-keeper", "Stagedoor / Audit and keeper", "Whether everything is on record, sealed, saved and cleaned up.", PANELS)
