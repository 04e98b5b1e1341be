"""The installation of docs/kubernetes.md: what pods and routes of its production.yaml refer to, its own commands and objects make."""

import re

import yaml

from policy import containers, pod_of

SPOILED = [
    ("for name in database redis object-store", "for name in database redis"),
    ("secretName: stagedoor-admin-tls", "secretName: stagedoor-tls"),
    ("secretName: music-tls", "secretName: tls"),
    ("secret generic stagedoor-operator-key", "secret generic operator-key"),
    ("stagedoor-admin.music.svc", "stagedoor-admin.other.svc"),
]


def problems(page, render):
    """What does not hold of the page. `render` makes manifests of the text of values and of further arguments of Helm."""
    yield from faults(page, render)
    for words, instead in SPOILED:
        if not list(faults(page.replace(words, instead), render)):
            yield f"no rule sees {instead!r} in place of {words!r}"


def faults(page, render):
    install, operator = (re.search(rf"\n## {title}\n(.*?)\n## ", page, re.S)[1] for title in ("For real, in .*?", "The operator"))
    files = {name: text for name, text in re.findall(r"```yaml\n# (\S+\.yaml).*?\n(.*?)```", install, re.S)}
    if set(files) != {"certificates.yaml", "production.yaml"}:
        yield f"its files are {', '.join(sorted(files))}"
        return
    objects = [one for one in yaml.safe_load_all(files["certificates.yaml"]) if one]
    certificates = [one["spec"] for one in objects if one["kind"] == "Certificate"]
    made = {one["secretName"] for one in certificates} | secrets_of_commands(install)
    yield from missing(render(files["production.yaml"]), made, certificates)
    flags = [word for flag in re.findall(r"--set (\S+)", operator) for word in ("--set", flag.rstrip("`"))]
    yield from missing(render(files["production.yaml"], *flags), made | secrets_of_commands(operator), certificates)


def secrets_of_commands(section):
    """The Secrets that the commands of a section make, those of a loop too."""
    names = set()
    for line in "\n".join(re.findall(r"```sh\n(.*?)```", section, re.S)).splitlines():
        over = re.match(r"for name in ([a-z0-9 -]+);", line)
        for name in re.findall(r"kubectl create secret generic (\S+)", line):
            names |= {name.replace("$name", word) for word in over[1].split()} if over else {name}
    return names


def missing(manifests, made, certificates):
    if not manifests:
        yield "its values are not taken"
    there = {(one["kind"], one["metadata"]["name"]) for one in manifests} | {("Secret", name) for name in made}
    for manifest in manifests:
        for wanted in sorted(set(referred(manifest)) - there):
            yield f"{manifest['kind']}/{manifest['metadata']['name']} needs {'/'.join(wanted)}, which nothing makes"
        pod = pod_of(manifest)
        for variable in (one for container in containers(pod[1]) for one in container.get("env", [])) if pod else []:
            if variable["name"] == "STAGEDOOR_OPERATOR__ADMIN_URL":
                host = re.fullmatch(r"https://([^:/]+)(:\d+)?", variable["value"])[1]
                if not any(host in one.get("dnsNames", []) for one in certificates):
                    yield f"no certificate names {host}"


def referred(manifest):
    """Every Secret and ConfigMap that must be there."""
    if manifest["kind"] == "Ingress":
        yield from (("Secret", one["secretName"]) for one in manifest["spec"].get("tls", []))
    pod = pod_of(manifest)
    if not pod:
        return
    spec = pod[1]
    yield from (("Secret", one["name"]) for one in spec.get("imagePullSecrets", []))
    for volume in spec.get("volumes", []):
        for source in [volume, *volume.get("projected", {}).get("sources", [])]:
            secret, file = source.get("secret", {}), source.get("configMap", {})
            if secret and not secret.get("optional"):
                yield "Secret", secret.get("secretName") or secret["name"]
            if file and not file.get("optional"):
                yield "ConfigMap", file["name"]
    for container in containers(spec):
        sources = [*container.get("envFrom", []), *(one.get("valueFrom", {}) for one in container.get("env", []))]
        for source in sources:
            for kind, keys in {"Secret": ("secretRef", "secretKeyRef"), "ConfigMap": ("configMapRef", "configMapKeyRef")}.items():
                yield from ((kind, source[key]["name"]) for key in keys if key in source and not source[key].get("optional"))
