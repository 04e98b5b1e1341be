// `@modelcontextprotocol/client` 2.x: 2026-07-28, with the key as a bearer token of its auth provider.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { play, report, visitTheRest } from "./story.mjs";

const { ENDPOINT, API_KEY } = process.env;
const revision = "2026-07-28";

await report("typescript-client", revision, async () => {
  const client = new Client(
    { name: "stagedoor-test", version: "1.0.0" },
    { versionNegotiation: { mode: { pin: revision } } },
  );
  const transport = new StreamableHTTPClientTransport(new URL(ENDPOINT), {
    authProvider: { token: async () => API_KEY },
  });
  await client.connect(transport);
  const callTool = (name, args) => client.callTool({ name, arguments: args });
  const listTools = async () => (await client.listTools()).tools;
  await play({ listTools, callTool, provider: "spotify", label: "typescript-client" });
  await visitTheRest({ callTool, provider: "spotify" });
  const spoken = client.getNegotiatedProtocolVersion();
  await client.close();
  return spoken;
});
