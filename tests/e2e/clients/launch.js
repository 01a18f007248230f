const asked = new URLSearchParams(location.search);
const access = asked.get("dialect") === "v1" ? "read" : "rs";
FHIR.oauth2.authorize({
  clientId: asked.get("client") || "e2e-public",
  scope: `launch launch/patient openid fhirUser offline_access patient/*.${access}`,
  redirectUri: "app.html",
});
