"""What every manifest must keep to, whatever the values: each function yields `(rule, problem)` of one manifest, or of all
of them together. Exemptions are in exemptions.yaml, each with its reason."""

import re
from pathlib import Path

import yaml

REVIEWED = yaml.safe_load(Path(__file__).with_name("rights.yaml").read_text())
SERVED = {"Deployment", "StatefulSet", "DaemonSet"}
CREDENTIALS = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s@$]+@")
# The address of the admin API is no secret; what a URL must not hold is looked for in all of them.
SECRET_NAME = re.compile(r"(PASSWORD|SECRET|TOKEN|PRIVATE_KEY|ACCESS_KEY|(?<!__ADMIN)_URL)$")


def pod_of(manifest):
    """The template of the pods that a manifest makes: metadata and spec, or nothing."""
    kind, spec = manifest["kind"], manifest.get("spec", {})
    if kind == "Pod":
        return manifest["metadata"], spec
    if kind == "CronJob":
        spec = spec["jobTemplate"]["spec"]
    elif kind not in SERVED | {"Job"}:
        return None
    return spec["template"]["metadata"], spec["template"]["spec"]


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def selected(selector, labels):
    """Whether a label selector takes these labels."""
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for rule in selector.get("matchExpressions", []):
        there, value = rule["key"] in labels, labels.get(rule["key"])
        held = {"In": value in rule.get("values", []), "NotIn": value not in rule.get("values", []), "Exists": there, "DoesNotExist": not there}
        if not held[rule["operator"]]:
            return False
    return True


def strings(node):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from strings(key)
            yield from strings(value)
    elif isinstance(node, list):
        for item in node:
            yield from strings(item)
    elif isinstance(node, str):
        yield node


def restricted(_metadata, spec):
    """Pod Security Standards, profile Restricted, and a root file system that is read only."""
    pod = spec.get("securityContext", {})
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(name):
            yield "restricted", f"{name} is set"
    if pod.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "restricted", "the pod's seccompProfile is not RuntimeDefault"
    for volume in spec.get("volumes", []):
        kinds = set(volume) - {"name"}
        if not kinds <= {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}:
            yield "restricted", f"the volume {volume['name']} is of the kind {', '.join(kinds)}"
    for container in containers(spec):
        own, name = container.get("securityContext", {}), container["name"]
        wanted = {
            "runAsNonRoot": own.get("runAsNonRoot", pod.get("runAsNonRoot")) is True,
            "runAsUser": own.get("runAsUser", pod.get("runAsUser", 0)) != 0,
            "allowPrivilegeEscalation": own.get("allowPrivilegeEscalation") is False,
            "privileged": not own.get("privileged"),
            "readOnlyRootFilesystem": own.get("readOnlyRootFilesystem") is True,
            "capabilities": own.get("capabilities", {}).get("drop") == ["ALL"] and not own["capabilities"].get("add"),
        }
        for field in (field for field, held in wanted.items() if not held):
            yield "restricted", f"container {name}: {field}"
        if any("hostPort" in port for port in container.get("ports", [])):
            yield "restricted", f"container {name}: hostPort"


def bounded(_metadata, spec):
    """An image that does not move by itself, and bounds of what a container takes."""
    for container in containers(spec):
        image, name = container["image"], container["name"]
        last = image.rsplit("/", 1)[-1]
        if "@sha256:" not in image and (":" not in last or last.endswith(":latest")):
            yield "image", f"container {name}: {image} names neither a version nor a digest"
        for side in ("requests", "limits"):
            for what in ("cpu", "memory"):
                if not container.get("resources", {}).get(side, {}).get(what):
                    yield "resources", f"container {name}: resources.{side}.{what}"


def identity(_metadata, spec):
    if spec.get("automountServiceAccountToken") is None:
        yield "identity", "automountServiceAccountToken is not said"
    if spec.get("enableServiceLinks") is not False:
        yield "identity", "enableServiceLinks is not off"


def plain_secrets(manifest):
    """Nothing that is a secret is in a manifest."""
    if manifest["kind"] == "Secret":
        yield "secrets", "a Secret comes with the chart"
        return
    for text in strings(manifest):
        if CREDENTIALS.search(text):
            yield "secrets", "an address holds a password"
    pod = pod_of(manifest)
    for container in containers(pod[1]) if pod else []:
        for variable in container.get("env", []):
            if SECRET_NAME.search(variable["name"]) and "value" in variable:
                yield "secrets", f"the variable {variable['name']} is written out"


def probed(manifest):
    if manifest["kind"] not in SERVED:
        return
    for container in pod_of(manifest)[1]["containers"]:
        for probe in ("readinessProbe", "livenessProbe"):
            if probe not in container:
                yield "probes", f"container {container['name']}: {probe}"
        names = {port["name"] for port in container.get("ports", [])}
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                port = container.get(probe, {}).get(how, {}).get("port")
                if isinstance(port, str) and port not in names:
                    yield "probes", f"container {container['name']}: {probe} asks at {port}, which is no port of it"


def timed(manifest):
    """A job ends, and does not run twice at once."""
    spec = manifest.get("spec", {})
    if manifest["kind"] == "CronJob":
        if spec.get("concurrencyPolicy") != "Forbid":
            yield "jobs", "concurrencyPolicy is not Forbid"
        for field in ("timeZone", "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            if field not in spec:
                yield "jobs", f"{field} is not said"
        spec = spec["jobTemplate"]["spec"]
    elif manifest["kind"] != "Job":
        return
    for field in ("activeDeadlineSeconds", "backoffLimit"):
        if field not in spec:
            yield "jobs", f"{field} is not said"


def least_rights(manifest):
    if manifest["kind"] in {"ClusterRole", "ClusterRoleBinding"}:
        yield "rbac", "it is about the whole cluster"
    if manifest["kind"] not in {"Role", "ClusterRole"}:
        return
    rules = manifest["rules"]
    for rule in rules:
        if "*" in [*rule["verbs"], *rule["resources"], *rule["apiGroups"]]:
            yield "rbac", "a star"
        if "secrets" in rule["resources"] and not rule.get("resourceNames"):
            yield "rbac", "Secrets of any name"
    reviewed = [name for name in REVIEWED if manifest["metadata"]["name"].endswith(f"-{name}")]
    if rights(rules) != REVIEWED.get(max(reviewed, key=len, default=None)):
        yield "rights", f"tests/chart/rights.yaml does not have {rights(rules)}"


def rights(rules):
    """Rules of a role as rights.yaml has them."""
    found = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                name = (f"{group}/" if group else "") + resource + (", named" if rule.get("resourceNames") else "")
                found.setdefault(name, []).extend(rule["verbs"])
    return found


def named(manifest):
    # A CronJob's pods have eleven characters more, and names of Services and pods are labels of DNS.
    most = 52 if manifest["kind"] == "CronJob" else 63
    if len(manifest["metadata"]["name"]) > most:
        yield "labels", f"its name is longer than {most} characters"
    if manifest["kind"] == "Service" and not re.fullmatch("[a-z]([a-z0-9-]*[a-z0-9])?", manifest["metadata"]["name"]):
        yield "labels", "its name is no label of DNS that begins with a letter"
    # With another separator, a release and its namespace could make the name of others: `a-b` and `c`, `a` and `b-c`.
    if manifest["kind"] in {"ClusterRole", "ClusterRoleBinding"} and not manifest["metadata"]["name"].startswith("music:"):
        yield "labels", "it is of the whole cluster, and its name does not begin with the namespace and a colon"
    labels = manifest["metadata"].get("labels", {})
    for label in ("name", "instance", "component", "part-of", "version", "managed-by"):
        if f"app.kubernetes.io/{label}" not in labels:
            yield "labels", f"app.kubernetes.io/{label}"


def of_one(manifest):
    """All problems of one manifest."""
    for rule in (plain_secrets, probed, timed, least_rights, named):
        yield from rule(manifest)
    pod = pod_of(manifest)
    if pod:
        for rule in (restricted, bounded, identity):
            yield from rule(*pod)
