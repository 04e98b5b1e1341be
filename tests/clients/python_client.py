"""The Python SDK `mcp` 2.x in either era: find music, make a playlist, add to it, read it back.

usage: python_client.py 2026-07-28 | 2025-11-25      (ENDPOINT and API_KEY in the environment)
"""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

TOOLS = {
    "search", "track_get", "album_get", "artist_get", "resolve", "playlists_list", "playlist_get",
    "playlist_create", "playlist_add", "accounts_list", "preferences_get", "preferences_set", "usage_status",
}


async def call(client: Client, name: str, arguments: dict) -> dict:
    """The structured content of a good result. A quota that is used up says when there is more."""
    result = await client.call_tool(name, arguments)
    wait = ((result.meta or {}).get("dev.stagedoor/error") or {}).get("retry_after_seconds")
    if result.is_error and wait is not None and wait <= 30:
        await asyncio.sleep(wait)
        result = await client.call_tool(name, arguments)
    assert not result.is_error, f"{name} failed: {result.content}"
    assert json.loads(result.content[0].text) == result.structured_content, f"{name}: text and structure differ"
    return result.structured_content


async def play(client: Client, provider: str, label: str) -> None:
    names = {tool.name for tool in (await client.list_tools()).tools}
    assert TOOLS <= names, f"tools/list lacks {TOOLS - names}"

    found = await call(client, "search", {"query": "midnight", "kinds": ["track"], "provider": provider, "limit": 3})
    tracks = [track["ref"] for track in found["tracks"]["items"][:2]]
    assert len(tracks) == 2, f"search found {found['tracks']}"
    assert all(track.startswith(f"{provider}:track:") for track in tracks), tracks

    name = f"Made by {label}"
    created = await call(client, "playlist_create", {"name": name, "description": "A test.", "provider": provider})
    playlist = created["playlist"]
    assert playlist["name"] == name, playlist
    added = await call(client, "playlist_add", {"ref": playlist["ref"], "tracks": tracks})
    assert added["added"] == 2, added

    read = await call(client, "playlist_get", {"ref": playlist["ref"]})
    assert read["playlist"]["name"] == name, read
    assert [item["track"]["ref"] for item in read["items"]] == tracks, read["items"]


async def main(revision: str) -> None:
    modern = revision == "2026-07-28"
    headers = {"Authorization": f"Bearer {os.environ['API_KEY']}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http_client:
        transport = streamable_http_client(os.environ["ENDPOINT"], http_client=http_client)
        async with Client(transport, mode="auto" if modern else "legacy") as client:
            assert client.protocol_version == revision, f"negotiated {client.protocol_version}"
            await play(client, "spotify" if modern else "tidal", f"python-mcp {revision}")


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1]))
    except Exception as error:
        cause = error
        while isinstance(cause, ExceptionGroup):
            cause = cause.exceptions[0]
        print(f"python-mcp {sys.argv[1]} FAILED: {type(cause).__name__}: {str(cause)[:500]}")
        sys.exit(1)
    print(f"python-mcp {sys.argv[1]} ok")
