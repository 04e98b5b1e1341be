// A loopback proxy that adds `Authorization: Bearer …`, because the conformance suite cannot send headers of
// its own. Everything else passes through unchanged and unbuffered; only a Host or Origin that names the proxy
// itself is rewritten to the gateway's, so that foreign ones still reach the gateway's checks.
// usage: STAGEDOOR_API_KEY=… node proxy.mjs ENDPOINT   (prints the URL to use, then serves until a signal)

import http from "node:http";

const target = new URL(process.argv[2]);
const key = process.env.STAGEDOOR_API_KEY;
const agent = new http.Agent({ keepAlive: true });

const server = http.createServer((incoming, outgoing) => {
  const request = http.request({
    agent,
    hostname: target.hostname,
    port: target.port,
    path: incoming.url,
    method: incoming.method,
    headers: forwarded(incoming.rawHeaders),
  });
  request.on("response", (answer) => {
    outgoing.writeHead(answer.statusCode, answer.rawHeaders);
    outgoing.flushHeaders();
    answer.pipe(outgoing);
    answer.on("error", () => outgoing.destroy());
  });
  request.on("error", (error) => {
    if (outgoing.headersSent) return outgoing.destroy();
    outgoing.writeHead(502, { "content-type": "text/plain" });
    outgoing.end(`proxy: ${error.message}`);
  });
  outgoing.on("close", () => request.destroy());
  incoming.pipe(request);
});

function forwarded(raw) {
  const own = new Set([`127.0.0.1:${server.address().port}`, `localhost:${server.address().port}`]);
  const headers = [];
  for (let at = 0; at < raw.length; at += 2) {
    const [name, value] = [raw[at], raw[at + 1]];
    if (name.toLowerCase() === "authorization") continue;
    if (name.toLowerCase() === "host" && own.has(value)) headers.push(name, target.host);
    else if (name.toLowerCase() === "origin" && own.has(value.replace("http://", ""))) headers.push(name, target.origin);
    else headers.push(name, value);
  }
  headers.push("Authorization", `Bearer ${key}`);
  return headers;
}

server.listen(0, "127.0.0.1", () => {
  console.log(`http://127.0.0.1:${server.address().port}${target.pathname}`);
});
