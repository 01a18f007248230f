"""Binary: documents' contents through the facade, from an emulated upstream."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import select
from werkzeug.test import TestResponse

from fhir_facade.fhir import json
from fhir_facade.fhir.validation import deep_check
from fhir_facade.mirror.tables import record, resource_version
from fhir_facade.rest.respond import FHIR_JSON
from fhir_facade.sync.job import QubsJob, Stores
from fhir_facade.upstream.qubs_documents import QubsDocuments
from fhir_facade.upstream.transport import Timeouts
from sandbox.qubs.pdf import small_pdf
from sandbox.qubs.settings import world_settings
from smart_auth.verify import VerifiedToken
from tests.support.qubs import REFERENCE, Running, emulator_thread
from tests.support.rest_app import RestApp, rest_app
from tests.support.syncing import fast_client, fresh_mirror, job_for, run_full
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
FHIR = {"Accept": FHIR_JSON}
DOWNLOAD = "/files/download"
ATTACHMENT = "integrations_getappointmentattachment"
QUICK = Timeouts(connect=1.0, read=0.5, total=2.0)


@dataclass
class World:
    """A synced mirror, the room on it, and the emulator behind it."""

    rest: RestApp
    emulator: Running
    stores: Stores
    job: QubsJob

    def documents(self, **about: Any) -> list[dict[str, Any]]:
        """Current DocumentReferences with content whose category text is the one given."""
        found = []
        for body in self.bodies("DocumentReference"):
            named = [concept.get("text") for concept in body["category"]]
            if "url" in body["content"][0]["attachment"] and about["category"] in named:
                found.append(body)
        return found

    def bodies(self, resource_type: str) -> list[dict[str, Any]]:
        columns = resource_version.c
        query = select(columns.body).where(
            columns.type == resource_type, columns.to_revision == 2**62, columns.deleted.is_(False)
        )
        with self.stores.database.read() as conn:
            return [json.loads(body) for body in conn.execute(query).scalars()]

    def sync(self) -> None:
        with fast_client(self.job) as client:
            assert run_full(self.stores, self.job, client).ok

    def read(
        self,
        binary: str,
        token: VerifiedToken = DOCTOR,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        **more: Any,
    ) -> TestResponse:
        return self.rest.request(method, f"/{binary}", token, headers, **more)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("binary")
    small = world_settings(REFERENCE, appointments=60, patients=12)
    with (
        emulator_thread(small) as emulator,
        fresh_mirror(f"sqlite:///{folder}/mirror.sqlite") as stores,
    ):
        job = job_for(emulator.url)
        documents = QubsDocuments(job.settings, asking=QUICK, fetching=QUICK)
        rest = rest_app(stores.database, folder, documents=documents)
        world = World(rest, emulator, stores, job)
        world.sync()
        yield world
        rest.close()


@pytest.fixture
def world(built: World) -> World:
    built.emulator.control.clear_faults()
    return built


def binary_of(document: dict[str, Any]) -> str:
    """`Binary/{id}` of a DocumentReference."""
    return "/".join(document["content"][0]["attachment"]["url"].rsplit("/", 2)[1:])


@pytest.fixture
def referral(world: World) -> dict[str, Any]:
    return world.documents(category="Referral")[0]


def content_of(document: dict[str, Any]) -> bytes:
    """What the emulator keeps behind an attachment."""
    category = document["type"]["text"]
    guid = document["identifier"][0]["value"]
    return small_pdf(["Synthetic document, no real person.", category, guid])


def test_bytes_are_what_everybody_gets_who_names_no_fhir(
    world: World, referral: dict[str, Any]
) -> None:
    path = binary_of(referral)
    for headers in ({}, {"Accept": "*/*"}, {"Accept": "text/html,*/*;q=0.8"}):
        answer = world.read(path, headers=headers)
        assert answer.status_code == 200
        assert answer.data == content_of(referral)
        assert answer.content_type == "application/pdf"
    assert int(answer.headers["Content-Length"]) == len(answer.data)
    assert answer.headers["Content-Disposition"].startswith("attachment; ")
    assert "referral" not in answer.headers["Content-Disposition"].lower()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer.headers.getlist("Content-Security-Policy")
    assert "no-store" in answer.headers["Cache-Control"]
    assert "Location" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Accept": FHIR_JSON},
        {"Accept": "application/json"},
        {"Accept": "application/fhir+json, */*;q=0.5"},
        {"Accept": "application/pdf;q=0.4, application/fhir+json;q=0.9"},
    ],
)
def test_a_resource_is_for_who_names_fhir(
    world: World, referral: dict[str, Any], headers: dict[str, str]
) -> None:
    answer = world.read(binary_of(referral), headers=headers)
    assert answer.status_code == 200
    assert answer.json is not None
    assert base64.b64decode(answer.json["data"]) == content_of(referral)
    assert answer.json["contentType"] == "application/pdf"
    assert answer.json["securityContext"]["reference"].startswith("DocumentReference/")
    assert deep_check(answer.json) == []


def test_the_format_parameter_and_what_is_not_written(
    world: World, referral: dict[str, Any]
) -> None:
    path = binary_of(referral)
    assert world.read(f"{path}?_format=json").json is not None
    raw = world.read(f"{path}?_format=application/pdf", headers=FHIR)
    assert raw.data == content_of(referral)
    assert world.read(f"{path}?_format=xml").status_code == 406
    assert world.read(f"{path}?shoe=9").status_code == 400
    assert world.read(path, headers={"Accept": "application/fhir+xml"}).status_code == 406
    liked = {"Accept": "application/pdf, application/fhir+json;q=0.9"}
    assert world.read(path, headers=liked).data == content_of(referral)


def test_parts_of_the_resource_come_without_data(world: World, referral: dict[str, Any]) -> None:
    path = binary_of(referral)
    world.emulator.control.add_fault("status", status=500, path_prefix=DOWNLOAD)
    summary = world.read(f"{path}?_summary=true").json
    assert summary is not None
    assert "data" not in summary
    assert summary["contentType"] == "application/pdf"


@pytest.mark.parametrize("span", ["0-0", "0-99", "100-", "-50", "7-1000000"])
def test_one_range(world: World, referral: dict[str, Any], span: str) -> None:
    whole = content_of(referral)
    answer = world.read(binary_of(referral), headers={"Range": f"bytes={span}"})
    first, _, last = span.partition("-")
    begin = int(first) if first else len(whole) - int(last)
    end = min(int(last) + 1 if first and last else len(whole), len(whole))
    assert answer.status_code == 206
    assert answer.data == whole[begin:end]
    assert answer.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{len(whole)}"
    assert int(answer.headers["Content-Length"]) == end - begin


def test_ranges_that_are_not_there_and_those_that_are_ignored(
    world: World, referral: dict[str, Any]
) -> None:
    path, whole = binary_of(referral), content_of(referral)
    for span in ("1000000-", "-0"):
        answer = world.read(path, headers={"Range": f"bytes={span}"})
        assert answer.status_code == 416
        assert answer.headers["Content-Range"] == f"bytes */{len(whole)}"
        assert answer.json is not None
        assert answer.json["resourceType"] == "OperationOutcome"
    for header in ("bytes=0-1,4-5", "bytes=5-1", "pages=1-2", "bytes=x-", "bytes=-"):
        answer = world.read(path, headers={"Range": header})
        assert (answer.status_code, answer.data) == (200, whole), header


def test_tags_ranges_of_a_version_and_copies_that_are_fresh(
    world: World, referral: dict[str, Any]
) -> None:
    path, whole = binary_of(referral), content_of(referral)
    tag = world.read(path).headers["ETag"]
    assert tag.startswith('"')
    assert referral["identifier"][0]["value"] not in tag
    part = world.read(path, headers={"Range": "bytes=0-9", "If-Range": tag})
    assert (part.status_code, part.data) == (206, whole[:10])
    for other in ('"another"', f"W/{tag}", "Sat, 21 Nov 2026 00:00:00 GMT"):
        for span in ("0-9", "1000000-"):
            answer = world.read(path, headers={"Range": f"bytes={span}", "If-Range": other})
            assert (answer.status_code, answer.data) == (200, whole)
    same = world.read(path, headers={"If-None-Match": tag})
    assert (same.status_code, same.data) == (304, b"")
    assert world.read(path, headers={"If-None-Match": '"another"'}).status_code == 200
    assert world.read(path, headers={"If-None-Match": "*", "Range": "bytes=-0"}).status_code == 304
    for wanted, status in ((tag, 200), (f'"another", {tag}', 200), ("*", 200), (f"W/{tag}", 412)):
        assert world.read(path, headers={"If-Match": wanted}).status_code == status


def test_head_tells_and_sends_nothing(world: World, referral: dict[str, Any]) -> None:
    path, whole = binary_of(referral), content_of(referral)
    answer = world.read(path, method="HEAD", headers={"Range": "bytes=0-1"})
    assert (answer.status_code, answer.data) == (200, b"")
    assert int(answer.headers["Content-Length"]) == len(whole)
    assert answer.headers["Accept-Ranges"] == "bytes"


def test_places_are_given_back_however_a_read_ends(world: World, referral: dict[str, Any]) -> None:
    path = binary_of(referral)
    for _ in range(5):
        world.read(path, method="HEAD")
        world.read(path, headers={"Range": "bytes=1000000-"})
        world.read(path, headers=FHIR)
        world.read(path, buffered=False).close()
    assert world.read(path).status_code == 200


def test_few_files_at_a_time(world: World, referral: dict[str, Any]) -> None:
    path = binary_of(referral)
    held = [world.read(path, buffered=False) for _ in range(3)]
    busy = world.read(path)
    assert busy.status_code == 503
    assert int(busy.headers["Retry-After"]) > 0
    for one in held:
        one.close()
    assert world.read(path).status_code == 200


FAULTS = [
    ({"kind": "status", "status": 404, "operation": ATTACHMENT}, 404),
    ({"kind": "status", "status": 404, "path_prefix": DOWNLOAD}, 404),
    ({"kind": "status", "status": 410, "path_prefix": DOWNLOAD}, 404),
    ({"kind": "status", "status": 403, "path_prefix": DOWNLOAD}, 502),
    ({"kind": "status", "status": 302, "path_prefix": DOWNLOAD}, 502),
    ({"kind": "status", "status": 500, "path_prefix": DOWNLOAD}, 502),
    ({"kind": "html_error", "status": 503, "path_prefix": DOWNLOAD}, 502),
    ({"kind": "drop", "path_prefix": DOWNLOAD}, 502),
    ({"kind": "slow", "delay_ms": 1500, "path_prefix": DOWNLOAD}, 504),
    ({"kind": "slow", "delay_ms": 1500, "operation": ATTACHMENT}, 504),
    ({"kind": "status", "status": 500, "operation": ATTACHMENT}, 502),
    ({"kind": "status", "status": 403, "operation": ATTACHMENT}, 502),
    ({"kind": "status", "status": 429, "retry_after": "7", "operation": ATTACHMENT}, 503),
    ({"kind": "status", "status": 429, "retry_after": "7", "path_prefix": DOWNLOAD}, 503),
]


@pytest.mark.parametrize(("fault", "status"), FAULTS)
def test_faults_of_the_upstream(
    world: World, referral: dict[str, Any], fault: dict[str, Any], status: int
) -> None:
    world.emulator.control.add_fault(**fault)
    for headers in ({}, FHIR):
        answer = world.read(binary_of(referral), headers=headers)
        assert answer.status_code == status
        assert answer.json is not None
        assert answer.json["resourceType"] == "OperationOutcome"
        assert status == 404 or int(answer.headers["Retry-After"]) > 0
        assert b"signature" not in answer.data
        assert b"/files/" not in answer.data


def test_a_file_that_breaks_off_is_no_resource(world: World, referral: dict[str, Any]) -> None:
    world.emulator.control.add_fault("drop_mid_body", path_prefix=DOWNLOAD)
    assert world.read(binary_of(referral), headers=FHIR).status_code == 502


def test_who_reaches_the_document_reaches_its_content(
    world: World, referral: dict[str, Any]
) -> None:
    path, patient = binary_of(referral), referral["subject"]["reference"].partition("/")[2]
    both = "patient/DocumentReference.rs patient/Binary.r"
    assert world.read(path, user_token(both, patient=patient)).status_code == 200
    assert world.read(path, user_token(both, patient="qubs-0")).status_code == 404
    for scope, status in (("patient/Binary.r", 404), ("patient/DocumentReference.rs", 403)):
        assert world.read(path, user_token(scope, patient=patient)).status_code == status
    granular = "patient/DocumentReference.rs?category={}|{} patient/Binary.r"
    notes = "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category"
    allowed = user_token(granular.format(notes, "clinical-note"), patient=patient)
    assert world.read(path, allowed).status_code == 200
    other = user_token(granular.format("http://loinc.org", "LP29684-5"), patient=patient)
    assert world.read(path, other).status_code == 404
    assert world.read(path, backend_token("system/*.rs", groups=["none"])).status_code == 404
    assert world.rest.get(f"/{path}").status_code == 401
    assert world.read("Binary/none").status_code == 404


def test_a_report_is_read_through_the_report_and_through_the_document(world: World) -> None:
    reports = {
        form["url"].rpartition("/")[2]: report
        for report in world.bodies("DiagnosticReport")
        for form in report.get("presentedForm", ())
        if "subject" in report
    }
    assert reports
    shown = {binary_of(one).partition("/")[2] for one in world.documents(category="report")}
    assert set(reports) <= shown
    name, report = next(iter(reports.items()))
    patient = report["subject"]["reference"].partition("/")[2]
    for scope, status in (
        ("patient/DiagnosticReport.rs patient/Binary.r", 200),
        ("patient/DocumentReference.rs patient/Binary.r", 200),
        ("patient/DiagnosticReport.rs?category=RAD patient/Binary.r", 200),
        ("patient/DiagnosticReport.rs?category=LAB patient/Binary.r", 404),
        ("patient/DiagnosticReport.rs?category=clinical-note patient/Binary.r", 404),
        ("patient/Appointment.rs patient/Binary.r", 404),
    ):
        for path in (f"Binary/{name}", f"Binary?_id={name}"):
            letters = scope.replace("Binary.r", "Binary.rs")
            answer = world.read(path, user_token(letters, patient=patient))
            found = answer.status_code == 200 and (
                "?" not in path or bool(answer.json and answer.json.get("entry"))
            )
            assert found == (status == 200), (scope, path)


def test_each_access_is_on_the_trail(world: World, referral: dict[str, Any]) -> None:
    path, patient = binary_of(referral), referral["subject"]["reference"].partition("/")[2]
    world.read(path, headers={"Range": "bytes=0-1"})
    row = world.rest.audited()[0]
    assert (row["type"], row["interaction"], row["status"]) == ("Binary", "read", 206)
    assert row["resource_id"] == path.partition("/")[2]
    assert patient in row["patients"]


def test_addresses_are_stored_nowhere_and_told_to_nobody(
    world: World, referral: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    world.emulator.control.add_fault("drop_mid_body", path_prefix=DOWNLOAD, count=1)
    world.read(binary_of(referral), headers=FHIR)
    world.read(binary_of(referral))
    written = "".join(capfd.readouterr())
    for canary in ("signature", "/files/", "referral.pdf"):
        assert canary not in written
    bodies = {body for kind in ("DocumentReference", "Binary") for body in map(
        json.dumps, world.bodies(kind)
    )}  # fmt: skip
    assert not any(b"signature" in body or b"/files/" in body for body in bodies)
    with world.stores.database.read() as conn:
        keys = conn.execute(select(record.c.key).where(record.c.view == "attachments")).scalars()
        listed = [world.stores.records.body("acme", "qubs", "attachments", key) for key in keys]
    assert any(b"hasContent" in body for body in listed if body)
    assert not any(b"signature" in body or b"url" in body for body in listed if body)


def test_a_batch_asks_for_no_content(world: World, referral: dict[str, Any]) -> None:
    entry = {"request": {"method": "GET", "url": binary_of(referral)}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    headers = {"Content-Type": FHIR_JSON}
    sent = io.BytesIO(json.dumps(bundle))
    answer = world.rest.request("POST", "", DOCTOR, headers, data=sent.getvalue())
    assert answer.json is not None
    assert answer.json["entry"][0]["response"]["status"].startswith("400")


def test_docref_finds_the_documents_of_a_patient(world: World, referral: dict[str, Any]) -> None:
    patient = referral["subject"]["reference"].partition("/")[2]
    own = {
        body["id"]
        for body in world.bodies("DocumentReference")
        if body["subject"]["reference"] == f"Patient/{patient}"
    }
    path = "/DocumentReference/$docref"

    def found(answer: TestResponse) -> set[str]:
        assert answer.status_code == 200, answer.data
        assert answer.json is not None
        return {entry["resource"]["id"] for entry in answer.json.get("entry", ())}

    assert found(world.rest.get(f"{path}?patient={patient}", DOCTOR)) == own
    start, end = (quote(referral["context"]["period"][name]) for name in ("start", "end"))
    narrow = f"{path}?patient={patient}&start={start}&end={end}&type=http://loinc.org|57133-1"
    assert referral["id"] in found(world.rest.get(narrow, DOCTOR))
    assert found(world.rest.get(f"{path}?patient={patient}&end=1999-01-01", DOCTOR)) == set()
    coding = {"system": "http://loinc.org", "code": "57133-1"}
    parameters = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "patient", "valueId": patient},
            {"name": "type", "valueCodeableConcept": {"coding": [coding]}},
            {"name": "on-demand", "valueBoolean": False},
        ],
    }
    headers = {"Content-Type": FHIR_JSON}
    posted = world.rest.request("POST", path, DOCTOR, headers, data=json.dumps(parameters))
    assert referral["id"] in found(posted) <= own
    for query in ("", "?patient=", f"?patient={patient}&on-demand=true", "?patient=a&shoe=9"):
        assert world.rest.get(f"{path}{query}", DOCTOR).status_code == 400, query
    late = world.rest.get(f"{path}?patient={patient}&start=soon", DOCTOR)
    assert late.json is not None
    assert late.json["issue"][0]["expression"] == ["start"]
    outside = user_token("patient/DocumentReference.rs", patient="qubs-0")
    assert world.rest.get(f"{path}?patient={patient}", outside).status_code == 403
    assert world.rest.get(path, user_token("user/Patient.rs")).status_code == 403


def test_an_attachment_that_goes_takes_its_content_with_it(world: World) -> None:
    document = world.documents(category="Referral")[-1]
    path = binary_of(document)
    appointment = document["context"]["related"][0]["reference"].partition("/qubs-")[2]
    guid = document["identifier"][0]["value"]
    world.emulator.control.remove("attachment", "acme", guid, appointmentId=appointment)
    before = world.read(path)
    assert before.status_code == 404
    world.sync()
    assert world.read(path).status_code == 410
    assert world.read(f"DocumentReference/{document['id']}").status_code == 410
