// A small SMART App Launch client: discovery, PKCE, code exchange. No library, nothing to build.
"use strict";

const Smart = (() => {
  const KEY = "fhir-facade-sample";
  const url64 = (bytes) =>
    btoa(String.fromCharCode(...new Uint8Array(bytes)))
      .replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const random = () => url64(crypto.getRandomValues(new Uint8Array(32)));

  async function json(response) {
    const body = await response.json().catch(() => ({}));
    if (!response.ok) {
      const issue = body.issue && body.issue[0];
      const text = body.error_description || body.error
        || (issue && ((issue.details && issue.details.text) || issue.diagnostics));
      throw new Error(`${response.status} ${text || response.statusText}`);
    }
    return body;
  }

  const discover = (iss) => fetch(`${iss}/.well-known/smart-configuration`).then(json);

  async function authorize({ iss, launch, clientId, redirectUri, scope }) {
    const endpoints = await discover(iss);
    const verifier = random();
    const state = random();
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    sessionStorage.setItem(KEY, JSON.stringify({
      iss, clientId, redirectUri, verifier, state, token: endpoints.token_endpoint,
    }));
    const query = new URLSearchParams({
      response_type: "code", client_id: clientId, redirect_uri: redirectUri, scope, state, aud: iss,
      code_challenge: url64(digest), code_challenge_method: "S256",
    });
    if (launch) query.set("launch", launch);
    location.assign(`${endpoints.authorization_endpoint}?${query}`);
  }

  async function ready() {
    const saved = JSON.parse(sessionStorage.getItem(KEY) || "null");
    const answer = new URLSearchParams(location.search);
    if (answer.get("error")) {
      throw new Error(answer.get("error_description") || answer.get("error"));
    }
    if (!saved) throw new Error("Start at the launch page.");
    if (answer.get("code")) {
      if (answer.get("state") !== saved.state) throw new Error("The state does not match.");
      const body = new URLSearchParams({
        grant_type: "authorization_code", code: answer.get("code"),
        redirect_uri: saved.redirectUri, client_id: saved.clientId, code_verifier: saved.verifier,
      });
      saved.answer = await fetch(saved.token, { method: "POST", body }).then(json);
      sessionStorage.setItem(KEY, JSON.stringify(saved));
      history.replaceState(null, "", location.pathname);
    }
    if (!saved.answer) throw new Error("Start at the launch page.");
    return {
      patient: saved.answer.patient,
      scope: saved.answer.scope,
      get: (path) => fetch(path.startsWith("http") ? path : `${saved.iss}/${path}`, {
        headers: {
          Accept: "application/fhir+json", Authorization: `Bearer ${saved.answer.access_token}`,
        },
      }).then(json),
    };
  }

  return { authorize, ready };
})();
