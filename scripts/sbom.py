#!/usr/bin/env python3
"""Prints the image's bill of materials (CycloneDX 1.6, JSON): every crate that is linked into its programs, from
`cargo metadata` and the checksums of Cargo.lock, and Debian's packages that files of it are from.

usage: scripts/sbom.py [FOLDER of dpkg's status files] < output of `cargo metadata --locked --format-version 1 …`"""

import json
import os
import re
import sys
import uuid

PROGRAMS = {
    "stagedoor-gateway": "stagedoor",
    "stagedoor-keeper": "stagedoor-keeper",
    "stagedoor-operator": "stagedoor-operator",
    "stagedoor-ctl": "stagedoorctl",
}


def crates(metadata):
    """The packages that the programs are built of, by id, each with the ids that it depends on; no tests, no build scripts."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    found = {}
    wait = [id for id, package in packages.items() if package["name"] in PROGRAMS]
    while wait:
        id = wait.pop()
        if id in found:
            continue
        linked = [dep["pkg"] for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        # What runs in the compiler is in no program.
        linked = [dep for dep in linked if not any("proc-macro" in target["kind"] for target in packages[dep]["targets"])]
        found[id] = linked
        wait.extend(linked)
    return packages, found


def checksums(lock):
    entries = re.findall(r'name = "([^"]+)"\nversion = "([^"]+)"\nsource = "[^"]+"\nchecksum = "([0-9a-f]{64})"', lock)
    return {(name, version): checksum for name, version, checksum in entries}


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, sums):
    made = {
        "type": "library",
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package.get("license"):
        made["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    elif package["source"]:
        sys.exit(f"sbom: Cargo.lock has no checksum of {package['name']} {package['version']}")
    return made


def debian(folder):
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as status:
            fields = dict(re.findall(r"^(Package|Version|Architecture): (.*)$", status.read(), re.M))
        purl = f"pkg:deb/debian/{fields['Package']}@{fields['Version']}?arch={fields['Architecture']}"
        yield {"type": "library", "bom-ref": purl, "name": fields["Package"], "version": fields["Version"], "purl": purl}


def main():
    metadata = json.load(sys.stdin)
    with open(os.path.join(metadata["workspace_root"], "Cargo.lock"), encoding="utf-8") as lock:
        lock = lock.read()
    packages, found = crates(metadata)
    roots = [packages[id] for id in found if packages[id]["name"] in PROGRAMS]
    if len(roots) != len(PROGRAMS):
        sys.exit("sbom: a program's package is missing")
    components = [component(packages[id], checksums(lock)) for id in found if packages[id] not in roots]
    components += [{**component(root, {}), "type": "application", "name": PROGRAMS[root["name"]]} for root in roots]
    if len(sys.argv) > 1:
        components += debian(sys.argv[1])
    references = [one["bom-ref"] for one in components]
    version = roots[0]["version"]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        # The same parts have the same number: what is made twice is equal.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, ' '.join(sorted(references)))}",
        "version": 1,
        "metadata": {"component": {"type": "container", "bom-ref": "stagedoor", "name": "stagedoor", "version": version, "licenses": [{"license": {"id": "Apache-2.0"}}]}},
        "components": sorted(components, key=lambda one: one["bom-ref"]),
        "dependencies": [
            {"ref": "stagedoor", "dependsOn": sorted(reference(root) for root in roots)},
            *sorted(({"ref": reference(packages[id]), "dependsOn": sorted({reference(packages[dep]) for dep in linked})} for id, linked in found.items()), key=lambda one: one["ref"]),
        ],
    }
    print(json.dumps(document, indent=1, ensure_ascii=False))


main()
