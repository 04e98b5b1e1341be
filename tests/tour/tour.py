"""The tour of docs/tour.md, for real: from a person with nothing linked to a playlist at the other service.

usage: tour.py FOLDER      (STAGEDOOR: the program, INSPECTOR: how to run the Inspector; the transcript goes to stdout)
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from contextlib import asynccontextmanager

import httpx2
from browser import agree
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from transcript import Transcript

FOLDER = sys.argv[1]
GATE_OPEN = '{"policy_gates": {"spotify": {"transfer": true}}}'


class Demo:
    """`stagedoor demo` on loopback; the same data and the same port when it is started again."""

    def __init__(self) -> None:
        self.process, self.port, self.endpoint, self.key = None, "0", "", ""

    def start(self, *options: str) -> None:
        command = [os.environ["STAGEDOOR"], "demo", "--json", "--port", self.port, "--data-dir", f"{FOLDER}/demo", *options]
        with open(f"{FOLDER}/demo.log", "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        line = self.process.stdout.readline()
        assert line, f"the demo did not start; see {FOLDER}/demo.log"
        greeting = json.loads(line)
        self.endpoint, self.key = greeting["endpoint"], greeting["api_key"]
        self.port = self.endpoint.split(":")[2].split("/")[0]

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.wait(60)
            self.process = None


class Agent:
    """A client of the Python SDK that writes down what it asks and what it is told."""

    def __init__(self, client: Client, transcript: Transcript) -> None:
        self.client, self.transcript = client, transcript

    async def _call(self, tool: str, arguments: dict):
        result = await self.client.call_tool(tool, arguments)
        wait = ((result.meta or {}).get("dev.stagedoor/error") or {}).get("retry_after_seconds")
        if result.is_error and "rate_limited" in result.content[0].text and wait is not None and wait <= 60:
            await asyncio.sleep(wait)
            result = await self.client.call_tool(tool, arguments)
        return result

    async def call(self, tool: str, arguments: dict, *, show: list | None = None, new: str | None = None) -> dict:
        """A call that works. `show` names the members of the answer that are written down, all if left out; `new` is what
        to call the playlist that it made."""
        result = await self._call(tool, arguments)
        assert not result.is_error, f"{tool} {arguments}: {result.content}"
        answer = result.structured_content
        assert json.loads(result.content[0].text) == answer, f"{tool}: text and structure differ"
        if new:
            self.transcript.name(answer["playlist"]["ref"].split(":")[2], new)
        self.transcript.asked(f"{tool} {json.dumps(arguments, ensure_ascii=False)}")
        self.transcript.answered(answer if show is None else {name: answer[name] for name in show if name in answer})
        return answer

    async def refused(self, tool: str, arguments: dict, code: str) -> None:
        result = await self._call(tool, arguments)
        assert result.is_error and result.content[0].text.startswith(f"{code}:"), f"{tool}: {result.content}"
        self.transcript.asked(f"{tool} {json.dumps(arguments, ensure_ascii=False)}")
        self.transcript.failed(result.content[0].text)


@asynccontextmanager
async def connected(demo: Demo, transcript: Transcript):
    headers = {"Authorization": f"Bearer {demo.key}"}
    async with httpx2.AsyncClient(headers=headers, timeout=60) as http_client:
        async with Client(streamable_http_client(demo.endpoint, http_client=http_client), mode="auto") as client:
            yield Agent(client, transcript)


def inspector(demo: Demo, *arguments: str) -> dict:
    command = [*os.environ["INSPECTOR"].split(), "--cli", "--protocol-era", "modern", "--format", "json", "--quiet"]
    target = ["--stored-auth-only", "--transport", "http", "--server-url", demo.endpoint]
    key = ["--header", f"Authorization: Bearer {demo.key}"]
    environment = os.environ | {"HOME": FOLDER}
    run = subprocess.run([*command, *target, *key, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert run.returncode == 0, f"the Inspector ended with {run.returncode}: {run.stderr or run.stdout}"
    answer = json.loads(run.stdout)
    return answer.get("result", answer)


async def linking(agent: Agent, transcript: Transcript) -> None:
    transcript.say("## Nothing is linked yet")
    await agent.call("accounts_list", {})
    for provider in ("spotify", "tidal"):
        transcript.say(f"## Link the {provider.title()} account")
        asked = await agent.call("account_link", {"provider": provider}, show=["status", "provider", "url"])
        transcript.say("The person opens the page, agrees, and agrees at the service (here the sandbox's own page).")
        page = await agree(asked["url"])
        assert "linked" in page.lower(), page[:400]
        await agent.call("account_link", {"link": asked["link"]}, show=["status", "provider", "account"])


async def building(agent: Agent, transcript: Transcript, tracks: list) -> dict:
    transcript.say("## Build a playlist")
    made = await agent.call(
        "playlist_create",
        {"name": "River road", "description": "For a drive along the river.", "provider": "spotify"},
        new="PLAYLIST",
    )
    reference = made["playlist"]["ref"]
    add = {"ref": reference, "tracks": tracks, "idempotency_key": "river-road-1"}
    await agent.call("playlist_add", add)
    transcript.say("The same call again, with the same `idempotency_key`, adds nothing: it is the first answer once more.")
    await agent.call("playlist_add", add)
    transcript.say("What reordering would do, before it is done, and then done:")
    move = {"ref": reference, "start": 4, "length": 1, "before": 0}
    await agent.call("playlist_reorder", move | {"dry_run": True})
    return await agent.call("playlist_reorder", move) | {"ref": reference}


async def breaking(agent: Agent, transcript: Transcript, reference: str, tracks: list) -> None:
    transcript.say("## Break it, and undo that")
    transcript.say("An edit that was thought out for an older version is refused, with what has changed since:")
    await agent.refused("playlist_remove", {"ref": reference, "positions": [0], "expected_version": "2"}, "conflict")
    transcript.say("This one goes through, and it is a mistake:")
    await agent.call("playlist_replace", {"ref": reference, "tracks": tracks[:1]})
    await agent.call("playlist_versions", {"ref": reference})
    await agent.call("playlist_diff", {"ref": reference})
    await agent.call("playlist_undo", {"ref": reference})
    await agent.call("playlist_get", {"ref": reference, "limit": 5}, show=["items"])


async def moving(agent: Agent, transcript: Transcript, reference: str) -> None:
    move = {"ref": reference, "to_provider": "tidal"}
    report = await agent.call("playlist_transfer", move)
    for _ in range(60):
        if report["state"] in ("done", "failed", "waiting"):
            break
        await asyncio.sleep(1)
        report = await agent.call("job_get", {"job": report["job"]})
    if report["state"] == "waiting":
        transcript.say("Some tracks could be several; the best match of each is good enough here:")
        report = await agent.call("playlist_transfer", {"job": report["job"], "accept_best": True})
    assert report["state"] == "done", report
    await agent.call("playlists_list", {"provider": "tidal"}, show=["provider", "playlists"])


async def tour(demo: Demo, transcript: Transcript) -> None:
    demo.start("--reset", "--unlinked")
    transcript.say(
        "# A tour\n\nA person with two accounts and nothing linked, an agent with a key: from there to a playlist that is built, "
        "broken, mended and\nmoved to the other service. Everything below was answered by a real run of `stagedoor demo`; `just tour` "
        "does it again and fails if\nanything differs. Ids, times and addresses are named alike in every run, long lists are cut.\n\n"
        "<!-- Written by `just tour --write`: do not edit by hand. -->"
    )
    transcript.say("## What there is\n\nThe Inspector of MCP lists the tools:")
    tools = inspector(demo, "--method", "tools/list", "--strict")["tools"]
    transcript.asked("npx @modelcontextprotocol/inspector --cli ENDPOINT --method tools/list")
    size = len(json.dumps(tools, separators=(",", ":"), ensure_ascii=False).encode())
    transcript.failed(f"{len(tools)} tools: {', '.join(tool['name'] for tool in tools)}")
    assert size // 4 < 8_000, f"the list of tools costs {size // 4} tokens"
    async with connected(demo, transcript) as agent:
        await linking(agent, transcript)
        transcript.say("## Find music\n\nThe Inspector calls a tool, too:")
        query = {"query": "river", "provider": "spotify", "limit": 5}
        found = inspector(
            demo, "--method", "tools/call", "--tool-name", "search", "--tool-args-json", json.dumps(query)
        )["structuredContent"]
        transcript.asked(f"search {json.dumps(query)}")
        transcript.answered(found)
        tracks = [track["ref"] for track in found["tracks"]["items"]]
        made = await building(agent, transcript, tracks)
        await breaking(agent, transcript, made["ref"], tracks)
        transcript.say("## Move it to the other service\n\nSpotify's terms forbid that unless the operator has another agreement:")
        await agent.refused("playlist_transfer", {"ref": made["ref"], "to_provider": "tidal"}, "policy_gate_closed")
    demo.stop()
    transcript.say(f"The operator opens the gate (here: the demo is started again with `--settings '{GATE_OPEN}'`):")
    demo.start("--settings", GATE_OPEN)
    async with connected(demo, transcript) as agent:
        await moving(agent, transcript, made["ref"])
        transcript.say("## What it cost")
        await agent.call("usage_status", {}, show=["scopes", "toolsets", "limits"])


def main() -> None:
    demo, transcript = Demo(), Transcript()
    begun = time.monotonic()
    try:
        asyncio.run(tour(demo, transcript))
    finally:
        demo.stop()
    print(f"the tour took {time.monotonic() - begun:.0f} s", file=sys.stderr)
    sys.stdout.write(transcript.text())


if __name__ == "__main__":
    main()
