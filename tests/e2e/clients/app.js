(async () => {
  const result = {};
  try {
    const client = await FHIR.oauth2.ready();
    const patient = await client.patient.read();
    const everything = { pageLimit: 0, flat: true };
    result.patient = patient.id;
    result.fhirUser = client.user.fhirUser;
    result.user = (await client.user.read()).resourceType;
    result.appointments = (await client.request(`Appointment?patient=${patient.id}&_count=2`, everything)).length;
    result.reports = (await client.request(`DiagnosticReport?patient=${patient.id}`, everything)).length;
    result.scope = client.state.tokenResponse.scope;
    const before = client.state.tokenResponse.access_token;
    await client.refresh();
    result.refreshed = client.state.tokenResponse.access_token !== before;
    result.afterRefresh = (await client.patient.read()).id;
    try {
      await client.request("Patient/not-this-one");
      result.other = "served";
    } catch (error) {
      result.other = String(error.status || error.statusCode || error.message);
    }
  } catch (error) {
    result.error = error.message;
  }
  document.getElementById("result").textContent = JSON.stringify(result);
  document.body.dataset.done = "yes";
})();
