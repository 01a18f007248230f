FHIR.oauth2.authorize({
  clientId: "e2e-public",
  scope: "launch launch/patient openid fhirUser offline_access patient/*.rs",
  redirectUri: "app.html",
});
