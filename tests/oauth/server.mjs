// An authorization server of npm (`oidc-provider`, certified for OpenID Connect): code flow with PKCE, resource indicators
// (RFC 8707), access tokens as JWT (RFC 9068), dynamic registration. Prints its address, then serves until it is ended.

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const scopes = (
  "catalog:read library:read library:write playlists:read playlists:write playback:read playback:write history:read " +
  "recommendations:read queues:write preferences:write privacy:manage audit:read"
).split(" ");

const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
const key = { ...privateKey.export({ format: "jwk" }), kid: "one", use: "sig", alg: "RS256" };

const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const provider = new Provider(issuer, {
  jwks: { keys: [key] },
  cookies: { keys: ["for a test"] },
  scopes: ["openid", "offline_access", ...scopes],
  clientDefaults: { token_endpoint_auth_method: "none" },
  features: {
    registration: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope: scopes.join(" "),
        audience: resource,
        accessTokenFormat: "jwt",
        accessTokenTTL: 300,
        jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});
server.on("request", provider.callback());
console.log(JSON.stringify({ issuer }));
