// What every JavaScript client does with the gateway, whatever carries its calls: find music, make a playlist,
// add to it, read it back. Throws with the first thing that is not as it should be.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

export const TOOLS = [
  "search", "track_get", "album_get", "artist_get", "resolve", "playlists_list", "playlist_get", "playlist_create",
  "playlist_add", "accounts_list", "preferences_get", "preferences_set", "usage_status",
];

// `listTools()` gives an array of tools, `callTool(name, arguments)` a tool result.
export async function play({ listTools, callTool, provider, label }) {
  const names = (await listTools()).map((tool) => tool.name);
  for (const name of TOOLS) assert.ok(names.includes(name), `tools/list lacks ${name}: ${names}`);
  const call = (name, args) => structured(callTool, name, args);

  const found = await call("search", { query: "midnight", kinds: ["track"], provider, limit: 3 });
  const tracks = found.tracks.items.slice(0, 2).map((track) => track.ref);
  assert.equal(tracks.length, 2, `search found ${JSON.stringify(found.tracks)}`);
  for (const ref of tracks) assert.match(ref, new RegExp(`^${provider}:track:`));

  const name = `Made by ${label}`;
  const { playlist } = await call("playlist_create", { name, description: "A test.", provider });
  assert.equal(playlist.name, name);
  const { added } = await call("playlist_add", { ref: playlist.ref, tracks });
  assert.equal(added, 2);

  const read = await call("playlist_get", { ref: playlist.ref });
  assert.equal(read.playlist.name, name);
  assert.deepEqual(read.items.map((item) => item.track.ref), tracks);
}

// Calls every tool that `play` does not, so that a client that checks answers against output schemas sees them all.
export async function visitTheRest({ callTool, provider }) {
  const call = (name, args) => structured(callTool, name, args);
  const kinds = ["track", "album", "artist"];
  const found = await call("search", { query: "midnight", kinds, provider, limit: 1 });
  const [track, album, artist] = kinds.map((kind) => found[`${kind}s`].items[0]);
  for (const [name, item] of [["track_get", track], ["album_get", album], ["artist_get", artist]]) {
    const answer = await call(name, { ref: item.ref });
    assert.equal(answer[name.replace("_get", "")].ref, item.ref);
  }
  await call("resolve", { ref: track.url ?? track.ref });
  const { playlists } = await call("playlists_list", { provider });
  assert.ok(playlists.length > 0, "the playlist that was just made is not listed");
  const { accounts } = await call("accounts_list", {});
  assert.ok(accounts.some((account) => account.provider === provider), JSON.stringify(accounts));
  await call("usage_status", {});
}

// The structured content of a good result. A quota that is used up says when there is more, and is waited for.
async function structured(callTool, name, args) {
  let result = await callTool(name, args);
  const wait = result._meta?.["dev.stagedoor/error"]?.retry_after_seconds;
  if (result.isError && wait !== undefined && wait <= 30) {
    await sleep(wait * 1000);
    result = await callTool(name, args);
  }
  assert.ok(!result.isError, `${name} failed: ${JSON.stringify(result.content)}`);
  assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent, `${name}: text and structure differ`);
  return result.structuredContent;
}

// Runs one client and prints its line; any failure ends the process with status 1.
export async function report(client, revision, work) {
  try {
    const spoken = await work();
    if (spoken !== undefined) assert.equal(spoken, revision, "negotiated another revision");
    console.log(`${client} ${revision} ok`);
  } catch (error) {
    console.log(`${client} ${revision} FAILED: ${error.message.slice(0, 500)}`);
    process.exitCode = 1;
  }
}
