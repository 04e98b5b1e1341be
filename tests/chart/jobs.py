"""Every job of the keeper has a CronJob, as often as the keeper itself finds it due."""

import re

import yaml

# `run-due` does all of them on one machine.
NOT_IN_A_CLUSTER = {"run-due"}
EVERY = {
    "HOUR": lambda fields: fields[1:] == ["*"] * 4,
    "DAY": lambda fields: fields[1] != "*" and fields[2:] == ["*"] * 3,
    "WEEK": lambda fields: fields[1] != "*" and fields[2:4] == ["*"] * 2 and fields[4] != "*",
}


def problems(root, sets):
    """What differs between the keeper's source, the chart's table and what is rendered."""
    source = (root / "services/keeper/src/jobs/run_due.rs").read_text()
    scheduled = {name: (kind, every) for kind, name, every in re.findall(r'\b(every|of_backups)\("([a-z-]+)", (HOUR|DAY|WEEK),', source)}
    if len(scheduled) < 12:
        yield f"run_due.rs is read wrongly: {len(scheduled)} jobs"
    table = (root / "charts/stagedoor/templates/_jobs.tpl").read_text()
    table = yaml.safe_load("\n".join(line for line in table.splitlines() if re.match(r"[a-z-]+: \{", line)))
    defaults = yaml.safe_load((root / "charts/stagedoor/values.yaml").read_text())["keeper"]["jobs"]
    if set(table) != set(defaults):
        yield f"values.yaml and _jobs.tpl differ in {', '.join(set(table) ^ set(defaults))}"
    for name, (kind, every) in scheduled.items():
        if name not in table:
            yield f"{name} is in no CronJob"
            continue
        if bool(table[name].get("backups")) != (kind == "of_backups"):
            yield f"{name}: whether it is about backups is not what run_due.rs says"
        if not EVERY[every](defaults[name]["schedule"].split()):
            yield f"{name} is due every {every.lower()}, and its schedule is {defaults[name]['schedule']}"

    variants = re.search(r"pub enum JobCommand \{(.*?)\n\}", (root / "services/keeper/src/jobs/mod.rs").read_text(), re.S)[1]
    commands = {re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower() for name in re.findall(r"^    ([A-Z]\w+)\(", variants, re.M)}
    begun = {job["args"][0] for job in table.values()}
    for command in sorted(commands - begun - NOT_IN_A_CLUSTER):
        yield f"the command {command} is in no CronJob"
    for command in sorted(begun - commands):
        yield f"the keeper has no command {command}"

    for name, manifests in sets.items():
        there = {one["metadata"]["labels"]["stagedoor.dev/job"] for one in manifests if one["kind"] == "CronJob"}
        backups = any("\nbackup:\n" in f"\n{one['data'].get('stagedoor.yaml', '')}" for one in manifests if one["kind"] == "ConfigMap")
        wanted = {job for job, about in table.items() if backups or not about.get("backups")}
        left_out = {"drill"} if name == "everything" else set()
        if there != wanted - left_out:
            yield f"{name}: CronJobs differ in {', '.join(sorted(there ^ (wanted - left_out)))}"
