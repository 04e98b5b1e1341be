"""Makes a few calls of the gateway at argv[1] with the key argv[2]; with the standard library alone."""

import json
import sys
import urllib.request

endpoint, key = sys.argv[1:]


def call(number, name, arguments):
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "telemetry", "version": "1"},
    }
    params = {"name": name, "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
    headers = {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": name,
    }
    request = urllib.request.Request(endpoint, json.dumps(message).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["result"]["isError"]


failed = [
    call(1, "consent_set", {"purpose": "analytics", "granted": True, "policy_version": "1"}),
    call(2, "search", {"query": "river", "provider": "spotify"}),
    call(3, "playlists_list", {"provider": "tidal"}),
    call(4, "track_get", {"ref": "spotify:track:none"}),
]
print(f"{len(failed)} calls, {sum(failed)} of them failed")
