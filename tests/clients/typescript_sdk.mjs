// `@modelcontextprotocol/sdk` 1.x: 2025-11-25 with its handshake, the key as a plain header.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { play, report, visitTheRest } from "./story.mjs";

const { ENDPOINT, API_KEY } = process.env;

await report("typescript-sdk", "2025-11-25", async () => {
  const client = new Client({ name: "stagedoor-test", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(ENDPOINT), {
    requestInit: { headers: { Authorization: `Bearer ${API_KEY}` } },
  });
  await client.connect(transport);
  const callTool = (name, args) => client.callTool({ name, arguments: args });
  const listTools = async () => (await client.listTools()).tools;
  await play({ listTools, callTool, provider: "tidal", label: "typescript-sdk" });
  await visitTheRest({ callTool, provider: "tidal" });
  const spoken = transport.protocolVersion;
  await client.close();
  return spoken;
});
