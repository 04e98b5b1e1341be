"""The chart's values.schema.json: tests/chart/values.schema.base.json with the schema of the gateway's configuration in it,
without what the chart sets itself and without secrets, which values never hold."""

import copy
import json

# By section: what the chart says by itself, so that values and pods cannot disagree.
OWN = {
    "server": ["listen"],
    "ops": ["listen"],
    "admin": ["listen", "certificate_file", "private_key_file", "client_authority_file"],
    "operator": ["admin_url", "admin_insecure", "admin_key_file", "admin_ca_file", "admin_client_certificate_file", "admin_client_key_file", "installation", "namespace", "lease_namespace", "lease_name"],
    "telemetry": ["otlp_headers_file"],
    "encryption": ["key_file", "key_directory", "passphrase_directory", "api_key_pepper_file", "api_key_pepper_directory"],
}
# Addresses are in the ConfigMap: none has a user name or password.
WEB = "https?://[^/?#@\\s]+(/[^?#\\s]*)?"
STORE = "((s3|gs|az)://[^/?#@\\s]+(/[^?#\\s]*)?|file:///[^?#\\s]+)"
ADDRESSES = {
    ("ServerConfig", "public_url"): f"^({WEB})?$",
    ("AdminConfig", "issuer_url"): f"^{WEB}$",
    ("TelemetryConfig", "otlp_endpoint"): f"^{WEB}$",
    ("TransitConfig", "address"): f"^{WEB}$",
    ("BackupConfig", "url"): f"^{STORE}$",
    ("AuditConfig", "checkpoint_url"): f"^{STORE}$",
}


def build(base, config, alerts):
    """The schema of values, from its hand-written part, the configuration's schema and the groups of alert rules."""
    schema, config = copy.deepcopy(base), copy.deepcopy(config)
    definitions = config.pop("$defs")
    for section, found in config["properties"].items():
        found.pop("default", None)
        definition = definitions[found["$ref"].rsplit("/", 1)[1]]
        for key, rules in list(definition["properties"].items()):
            if key in OWN.get(section, []) or is_secret(rules):
                del definition["properties"][key]
    for (definition, key), pattern in ADDRESSES.items():
        definitions[definition]["properties"][key]["pattern"] = pattern
    for name, definition in definitions.items():
        for key, rules in definition.get("properties", {}).items():
            if rules.get("format") == "uri" and (name, key) not in ADDRESSES:
                raise ValueError(f"{name}.{key} is an address without a pattern here")
    schema["definitions"]["Config"] = {
        "description": "The configuration file by section.",
        "type": "object",
        "additionalProperties": False,
        "required": ["server"],
        "properties": config["properties"],
    }
    schema["definitions"].update(definitions)
    groups = [group["name"] for group in alerts["groups"]]
    schema["properties"]["monitoring"]["properties"]["prometheusRule"]["properties"]["excludeGroups"]["items"]["enum"] = groups
    schema["definitions"] = {name: plain(rules) for name, rules in schema["definitions"].items()}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def is_secret(rules):
    return any(one.get("writeOnly") for one in [rules, *rules.get("anyOf", [])])


def plain(node):
    """In the dialect of draft 7, which every release of Helm reads: no formats of Rust's, references to definitions."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: value for key, value in node.items() if not (key == "format" and isinstance(value, str))}
    if "$ref" in node:
        return {"$ref": node["$ref"].replace("#/$defs/", "#/definitions/")}
    return {key: plain(value) for key, value in sorted(node.items())}


def known_keys(config):
    """Every `section.key` of the configuration, and those that are secrets."""
    keys, secrets = set(), set()
    for section, found in config["properties"].items():
        for key, rules in config["$defs"][found["$ref"].rsplit("/", 1)[1]]["properties"].items():
            keys.add(f"{section}.{key}")
            if is_secret(rules):
                secrets.add(f"{section}.{key}")
    return keys, secrets
