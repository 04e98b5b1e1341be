"""The chart's own definitions of custom resources against the API of Kubernetes, and objects against them. Rules in CEL are for
services/operator/tests/scenarios."""

import re
from datetime import datetime

import jsonschema
import yaml

GROUP = "stagedoor.dev"
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def is_time(text):
    return not isinstance(text, str) or datetime.fromisoformat(text).tzinfo is not None


class Definitions:
    """The definitions in a folder."""

    def __init__(self, folder):
        self.all = [yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))]
        self.schemas = {}
        for one in self.all:
            for version in one["spec"]["versions"]:
                key = (f"{GROUP}/{version['name']}", one["spec"]["names"]["kind"])
                self.schemas[key] = closed(version["schema"]["openAPIV3Schema"])

    def faults(self, manifest):
        """What the API server would not take, each as `path: what`."""
        schema = self.schemas.get((manifest["apiVersion"], manifest["kind"]))
        if not schema:
            return [f"there is no {manifest['kind']} of {manifest['apiVersion']}"]
        spec = {"spec": manifest["spec"]}
        found = jsonschema.Draft202012Validator(schema, format_checker=FORMATS).iter_errors(spec)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in found]


def closed(schema):
    """A schema that takes no field that it does not name, as `kubectl apply` does; metadata is Kubernetes' own."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: closed(inner) for name, inner in schema["properties"].items()}
        schema.setdefault("additionalProperties", False)
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            schema[inner] = closed(schema[inner])
    return schema


def check(root, versions, refuse, wrong):
    """Tells `wrong` of definitions and samples that do not hold; how many samples were looked at."""
    definitions = Definitions(root / "charts/stagedoor/crds")
    if len(definitions.all) < 3:
        wrong("charts/stagedoor/crds", f"{len(definitions.all)} definitions")
    for one in definitions.all:
        for version in versions:
            refuse(one, version, f"charts/stagedoor/crds: {one['metadata']['name']}", wrong)
    here = root / "tests/chart"
    page = (root / "docs/kubernetes-operator.md").read_text()
    shown = [one for block in re.findall(r"```yaml\n(apiVersion:.*?)```", page, re.S) for one in yaml.safe_load_all(block)]
    good = {"docs/kubernetes-operator.md": shown, "tests/chart/objects.yaml": list(yaml.safe_load_all((here / "objects.yaml").read_text()))}
    for where, objects in good.items():
        missing = {kind for _, kind in definitions.schemas} - {one["kind"] for one in objects}
        if missing:
            wrong(where, f"no sample of {', '.join(sorted(missing))}")
        for one in objects:
            for fault in definitions.faults(one):
                wrong(f"{where}: {one['kind']}/{one['metadata']['name']}", fault)
    bad = yaml.safe_load((here / "bad/objects.yaml").read_text())
    for case in bad:
        faults = definitions.faults({"apiVersion": f"{GROUP}/v1alpha1", "kind": case["kind"], "spec": case["spec"]})
        if not any(all(words in fault for words in case["says"]) for fault in faults):
            wrong("tests/chart/bad/objects.yaml", f"{case}: {faults}")
    return sum(map(len, good.values())), len(bad)
