"""Manifests against the schemas of the Kubernetes API, release by release, and of custom resources, the chart's own among them."""

import json
import subprocess
from pathlib import Path

import kubernetes_validate
from kubernetes_validate import utils

import own_crds

OLDEST = (1, 30)
CUSTOM = {"monitoring.coreos.com", "gateway.networking.k8s.io", "postgresql.cnpg.io", "external-secrets.io"}


def releases():
    """The releases of Kubernetes whose schemas are there, from the oldest that the chart takes."""
    folder = Path(utils.__file__).parent / "kubernetes-json-schema"
    found = {tuple(map(int, path.name.removeprefix("v").split(".")[:2])) for path in folder.iterdir() if path.name.startswith("v")}
    return [f"{major}.{minor}" for major, minor in sorted(found) if (major, minor) >= OLDEST]


def check(sets, root, tools, wrong):
    """Tells `wrong` of every manifest that a schema refuses; the releases that were looked at, what was not, and how many of the
    chart's own custom resources were taken and refused."""
    versions, skipped, seen, custom = releases(), [], set(), []
    definitions = own_crds.Definitions(root / "charts/stagedoor/crds")
    for name, manifests in sets.items():
        for manifest in manifests:
            text = json.dumps(manifest, sort_keys=True)
            if text in seen:
                continue
            seen.add(text)
            where = f"{name}: {manifest['kind']}/{manifest['metadata']['name']}"
            if manifest["apiVersion"].startswith(f"{own_crds.GROUP}/"):
                for fault in definitions.faults(manifest):
                    wrong(where, fault)
                continue
            if manifest["apiVersion"].split("/")[0] in CUSTOM:
                custom.append({"where": where, "manifest": manifest})
                continue
            for version in versions:
                refuse(manifest, version, where, wrong)
    ran = subprocess.run(
        ["node", str(Path(__file__).with_name("crds.mjs")), tools], input=json.dumps(custom), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        wrong("crds.mjs", ran.stderr.strip())
    for line in ran.stdout.splitlines():
        where, what = line.split(": ", 2)[:2], line.split(": ", 2)[-1]
        if what.startswith("SKIPPED: "):
            skipped.append(f"{': '.join(where)}: {what.removeprefix('SKIPPED: ')}")
        else:
            wrong(": ".join(where), what)
    return versions, skipped, own_crds.check(root, versions, refuse, wrong)


def refuse(manifest, version, where, wrong):
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        wrong(where, f"Kubernetes {version}: {'.'.join(map(str, error.path))}: {error.message}")
    except kubernetes_validate.SchemaNotFoundError:
        wrong(where, f"Kubernetes {version} has no {manifest['kind']} of {manifest['apiVersion']}")
