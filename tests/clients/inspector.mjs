// The Inspector's command line, one process a call as people script it. Its tools/list --strict also finds
// fault with schemas that other clients could stumble over.
// usage: node inspector.mjs modern|legacy

import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { play, report } from "./story.mjs";

const { ENDPOINT, API_KEY, WORK } = process.env;
const era = process.argv[2];
const launcher = fileURLToPath(
  new URL("node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js", import.meta.url),
);
const TOOL_FAILED = 5;

await report("inspector-cli", era === "modern" ? "2026-07-28" : "2025-11-25", () =>
  play({
    listTools: async () => (await inspector("--method", "tools/list", "--strict")).tools,
    callTool: (name, args) =>
      inspector("--method", "tools/call", "--tool-name", name, "--tool-args-json", JSON.stringify(args)),
    provider: era === "modern" ? "tidal" : "spotify",
    label: `inspector-cli ${era}`,
  }),
);

async function inspector(...args) {
  const shared = ["--cli", "--protocol-era", era, "--format", "json", "--quiet", "--stored-auth-only"];
  const target = ["--transport", "http", "--server-url", ENDPOINT, "--header", `Authorization: Bearer ${API_KEY}`];
  const environment = { ...process.env, HOME: WORK }; // Its own settings folder, not the developer's.
  const run = promisify(execFile)(process.execPath, [launcher, ...shared, ...target, ...args], { env: environment });
  const { stdout } = await run.catch((error) => {
    if (error.code === TOOL_FAILED && error.stdout) return error;
    throw new Error(`${args.join(" ")} ended with ${error.code}: ${error.stderr || error.stdout}`);
  });
  const answer = JSON.parse(stdout);
  return answer.result ?? answer;
}
