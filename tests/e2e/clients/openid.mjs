// Drives openid-client: prints an authorization URL, reads the callback URL from standard input, prints what it got.
import * as oidc from "openid-client";
import { createInterface } from "node:readline/promises";

const input = JSON.parse(process.argv[2]);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

async function withKey({ jwk, algorithm }) {
  const key = await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["sign"]);
  return oidc.PrivateKeyJwt({ key, kid: jwk.kid });
}
async function authentication() {
  if (input.key) return withKey(input.key);
  return input.client_secret ? oidc.ClientSecretBasic(input.client_secret) : oidc.None();
}
const config = await oidc.discovery(
  new URL(input.issuer), input.client_id, input.client_secret, await authentication(),
  { execute: [oidc.allowInsecureRequests] },
);
const verifier = oidc.randomPKCECodeVerifier();
const nonce = oidc.randomNonce();
const state = oidc.randomState();
say({
  url: oidc.buildAuthorizationUrl(config, {
    redirect_uri: input.redirect_uri, scope: input.scope, state, nonce, aud: input.issuer,
    ...(input.launch ? { launch: input.launch } : {}),
    code_challenge: await oidc.calculatePKCECodeChallenge(verifier), code_challenge_method: "S256",
  }).href,
});
const callback = new URL((await lines.next()).value);
const tokens = await oidc.authorizationCodeGrant(config, callback, {
  pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true,
});
const refreshed = await oidc.refreshTokenGrant(config, tokens.refresh_token);
const answer = { tokens, claims: tokens.claims(), refreshed };
if (input.client_secret || input.key) {
  answer.introspected = await oidc.tokenIntrospection(config, refreshed.access_token);
}
await oidc.tokenRevocation(config, refreshed.refresh_token);
try {
  await oidc.refreshTokenGrant(config, refreshed.refresh_token);
  answer.afterRevocation = "accepted";
} catch (error) {
  answer.afterRevocation = error.error;
}
say(answer);
process.exit(0);
