// What an agent's client goes through that has nothing but the endpoint's address: a challenge, the metadata of the
// resource, registration, consent, a token for this very resource; then calls, and a step up.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from "@modelcontextprotocol/client";
import { consent } from "./browser.mjs";

const { ENDPOINT, ISSUER } = process.env;
const CALLBACK = "http://127.0.0.1:9/callback";
const revision = "2026-07-28";
let failed = 0;

async function chapter(name, tell) {
  try {
    await tell();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n${error.stack}`);
  }
}

// A call as a client of 2026-07-28 makes it.
async function call(token, method, params = {}, endpoint = ENDPOINT) {
  const meta = {
    "io.modelcontextprotocol/protocolVersion": revision,
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": { name: "stagedoor-test", version: "1.0.0" },
  };
  const headers = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": revision,
    "mcp-method": method,
  };
  if (params.name) headers["mcp-name"] = params.name;
  if (token) headers.authorization = `Bearer ${token}`;
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params: { ...params, _meta: meta } });
  const response = await fetch(endpoint, { method: "POST", headers, body });
  const challenge = response.headers.get("www-authenticate") ?? "";
  const parameter = (name) => challenge.match(new RegExp(`${name}="([^"]*)"`))?.[1];
  return { status: response.status, body: await response.json(), parameter };
}

// The code flow by hand (RFC 6749 §4.1, RFC 7636, RFC 8707).
async function authorize(description, client, { scope, resource }) {
  const verifier = randomBytes(32).toString("base64url");
  const url = new URL(description.authorization_endpoint);
  url.search = new URLSearchParams({
    response_type: "code",
    client_id: client.client_id,
    redirect_uri: CALLBACK,
    scope,
    resource,
    state: "state",
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  const answer = await consent(url, CALLBACK, "alice");
  assert.equal(answer.searchParams.get("iss"), ISSUER, "RFC 9207");
  const response = await fetch(description.token_endpoint, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "authorization_code",
      code: answer.searchParams.get("code"),
      redirect_uri: CALLBACK,
      client_id: client.client_id,
      code_verifier: verifier,
      resource,
    }),
  });
  const tokens = await response.json();
  assert.equal(response.status, 200, JSON.stringify(tokens));
  return tokens.access_token;
}

const metadata = { redirect_uris: [CALLBACK], client_name: "stagedoor-test", token_endpoint_auth_method: "none" };

async function byHand() {
  const anonymous = await call(undefined, "tools/list");
  assert.equal(anonymous.status, 401);
  const resource = await (await fetch(anonymous.parameter("resource_metadata"))).json();
  assert.equal(resource.resource, ENDPOINT);
  assert.deepEqual(resource.authorization_servers, [ISSUER]);
  assert.equal(anonymous.parameter("scope"), resource.scopes_supported.join(" "));
  const description = await (await fetch(`${ISSUER}/.well-known/oauth-authorization-server`)).json();
  const registered = await fetch(description.registration_endpoint, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(metadata),
  });
  const client = await registered.json();
  assert.equal(registered.status, 201, JSON.stringify(client));
  return { resource, description, client };
}

await chapter("code flow, PKCE, a token for this resource", async () => {
  const { resource, description, client } = await byHand();
  const token = await authorize(description, client, { scope: "catalog:read", resource: resource.resource });
  const [header, claims] = token.split(".").slice(0, 2).map((part) => JSON.parse(Buffer.from(part, "base64url")));
  assert.equal(header.typ, "at+jwt");
  assert.equal(claims.aud, ENDPOINT);
  const listed = await call(token, "tools/list");
  assert.equal(listed.status, 200, JSON.stringify(listed.body));
  assert.ok(listed.body.result.tools.some((tool) => tool.name === "search"));
  const found = await call(token, "tools/call", { name: "search", arguments: { query: "a", provider: "tidal" } });
  assert.equal(found.body.result.isError, false, JSON.stringify(found.body));
});

await chapter("a step up to the scopes that the challenge lists", async () => {
  const { resource, description, client } = await byHand();
  const small = await authorize(description, client, { scope: "catalog:read", resource: resource.resource });
  const create = { name: "playlist_create", arguments: { name: "a", provider: "spotify" } };
  const refused = await call(small, "tools/call", create);
  assert.equal(refused.status, 403);
  assert.equal(refused.parameter("error"), "insufficient_scope");
  assert.equal(refused.parameter("scope"), "catalog:read playlists:write");
  const scope = refused.parameter("scope");
  const large = await authorize(description, client, { scope, resource: resource.resource });
  assert.equal((await call(large, "tools/call", create)).status, 200);
});

await chapter("a token for another resource is refused", async () => {
  const { description, client } = await byHand();
  for (const resource of [ENDPOINT.replace(/t\/[^/]+/, "t/other"), "https://example.com/", `${ENDPOINT}/readonly`]) {
    const token = await authorize(description, client, { scope: "catalog:read", resource });
    const refused = await call(token, "tools/list");
    assert.equal(refused.status, 401, resource);
    assert.equal(refused.parameter("error"), "invalid_token");
  }
  const narrow = await authorize(description, client, { scope: "catalog:read", resource: `${ENDPOINT}/readonly` });
  assert.equal((await call(narrow, "tools/list", {}, `${ENDPOINT}/readonly`)).status, 200);
});

// The official client's own flow, from the endpoint's address alone.
class Person {
  redirectUrl = CALLBACK;
  clientMetadata = metadata;
  clientInformation() {
    return this.client;
  }
  saveClientInformation(client) {
    this.client = client;
  }
  tokens() {
    return this.held;
  }
  saveTokens(tokens) {
    this.held = tokens;
  }
  redirectToAuthorization(url) {
    this.asked = url;
  }
  discoveryState() {
    return this.discovered;
  }
  saveDiscoveryState(discovered) {
    this.discovered = discovered;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
}

for (const path of ["", "/readonly"]) {
  await chapter(`@modelcontextprotocol/client signs in by itself at ${path || "the endpoint"}`, async () => {
    const person = new Person();
    const url = new URL(`${ENDPOINT}${path}`);
    const connect = async () => {
      const client = new Client(
        { name: "stagedoor-test", version: "1.0.0" },
        { versionNegotiation: { mode: { pin: revision } } },
      );
      const transport = new StreamableHTTPClientTransport(url, { authProvider: person });
      return { client, transport };
    };
    const first = await connect();
    await assert.rejects(first.client.connect(first.transport), UnauthorizedError);
    assert.equal(person.asked.searchParams.get("resource"), url.href);
    const answer = await consent(person.asked, CALLBACK, "bob");
    await first.transport.finishAuth(answer.searchParams);
    const second = await connect();
    await second.client.connect(second.transport);
    const { tools } = await second.client.listTools();
    assert.ok(tools.some((tool) => tool.name === "search"));
    const found = await second.client.callTool({ name: "search", arguments: { query: "a", provider: "tidal" } });
    assert.ok(!found.isError, JSON.stringify(found));
    await second.client.close();
  });
}

console.log(`oauth: ${5 - failed} passed, ${failed} failed, 0 skipped`);
process.exit(failed === 0 ? 0 : 1);
