"""Checks the Helm chart over every file of tests/chart/values, without a cluster. scripts/chart.sh brings the tools and says
how to call it."""

import argparse
import difflib
import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

import jobs
import page
import policy
import schemas
import selftest
import together
import values_schema

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CHART = ROOT / "charts/stagedoor"
ALERTS = ROOT / "docs/alerts.yaml"
CHART_OF = [str(CHART), "--namespace", "music"]
RELEASE = ["stagedoor", *CHART_OF]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

problems = []


def wrong(where, what):
    problems.append(f"{where}: {what}")


def helm(*arguments, text=None):
    return subprocess.run([os.environ["HELM"], *arguments], capture_output=True, text=True, input=text, check=False)


def run(*command, environment=None):
    clean = {"PATH": os.environ["PATH"], **(environment or {})}
    return subprocess.run(command, capture_output=True, text=True, env=clean, check=False, timeout=60)


def gateway(*arguments, environment=None):
    return run(os.environ["STAGEDOOR_BINARY"], *arguments, environment=environment)


def generated(path, text, write):
    """A file that is made of others."""
    if write:
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        wrong(path.relative_to(ROOT), "it is not what it is made of any more: scripts/chart.sh --write")


def render(name):
    """The manifests of a value set, those of hooks and tests among them."""
    values = str(HERE / f"values/{name}.yaml")
    linted = helm("lint", "--strict", str(CHART), "--namespace", "music", "--values", values)
    if linted.returncode:
        wrong(name, f"helm lint: {linted.stdout}{linted.stderr}")
    rendered = helm("template", *RELEASE, "--values", values)
    if rendered.returncode:
        wrong(name, f"helm template: {rendered.stderr.strip()}")
        return name, []
    notes = helm("install", *RELEASE, "--values", values, "--dry-run=client", "--disable-openapi-validation")
    if "helm test stagedoor --namespace music" not in notes.stdout:
        wrong(name, f"the notes do not say what comes next: {notes.stderr.strip()}")
    return name, [manifest for manifest in yaml.load_all(rendered.stdout, LOADER) if manifest]


OF_EACH_RELEASE = {"app.kubernetes.io/part-of", "app.kubernetes.io/version", "app.kubernetes.io/managed-by", "helm.sh/chart"}


def short(node):
    """Without the labels that all have, which the policy looks for, and which change with each release."""
    if isinstance(node, list):
        return [short(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: short(value) for key, value in node.items() if key not in OF_EACH_RELEASE}


def masked(manifest):
    """Without what Helm makes up, which is another at each run."""
    manifest = short(manifest)
    if manifest["kind"] != "Secret":
        return manifest
    hidden = {key: re.sub(r"[A-Za-z0-9+/=]{32,}", "MADE-UP", value) for key, value in manifest.get("stringData", {}).items()}
    return {**manifest, "stringData": hidden}


def golden(name, manifests, base, write):
    """What the value set makes; of all but the minimal one only what the minimal one does not make."""
    kept = [masked(one) for one in manifests]
    kept = sorted((one for one in kept if one not in base), key=lambda one: (one["kind"], one["metadata"]["name"]))
    text = yaml.dump_all(kept, Dumper=DUMPER, sort_keys=True, width=160, explicit_start=True, default_flow_style=None)
    path = HERE / f"golden/{name}.yaml"
    if write:
        path.write_text(text)
        return
    there = path.read_text() if path.exists() else ""
    if there != text:
        lines = list(difflib.unified_diff(there.splitlines(), text.splitlines(), "golden", "rendered", lineterm="", n=2))
        wrong(path.relative_to(ROOT), "it differs (scripts/chart.sh --write, if that is meant):\n    " + "\n    ".join(lines[:40]))


def keep_to_policy(sets, exemptions):
    used = set()
    for name, manifests in sets.items():
        found = [(one, *problem) for one in manifests for problem in policy.of_one(one)]
        for manifest, rule, problem in found + list(together.problems(manifests)):
            what = together.name_of(manifest)
            exempt = [index for index, one in enumerate(exemptions) if one["rule"] == rule and re.fullmatch(one["only"], name) and re.fullmatch(one["names"], what)]
            used.update(exempt)
            if not exempt:
                wrong(f"{name}: {what}", f"{rule}: {problem}")
    for index, one in enumerate(exemptions):
        if index not in used:
            wrong("tests/chart/exemptions.yaml", f"nothing needs the exemption from {one['rule']} for {one['names']}")
        if not one.get("why"):
            wrong("tests/chart/exemptions.yaml", f"the exemption from {one['rule']} has no reason")


SAMPLES = {"redis": "redis://cache:6379/", "database": "postgres://stagedoor@db:5432/stagedoor", "telemetry": "authorization: Bearer x\n"}
OPERATOR = "/usr/local/bin/stagedoor-operator"
# No machine has this address (RFC 5737).
NOWHERE = "192.0.2.1:9090"


def configuration(sets, known):
    """Every configuration that a container is given is one that the program takes."""
    tried = {}
    for name, manifests in sets.items():
        files = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
        for manifest in manifests:
            pod = policy.pod_of(manifest)
            for container in policy.containers(pod[1]) if pod else []:
                variables = {one["name"]: one.get("value", "") for one in container.get("env", [])}
                where = f"{name}: {together.name_of(manifest)}"
                unknown(where, variables, known)
                if "STAGEDOOR_CONFIG" not in variables:
                    continue
                text = next(data["stagedoor.yaml"] for data in files.values() if "stagedoor.yaml" in data)
                tried.setdefault((container["command"][0], text, json.dumps(variables, sort_keys=True)), where)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda item: try_configuration(item[1], item[0][0], item[0][1], json.loads(item[0][2])), tried.items()))


def unknown(where, variables, known):
    keys, secrets = known
    for variable in variables:
        if not variable.startswith("STAGEDOOR_") or "__" not in variable:
            continue
        key = variable.removeprefix("STAGEDOOR_").replace("__", ".", 1).lower()
        if key not in keys and key.removesuffix("_file") not in secrets:
            wrong(where, f"{variable} is no key of the configuration")


def try_configuration(where, program, text, variables):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stagedoor.yaml")
        file.write_text(text)
        environment = {}
        for variable, value in variables.items():
            kind = next((kind for kind in SAMPLES if value.startswith(f"/etc/stagedoor/{kind}/")), None)
            if kind:
                Path(folder, variable).write_text(SAMPLES[kind])
                value = str(Path(folder, variable))
            environment[variable] = value
        if program == OPERATOR:
            # It has no command that checks alone: having nowhere to listen is what comes after a configuration that holds.
            environment["STAGEDOOR_OPS__LISTEN"] = NOWHERE
            began = run(os.environ["STAGEDOOR_OPERATOR_BINARY"], "run", "--config", str(file), environment=environment)
            if f"{NOWHERE} is not to be had" not in began.stderr:
                wrong(where, f"stagedoor-operator run: {began.stderr.strip()}")
            return
        # The keeper has its own connection only, and takes that for the gateway's, which it does not use.
        if "STAGEDOOR_STORAGE__DATABASE_URL_FILE" not in environment:
            environment["STAGEDOOR_STORAGE__DATABASE_URL"] = SAMPLES["database"]
        checked = gateway("config", "check", "--config", str(file), environment=environment)
        if checked.returncode:
            wrong(where, f"stagedoor config check: {checked.stderr.strip()}")


def merged(base, over):
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    return {**base, **{key: merged(base.get(key), value) for key, value in over.items()}}


def refusals():
    """Values that are wrong are refused, and the message says which."""
    minimal = yaml.load((HERE / "values/minimal.yaml").read_text(), LOADER)
    cases = yaml.load((HERE / "bad/cases.yaml").read_text(), LOADER)

    def one(case):
        values = yaml.dump(merged(minimal, case["set"]), Dumper=DUMPER)
        refused = helm("template", case.get("release", "stagedoor"), *CHART_OF, "--values", "-", text=values)
        said = refused.stderr.replace("stagedoor: ", "").replace("'", "")
        if not refused.returncode:
            wrong("tests/chart/bad/cases.yaml", f"{json.dumps(case['set'])} is taken")
        for words in case["says"]:
            # Helm 3 writes paths with dots.
            if words not in said and words.strip("/").replace("/", ".") not in said:
                wrong("tests/chart/bad/cases.yaml", f"{json.dumps(case['set'])}: {words!r} is not said, but: {said.strip()}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, cases))
    return len(cases)


def taken():
    """Values and names that are unusual, and hold."""
    minimal = yaml.load((HERE / "values/minimal.yaml").read_text(), LOADER)
    # What `helm upgrade --reuse-values` hands on of the chart before it had an operator.
    older = {"operator": None, "networkPolicy": {"adminApi": None}, "serviceAccounts": {"operator": None}, "secrets": {"telemetryHeaders": None}}
    rendered = template("stagedoor", yaml.dump(merged(minimal, older)))
    if [one["kind"] for one in rendered] != [one["kind"] for one in template("stagedoor", yaml.dump(minimal))]:
        wrong("values of an older chart", "they do not make what the values of this one make")
    notes = helm("install", *RELEASE, "--values", "-", "--dry-run=client", "--disable-openapi-validation", text=yaml.dump(merged(minimal, older)))
    if notes.returncode:
        wrong("values of an older chart", notes.stderr.strip())
    dotted = template("my.music", yaml.dump(minimal))
    for manifest in dotted:
        for rule, problem in policy.named(manifest):
            wrong(f"the release my.music: {together.name_of(manifest)}", f"{rule}: {problem}")
    long = yaml.load((HERE / "values/operator-cluster.yaml").read_text(), LOADER)
    named = {}
    for namespace in ("music", "n" * 63, "n" * 62 + "m"):
        made = template("stagedoor", yaml.dump(long), "--namespace", namespace)
        named[namespace] = next(value for one in made for value in installations(one))
    if named["music"] != "music.stagedoor" or len(set(named.values())) != 3 or max(map(len, named.values())) > 63:
        wrong("STAGEDOOR_OPERATOR__INSTALLATION", ", ".join(named.values()))


def installations(manifest):
    pod = policy.pod_of(manifest)
    variables = (one for container in policy.containers(pod[1]) for one in container.get("env", [])) if pod else []
    return [one["value"] for one in variables if one["name"] == "STAGEDOOR_OPERATOR__INSTALLATION"]


def template(release, values, *further):
    rendered = helm("template", release, *CHART_OF, "--values", "-", *further, text=values)
    if rendered.returncode:
        wrong(f"the release {release}", rendered.stderr.strip())
    return [manifest for manifest in yaml.load_all(rendered.stdout, LOADER) if manifest]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tools", required=True)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()

    config = gateway("config", "schema")
    if config.returncode:
        sys.exit(f"chart: stagedoor config schema: {config.stderr.strip()}")
    config = json.loads(config.stdout)
    alerts = ALERTS.read_text()
    base = json.loads((HERE / "values.schema.base.json").read_text())
    generated(CHART / "values.schema.json", values_schema.build(base, config, yaml.load(alerts, LOADER)), options.write)
    generated(CHART / "files/alerts.yaml", alerts, options.write)

    names = sorted(path.stem for path in (HERE / "values").glob("*.yaml"))
    with ThreadPoolExecutor(2) as pool:
        sets = dict(pool.map(render, names))
    minimal = [masked(one) for one in sets["minimal"]]
    for name in names:
        golden(name, sets[name], [] if name == "minimal" else minimal, options.write)
    for path in (HERE / "golden").glob("*.yaml"):
        if path.stem not in names:
            wrong(path.relative_to(ROOT), "there is no such value set")

    for problem in jobs.problems(ROOT, sets):
        wrong("keeper's jobs", problem)
    for problem in selftest.problems(sets["high-availability"], sets["operator-cluster"]):
        wrong("tests/chart/selftest.py", problem)
    keep_to_policy(sets, yaml.load((HERE / "exemptions.yaml").read_text(), LOADER))
    configuration(sets, values_schema.known_keys(config))
    refused = refusals()
    taken()
    for problem in page.problems((ROOT / "docs/kubernetes.md").read_text(), lambda values, *further: template("stagedoor", values, *further)):
        wrong("docs/kubernetes.md", problem)
    versions, skipped, (accepted, spoiled) = schemas.check(sets, ROOT, options.tools, wrong)

    for line in skipped:
        print(f"chart: SKIPPED: {line}")
    if problems:
        print("\n".join(dict.fromkeys(problems)), file=sys.stderr)
        sys.exit(f"chart: {len(dict.fromkeys(problems))} problems")
    manifests = sum(len(found) for found in sets.values())
    print(f"chart: schemas of Kubernetes {versions[0]} to {versions[-1]}, {refused} wrong values refused, {accepted} objects taken, {spoiled} refused")
    print(f"chart: {manifests} manifests of {len(sets)} value sets hold")


main()
