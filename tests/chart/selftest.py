"""Whether the rules see what they are there for: manifests that hold are spoiled in one place each, and one rule must say so."""

import copy

import policy
import together


def found(manifests, kind, name):
    return next(one for one in manifests if one["kind"] == kind and one["metadata"]["name"] == name)


def pod(manifests, kind="Deployment", name="stagedoor"):
    return policy.pod_of(found(manifests, kind, name))[1]


def gone(manifests, kind, name):
    manifests.remove(found(manifests, kind, name))


def container(manifests, **kind):
    return pod(manifests, **kind)["containers"][0]


JOB = {"kind": "CronJob", "name": "stagedoor-backup"}
SPOILED = [
    ("restricted", lambda all: container(all)["securityContext"].update(readOnlyRootFilesystem=False)),
    ("restricted", lambda all: container(all, **JOB)["securityContext"].pop("capabilities")),
    ("restricted", lambda all: container(all)["securityContext"].pop("allowPrivilegeEscalation")),
    ("restricted", lambda all: pod(all)["securityContext"].update(runAsUser=0)),
    ("restricted", lambda all: pod(all)["securityContext"].pop("seccompProfile")),
    ("restricted", lambda all: pod(all).update(hostNetwork=True)),
    ("restricted", lambda all: pod(all)["volumes"].append({"name": "host", "hostPath": {"path": "/"}})),
    ("image", lambda all: container(all).update(image="registry.example.com:5000/stagedoor")),
    ("image", lambda all: container(all).update(image="registry.example.com/stagedoor:latest")),
    ("resources", lambda all: container(all, **JOB)["resources"]["limits"].pop("memory")),
    ("identity", lambda all: pod(all).pop("automountServiceAccountToken")),
    ("identity", lambda all: pod(all).update(enableServiceLinks=True)),
    ("secrets", lambda all: found(all, "ConfigMap", "stagedoor")["data"].update(more="postgres://app:pa55@db/stagedoor")),
    ("secrets", lambda all: container(all)["env"].append({"name": "AWS_SECRET_ACCESS_KEY", "value": "x"})),
    ("secrets", lambda all: all.append({**copy.deepcopy(found(all, "ConfigMap", "stagedoor")), "kind": "Secret"})),
    ("probes", lambda all: container(all).pop("readinessProbe")),
    ("probes", lambda all: container(all)["livenessProbe"]["httpGet"].update(port="health")),
    ("jobs", lambda all: found(all, **JOB)["spec"].update(concurrencyPolicy="Allow")),
    ("jobs", lambda all: found(all, **JOB)["spec"]["jobTemplate"]["spec"].pop("activeDeadlineSeconds")),
    ("drain", lambda all: pod(all).update(terminationGracePeriodSeconds=30)),
    ("rbac", lambda all: found(all, "Role", "stagedoor-key-rotation")["rules"][0].pop("resourceNames")),
    ("rbac", lambda all: found(all, "Role", "stagedoor-key-rotation")["rules"][0].update(verbs=["*"])),
    ("labels", lambda all: found(all, "Service", "stagedoor")["metadata"]["labels"].pop("app.kubernetes.io/component")),
    ("labels", lambda all: found(all, **JOB)["metadata"].update(name="x" * 53)),
    ("labels", lambda all: found(all, "Service", "stagedoor")["metadata"].update(name="my.music-stagedoor")),
    ("network", lambda all: gone(all, "NetworkPolicy", "stagedoor-keeper")),
    ("network", lambda all: gone(all, "NetworkPolicy", "stagedoor-migration")),
    ("checksum", lambda all: policy.pod_of(found(all, "Deployment", "stagedoor"))[0]["annotations"].clear()),
    ("references", lambda all: gone(all, "ServiceAccount", "stagedoor-keeper")),
    ("references", lambda all: gone(all, "RoleBinding", "stagedoor-key-rotation")),
    ("references", lambda all: found(all, "Service", "stagedoor")["spec"]["selector"].update({"app.kubernetes.io/component": "gate"})),
    ("references", lambda all: found(all, "Service", "stagedoor-admin")["spec"]["ports"][0].update(targetPort="grpc")),
    ("references", lambda all: found(all, "HTTPRoute", "stagedoor")["spec"]["rules"][0]["backendRefs"][0].update(port=81)),
    ("references", lambda all: found(all, "Deployment", "stagedoor")["spec"].update(replicas=3)),
    ("references", lambda all: pod(all)["volumes"].pop()),
    ("references", lambda all: container(all)["env"].append({"name": "STAGEDOOR_OAUTH__CA_FILE", "value": "/etc/ca.pem"})),
    ("references", lambda all: pod(all)["volumes"][1]["secret"].update(defaultMode=0o444)),
]
OPERATOR = {"kind": "Deployment", "name": "stagedoor-operator"}
SPOILED_OPERATOR = [
    ("identity", lambda all: pod(all, **OPERATOR).pop("automountServiceAccountToken")),
    ("checksum", lambda all: policy.pod_of(found(all, **OPERATOR))[0]["annotations"].clear()),
    ("network", lambda all: gone(all, "NetworkPolicy", "stagedoor-operator")),
    ("references", lambda all: pod(all, **OPERATOR)["volumes"].pop(1)),
    ("references", lambda all: gone(all, "ClusterRole", "music:stagedoor-operator")),
    ("references", lambda all: found(all, "ClusterRoleBinding", "music:stagedoor-operator")["subjects"][0].update(name="default")),
    ("references", lambda all: found(all, "RoleBinding", "stagedoor-operator-lease")["metadata"].update(namespace="kube-system")),
    ("references", lambda all: found(all, "PodDisruptionBudget", "stagedoor-operator")["spec"]["selector"]["matchLabels"].update(x="y")),
    ("labels", lambda all: found(all, "ClusterRole", "music:stagedoor-operator")["metadata"].update(name="music-stagedoor-operator")),
    ("labels", lambda all: found(all, "ClusterRoleBinding", "music:stagedoor-operator")["metadata"].update(name="stagedoor-operator")),
    ("rights", lambda all: found(all, "ClusterRole", "music:stagedoor-operator")["rules"][2]["verbs"].append("list")),
    ("rights", lambda all: found(all, "ClusterRole", "music:stagedoor-operator")["rules"][0]["verbs"].remove("watch")),
    ("rights", lambda all: found(all, "Role", "stagedoor-operator-lease")["rules"][1].pop("resourceNames")),
    ("rights", lambda all: found(all, "Role", "stagedoor-operator-lease")["metadata"].update(name="stagedoor-more")),
]


def problems(manifests, with_operator):
    """What no rule noticed, in the manifests of two releases that hold."""
    yield from unseen(manifests, SPOILED)
    yield from unseen(with_operator, SPOILED_OPERATOR)


def unseen(manifests, ways):
    for index, (rule, spoil) in enumerate(ways):
        spoiled = copy.deepcopy(manifests)
        spoil(spoiled)
        told = {rule for one in spoiled for rule, _ in policy.of_one(one)} | {rule for _, rule, _ in together.problems(spoiled)}
        if rule not in told:
            yield f"no rule saw number {index + 1} of {len(ways)}, which {rule} is there for"
