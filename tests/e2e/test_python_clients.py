"""FHIR clients for Python that are not ours, used as their users do: fhirpy and fhirclient."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import requests
from fhirclient import server as smart_server
from fhirclient.models.appointment import Appointment
from fhirclient.models.diagnosticreport import DiagnosticReport
from fhirclient.models.patient import Patient
from fhirpy import AsyncFHIRClient, SyncFHIRClient
from fhirpy.base.exceptions import AuthorizationError, OperationOutcome, ResourceNotFound

from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, api_of, entries


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


@pytest.fixture(scope="module")
def client(api: Api) -> SyncFHIRClient:
    return SyncFHIRClient(api.base, authorization=f"Bearer {api.token('practitioner')}")


@pytest.fixture(scope="module")
def patient_id(api: Api) -> str:
    return str(api.contract["patient_id"])


def ids(resources: Any) -> list[str]:
    return [one.id for one in resources]


# --- fhirpy


def test_fhirpy_reads_and_follows_references(client: SyncFHIRClient, patient_id: str) -> None:
    patient = client.get("Patient", patient_id)
    assert patient.id == patient_id
    assert patient.get_by_path("name.0.family")
    owner = patient["managingOrganization"]["reference"]
    organization = client.reference(reference=owner).to_resource()
    assert organization.resource_type == "Organization"
    assert client.reference("Patient", patient_id).to_resource().id == patient_id
    with pytest.raises(ResourceNotFound):
        client.get("Patient", "nobody")


@pytest.mark.parametrize("size", [3, 50])
def test_fhirpy_walks_all_pages(api: Api, client: SyncFHIRClient, size: int) -> None:
    found = client.resources("DiagnosticReport").limit(size).fetch_all()
    assert ids(found) == api.ids("DiagnosticReport", "_count=1000")
    assert client.resources("DiagnosticReport").count() == len(found)
    assert len(client.resources("DiagnosticReport").limit(size).fetch()) == min(size, len(found))


def test_fhirpy_searches(api: Api, client: SyncFHIRClient, patient_id: str) -> None:
    appointments = client.resources("Appointment")
    of_patient = appointments.search(patient=patient_id, date__ge="2000", status__not="cancelled")
    query = f"patient={patient_id}&date=ge2000&status:not=cancelled&_count=1000"
    assert ids(of_patient.fetch_all()) == api.ids("Appointment", query)
    chained = appointments.search(patient__gender="female").fetch_all()
    assert ids(chained) == api.ids("Appointment", "patient.gender=female&_count=1000")
    family = api.get(f"/Patient/{patient_id}").json()["name"][0]["family"]
    named = client.resources("Patient").search(name__exact=family).fetch_all()
    assert patient_id in ids(named)
    having = client.resources("Patient").has("Appointment", "patient", status="booked")
    query = "_has:Appointment:patient:status=booked&_count=1000"
    assert ids(having.fetch_all()) == api.ids("Patient", query)
    first = appointments.sort("-date").first()
    assert [first.id] == api.ids("Appointment", "_sort=-date&_count=1000")[:1]
    assert appointments.search(_id="nobody").first() is None


def test_fhirpy_sorts_and_selects(api: Api, client: SyncFHIRClient) -> None:
    found = client.resources("Appointment").sort("status", "-date").limit(20).fetch()
    right = entries(api.search("Appointment", "_sort=status,-date&_count=20"))
    assert ids(found) == [one["id"] for one in right]
    few = client.resources("Appointment").elements("start").limit(5).fetch()
    assert all("description" not in one for one in few)


def test_fhirpy_includes(api: Api, client: SyncFHIRClient, patient_id: str) -> None:
    search = (
        client.resources("Appointment")
        .search(patient=patient_id)
        .include("Appointment", "patient")
        .include("Patient", "organization", iterate=True)
        .revinclude("Provenance", "target")
    )
    kinds = {entry["resource"]["resourceType"] for entry in search.fetch_raw()["entry"]}
    assert kinds == {"Appointment", "Patient", "Organization", "Provenance"}
    assert {one.resource_type for one in search.fetch()} == {"Appointment"}


def test_fhirpy_is_told_what_is_not_served(client: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome) as refused:
        client.resources("Patient").search(nonsense="1").fetch()
    assert "nonsense" in str(refused.value)
    with pytest.raises(OperationOutcome):
        client.resource("Patient", gender="female").create()
    with pytest.raises(ResourceNotFound):
        client.resources("Observation").fetch()
    stranger = SyncFHIRClient(client.url, authorization="Bearer nothing")
    with pytest.raises(AuthorizationError):
        stranger.resources("Patient").fetch()


def test_fhirpy_without_waiting(api: Api, patient_id: str) -> None:
    async def ask() -> tuple[str, list[str]]:
        client = AsyncFHIRClient(api.base, authorization=f"Bearer {api.token('patient')}")
        patient = await client.get("Patient", patient_id)
        found = [one async for one in client.resources("Appointment").limit(2)]
        return str(patient.id), ids(found)

    assert asyncio.run(ask()) == (patient_id, api.ids("Appointment", "_count=1000", "patient"))


def test_fhirpy_runs_operations(client: SyncFHIRClient, patient_id: str) -> None:
    whole = client.execute(f"Patient/{patient_id}/$everything", method="get")
    assert whole["resourceType"] == "Bundle"
    judged = client.resource("Patient", gender="sometimes")
    with pytest.raises(OperationOutcome):
        judged.is_valid(raise_exception=True)
    assert not judged.is_valid()
    assert client.resource("Patient", gender="female").is_valid()


# --- fhirclient


class Bearer:
    """What fhirclient asks of its authorization."""

    def __init__(self, token: str) -> None:
        self._token = token
        self.ready = True

    def can_sign_headers(self) -> bool:
        return True

    def signed_headers(self, headers: dict[str, str] | None) -> dict[str, str]:
        return {**(headers or {}), "Authorization": f"Bearer {self._token}"}


@pytest.fixture(scope="module")
def server(api: Api) -> smart_server.FHIRServer:
    made = smart_server.FHIRServer(None, base_uri=api.base)
    made.auth = Bearer(api.token("practitioner"))
    return made


def test_fhirclient_reads_and_searches(
    api: Api, server: smart_server.FHIRServer, patient_id: str
) -> None:
    patient = Patient.read(patient_id, server)
    assert patient.id == patient_id
    assert patient.managingOrganization.reference
    with pytest.raises(smart_server.FHIRNotFoundException):
        Patient.read("nobody", server)
    with pytest.raises(requests.HTTPError):
        list(Patient.where({"nonsense": "1"}).perform_iter(server))
    search = Appointment.where({"patient": patient_id, "_sort": "-date", "_count": "2"})
    found = [one.id for one in search.perform_resources_iter(server)]
    assert found == api.ids("Appointment", f"patient={patient_id}&_sort=-date&_count=1000")


def test_fhirclient_includes_and_pages(
    api: Api, server: smart_server.FHIRServer, patient_id: str
) -> None:
    search = DiagnosticReport.where({"patient": patient_id, "_count": "1"}).include("subject")
    pages = list(search.perform_iter(server))
    assert len(pages) == len(api.ids("DiagnosticReport", f"patient={patient_id}&_count=1000"))
    for bundle in pages:
        kinds = [entry.resource.resource_type for entry in bundle.entry]
        assert kinds == ["DiagnosticReport", "Patient"]
    back = Patient.where({"_id": patient_id}).include("subject", DiagnosticReport, reverse=True)
    [bundle] = back.perform_iter(server)
    assert {entry.search.mode for entry in bundle.entry} == {"match", "include"}
