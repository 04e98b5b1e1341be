"""What manifests of one release must keep to together: everything that is referred to is there, and every pod is behind
network policies of its own."""

import yaml

from policy import SERVED, containers, pod_of, selected


BINDINGS = ("RoleBinding", "ClusterRoleBinding")


def name_of(manifest):
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def problems(manifests):
    """`(manifest, rule, problem)` of a release."""
    by_kind = {}
    for manifest in manifests:
        by_kind.setdefault(manifest["kind"], {})[manifest["metadata"]["name"]] = manifest
    if len({name_of(one) for one in manifests}) != len(manifests):
        yield manifests[0], "names", "two manifests have one name"
    pods = [(one, *pod_of(one)) for one in manifests if pod_of(one)]
    for manifest, metadata, spec in pods:
        for problem in references(by_kind, spec):
            yield manifest, "references", problem
        for problem in isolation(by_kind, metadata.get("labels", {})):
            yield manifest, "network", problem
        if manifest["kind"] in SERVED:
            if not selected(manifest["spec"]["selector"], metadata["labels"]):
                yield manifest, "references", "its selector does not take its own pods"
            mounts = [volume for volume in spec.get("volumes", []) if "configMap" in volume and volume["configMap"]["name"] in by_kind.get("ConfigMap", {})]
            if mounts and "checksum/config" not in metadata.get("annotations", {}):
                yield manifest, "checksum", "a change of its ConfigMap does not replace its pods"
    for manifest, _, spec in pods:
        if spec["containers"][0].get("command") == ["/usr/local/bin/stagedoor", "serve"]:
            for problem in drain(by_kind, spec):
                yield manifest, "drain", problem
    served = [(metadata["labels"], spec) for manifest, metadata, spec in pods if manifest["kind"] in SERVED]
    yield from bindings(by_kind)
    for service in by_kind.get("Service", {}).values():
        taken = [spec for labels, spec in served if selected({"matchLabels": service["spec"]["selector"]}, labels)]
        if not taken:
            yield service, "references", "it selects no pods"
        for port in service["spec"]["ports"]:
            if not all(port["targetPort"] in ports(spec) for spec in taken):
                yield service, "references", f"its pods have no port {port['targetPort']}"
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget"):
        for manifest in by_kind.get(kind, {}).values():
            yield from target(by_kind, manifest, served)
    yield from routes(by_kind)


def drain(by_kind, spec):
    """A pod has the time that its process takes to end: the sleep before, the grace, running calls, five flushes and that of
    telemetry, of which each is given up after 5 s (crates/bootstrap/src/shutdown.rs)."""
    files = [manifest["data"] for manifest in by_kind["ConfigMap"].values() if "stagedoor.yaml" in manifest["data"]]
    server = yaml.safe_load(files[0]["stagedoor.yaml"])["server"]
    sleep = spec["containers"][0].get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    needs = sleep + (server.get("drain_grace_ms", 5_000) + server.get("drain_finish_ms", 20_000)) / 1_000 + 30
    if spec.get("terminationGracePeriodSeconds", 30) < needs:
        yield f"terminationGracePeriodSeconds is less than the {needs:.0f} s that the end takes"


def ports(spec):
    return {port["name"] for container in spec["containers"] for port in container.get("ports", [])}


def references(by_kind, spec):
    account = spec.get("serviceAccountName")
    if account and account not in by_kind.get("ServiceAccount", {}):
        yield f"there is no ServiceAccount {account}"
    bound = {subject["name"] for kind in BINDINGS for binding in by_kind.get(kind, {}).values() for subject in binding["subjects"]}
    if spec.get("automountServiceAccountToken") and account not in bound:
        yield "it has a token of an account without rights"
    if account in bound and not spec.get("automountServiceAccountToken"):
        yield "it has an account with rights and no token"
    volumes = {volume["name"]: volume for volume in spec.get("volumes", [])}
    mounted = {mount["name"] for container in containers(spec) for mount in container.get("volumeMounts", [])}
    for name in mounted - set(volumes):
        yield f"there is no volume {name}"
    for name in set(volumes) - mounted:
        yield f"the volume {name} is not mounted"
    for volume in volumes.values():
        mode = volume.get("secret", {}).get("defaultMode", volume.get("projected", {}).get("defaultMode", 0o440))
        if mode & 0o037:
            yield f"others may read the volume {volume['name']}"
    for container in containers(spec):
        files = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for variable in container.get("env", []):
            value = variable.get("value", "")
            if value.startswith("/") and not any(value.startswith(f"{path}/") for path in files):
                yield f"{variable['name']} is {value}, which is mounted nowhere"


def bindings(by_kind):
    """A binding gives a role of this release to accounts of this release, where the role is."""
    for kind in BINDINGS:
        for binding in by_kind.get(kind, {}).values():
            role = by_kind.get(binding["roleRef"]["kind"], {}).get(binding["roleRef"]["name"])
            if not role or role["metadata"].get("namespace") != binding["metadata"].get("namespace"):
                yield binding, "references", f"there is no {binding['roleRef']['kind']} {binding['roleRef']['name']}"
            for subject in binding["subjects"]:
                if subject["kind"] != "ServiceAccount" or subject["name"] not in by_kind.get("ServiceAccount", {}):
                    yield binding, "references", f"{subject['kind']} {subject['name']} is not of this release"


def isolation(by_kind, labels):
    policies = by_kind.get("NetworkPolicy", {}).values()
    if not policies:
        yield "there is no NetworkPolicy"
        return
    taking = [policy["spec"] for policy in policies if selected(policy["spec"]["podSelector"], labels)]
    for way in ("Ingress", "Egress"):
        if not any(way in spec["policyTypes"] for spec in taking):
            yield f"no NetworkPolicy is about its {way.lower()}"
    own = [spec for spec in taking if "app.kubernetes.io/component" in spec["podSelector"].get("matchLabels", {})]
    if not own:
        yield "no NetworkPolicy is its own"


def target(by_kind, manifest, served):
    spec = manifest["spec"]
    if "scaleTargetRef" in spec:
        found = by_kind.get(spec["scaleTargetRef"]["kind"], {}).get(spec["scaleTargetRef"]["name"])
        if not found:
            yield manifest, "references", "what it scales is not there"
        elif "replicas" in found["spec"]:
            yield manifest, "references", "what it scales says its own number of replicas too"
    elif not any(selected(spec["selector"], labels) for labels, _ in served):
        yield manifest, "references", "it selects no pods"


def routes(by_kind):
    services = by_kind.get("Service", {})
    for manifest in by_kind.get("Ingress", {}).values():
        for rule in manifest["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                backend = path["backend"]["service"]
                if backend["port"]["name"] not in [port["name"] for port in services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]]:
                    yield manifest, "references", f"there is no port {backend['port']['name']} of a Service {backend['name']}"
    for manifest in by_kind.get("HTTPRoute", {}).values():
        for rule in manifest["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                if backend["port"] not in [port["port"] for port in services.get(backend["name"], {"spec": {"ports": []}})["spec"]["ports"]]:
                    yield manifest, "references", f"there is no port {backend['port']} of a Service {backend['name']}"
