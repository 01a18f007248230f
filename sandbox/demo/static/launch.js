"use strict";

const query = new URLSearchParams(location.search);
const clients = JSON.parse(document.getElementById("clients").textContent);
const iss = query.get("iss");
const status = document.getElementById("status");
if (!iss || !clients[iss]) {
  status.textContent = "Open this page from the start page or from an EHR: it needs the address of a FHIR server.";
} else {
  const launch = query.get("launch");
  Smart.authorize({
    iss, launch, clientId: clients[iss],
    redirectUri: new URL("index.html", location.href).href,
    scope: `${launch ? "launch" : "launch/patient"} openid fhirUser offline_access `
      + "patient/Patient.rs patient/Appointment.rs patient/DiagnosticReport.rs",
  }).catch((error) => { status.textContent = error.message; });
}
