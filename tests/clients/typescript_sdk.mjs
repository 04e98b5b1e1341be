// `@modelcontextprotocol/sdk` 1.x: 2025-11-25 with its handshake, the key as a plain header.

import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { play, report } from "./story.mjs";

const { ENDPOINT, API_KEY } = process.env;

await report("typescript-sdk", "2025-11-25", async () => {
  const client = new Client({ name: "stagedoor-test", version: "1.0.0" });
  const transport = new StreamableHTTPClientTransport(new URL(ENDPOINT), {
    requestInit: { headers: { Authorization: `Bearer ${API_KEY}` } },
  });
  await client.connect(transport);
  await play({
    listTools: async () => (await client.listTools()).tools,
    callTool: (name, args) => client.callTool({ name, arguments: args }),
    provider: "tidal",
    label: "typescript-sdk",
  });
  const spoken = transport.protocolVersion;
  await client.close();
  return spoken;
});
