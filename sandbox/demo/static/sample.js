// The sample app: one patient's appointments and reports.
"use strict";

const text = (concept) => (concept && (concept.text
  || (concept.coding && concept.coding[0] && (concept.coding[0].display || concept.coding[0].code)))) || "";
const when = (instant) => (instant
  ? new Date(instant).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" })
  : "time not known");

function row(cells, headings = []) {
  const line = document.createElement("tr");
  cells.forEach((cell, place) => {
    const box = document.createElement("td");
    box.textContent = cell;
    box.dataset.label = headings[place] || "";
    line.append(box);
  });
  return line;
}

async function all(client, path) {
  const found = [];
  let next = path;
  while (next && found.length < 200) {
    const bundle = await client.get(next);
    for (const entry of bundle.entry || []) {
      if (!entry.search || entry.search.mode === "match") found.push(entry.resource);
    }
    const link = (bundle.link || []).find((one) => one.relation === "next");
    next = link && link.url;
  }
  return found;
}

function fill(id, lines, empty) {
  const headings = [...document.querySelectorAll(`#${id} th`)].map((one) => one.textContent);
  const rows = lines.length ? lines.map((cells) => row(cells, headings)) : [row([empty])];
  document.querySelector(`#${id} tbody`).replaceChildren(...rows);
}

async function show() {
  const status = document.getElementById("status");
  try {
    const client = await Smart.ready();
    const patient = await client.get(`Patient/${client.patient}`);
    const name = (patient.name && patient.name[0]) || {};
    document.getElementById("patient").textContent =
      name.text || [...(name.given || []), name.family].filter(Boolean).join(" ") || "No name recorded";
    document.getElementById("about").textContent =
      [patient.gender, patient.birthDate && `born ${patient.birthDate}`].filter(Boolean).join(", ");
    const appointments = await all(client, `Appointment?patient=${client.patient}`);
    appointments.sort((a, b) => (b.start || "").localeCompare(a.start || ""));
    fill("appointments", appointments.map((one) => [
      when(one.start), one.description || text(one.serviceType && one.serviceType[0]) || "not recorded", one.status,
      (one.participant.find((p) => p.actor && p.actor.reference
        && p.actor.reference.startsWith("Location/")) || { actor: {} }).actor.display || "",
    ]), "No appointments.");
    const reports = await all(client, `DiagnosticReport?patient=${client.patient}`);
    const taken = (one) => one.effectiveDateTime || (one.effectivePeriod && one.effectivePeriod.start);
    reports.sort((a, b) => (taken(b) || "").localeCompare(taken(a) || ""));
    fill("reports", reports.map((one) => [
      when(taken(one)),
      text(one.code), one.status,
    ]), "No reports.");
    status.textContent = `Scopes granted: ${client.scope}`;
    document.body.dataset.state = "ready";
  } catch (error) {
    status.textContent = error.message;
    document.body.dataset.state = "failed";
  }
}

show();
