// An OpenID provider that is not ours (oidc-provider), at the port given. Each line of JSON on
// standard input starts it anew: {"clients": [...], "jwks": {...}, "accounts": {"<sub>": {claims}}}.
// It keeps its sessions over that, as a provider does that rotates its keys.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const issuer = `http://localhost:${port}`;
const kept = new Map();

class Kept {
  constructor(name) {
    this.name = name;
  }
  key(id) {
    return `${this.name}:${id}`;
  }
  async upsert(id, payload) {
    kept.set(this.key(id), { ...payload });
  }
  async find(id) {
    return kept.get(this.key(id));
  }
  async findByUid(uid) {
    return [...kept.values()].find((one) => one.uid === uid);
  }
  async findByUserCode() {
    return undefined;
  }
  async consume(id) {
    kept.get(this.key(id)).consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    kept.delete(this.key(id));
  }
  async revokeByGrantId(grantId) {
    for (const [key, one] of kept) if (one.grantId === grantId) kept.delete(key);
  }
}

let answer = (_request, response) => response.writeHead(503).end();

function provider({ clients, jwks, accounts }) {
  return new Provider(issuer, {
    adapter: Kept,
    clients,
    jwks,
    cookies: { keys: ["a key of the test run"] },
    claims: {
      openid: ["sub"],
      email: ["email", "email_verified"],
      profile: ["name", "preferred_username"],
    },
    enabledJWA: { idTokenSigningAlgValues: ["RS256", "PS256", "ES256", "ES384"] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    ttl: { Session: 3600, Grant: 3600, Interaction: 600, IdToken: 300, AccessToken: 300 },
    findAccount: (_context, id) => ({
      accountId: id,
      claims: async () => ({ sub: id, ...accounts[id] }),
    }),
  }).callback();
}

createServer((request, response) => answer(request, response)).listen(port, "localhost", () => {
  createInterface({ input: process.stdin })
    .on("line", (line) => {
      answer = provider(JSON.parse(line));
      console.log(JSON.stringify({ issuer }));
    })
    .on("close", () => process.exit(0));
});
