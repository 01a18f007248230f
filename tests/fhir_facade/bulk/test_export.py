"""Exports from kick-off to file, on SQLite and PostgreSQL."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection

from fhir_facade import clock
from fhir_facade.bulk import expiry
from fhir_facade.bulk.download import served_file
from fhir_facade.bulk.model import BulkParts, Complete, Failed, InProgress, PartKey
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.bulk.status import CANCELLED_TEXT, cancel, status
from fhir_facade.bulk.store import JobStore
from fhir_facade.errors import (
    FacadeError,
    Forbidden,
    InvalidRequest,
    NotFound,
    Throttled,
    UnsupportedParameter,
)
from fhir_facade.mirror import versions
from fhir_facade.mirror.database import Database
from tests.support.databases import database, database_url
from tests.support.exports import (
    appointment,
    bulk_parts,
    export,
    exported,
    group,
    location,
    patient,
    principal,
    publish,
    run_all,
    run_one,
    seeded,
    seeded_url,
    start,
    with_settings,
    withdraw,
)

__all__ = ["database", "database_url", "seeded", "seeded_url"]

EVEN = [f"qubs-P{n:05d}" for n in range(0, 20, 2)]
THEIRS = [f"qubs-A{n:05d}" for n in range(120) if n % 20 % 2 == 0]


@pytest.fixture
def parts(seeded: Database, tmp_path: Path) -> BulkParts:
    return bulk_parts(seeded, tmp_path / "files")


def test_a_group_export_holds_its_members_and_the_directory(parts: BulkParts) -> None:
    found = export(parts)
    assert found.ids("Patient") == EVEN
    assert found.ids("Appointment") == THEIRS
    assert found.ids("Location") == ["qubs-L1"]
    assert found.ids("Provenance")
    targets = {
        one["target"][0]["reference"]
        for one in found.resources()
        if one["resourceType"] == "Provenance"
    }
    served = {f"{one['resourceType']}/{one['id']}" for one in found.resources()}
    assert targets <= served
    assert {f"Patient/{id_}" for id_ in EVEN} <= targets


def test_the_manifest(parts: BulkParts) -> None:
    found = export(parts, ("_type", "Patient,Appointment"))
    manifest = found.manifest
    with parts.db.read() as conn:
        _, instant_us = versions.current_revision(conn, "acme")
    assert manifest["transactionTime"] == _instant(instant_us)
    assert manifest["request"] == "https://example.org/fhir/acme/Group/g1/$export"
    assert manifest["requiresAccessToken"] is True
    assert manifest["deleted"] == manifest["error"] == []
    names = [item["url"].rpartition("/")[2] for item in manifest["output"]]
    assert names == [
        "1.Appointment.ndjson",
        "2.Appointment.ndjson",
        "3.Appointment.ndjson",
        "4.Patient.ndjson",
    ]
    assert sum(item["count"] for item in manifest["output"]) == len(EVEN) + len(THEIRS)


def test_the_lines_are_the_stored_bytes(parts: BulkParts, seeded: Database) -> None:
    found = export(parts, ("_type", "Patient"))
    with seeded.read() as conn:
        rows = versions.by_keys(conn, "acme", [("Patient", id_) for id_ in EVEN], 10**9)
    assert found.files["1.Patient.ndjson"] == b"".join(row.body + b"\n" for row in rows if row.body)


def test_an_export_sees_its_revision_whatever_happens_later(parts: BulkParts) -> None:
    first = start(parts, None, ("_type", "Patient,Appointment"))
    publish(parts.db, patient(0, "later"), patient(40, "new"), appointment(0, 1, "moved"))
    withdraw(parts.db, patient(2), appointment(2, 2))
    group(parts.db, 1, 3)
    run_all(parts)
    found = exported(parts, first)
    assert found.ids("Patient") == EVEN
    assert found.ids("Appointment") == THEIRS
    assert b"later" not in b"".join(found.files.values())


def test_exports_of_one_revision_are_equal_to_the_byte(parts: BulkParts) -> None:
    one, two = start(parts), start(parts)
    run_all(with_settings(parts, page_rows=3))
    assert exported(parts, one).digests() == exported(parts, two).digests()


def test_what_is_asked_in_vain_is_named(parts: BulkParts) -> None:
    who = principal("Patient")
    params = ("_type", "Patient,Observation,Appointment"), ("_elements", "id")
    job = start(parts, who, *params, prefer="respond-async, handling=lenient")
    run_all(parts)
    found = exported(parts, job, who)
    assert {one["resourceType"] for one in found.resources()} == {"Patient"}
    issues = [one["issue"][0] for one in found.resources("error")]
    assert [(one["code"], one["expression"]) for one in issues] == [
        ("not-supported", ["_elements"]),
        ("not-supported", ["_type"]),
        ("forbidden", ["_type"]),
    ]
    assert "Observation" in issues[1]["details"]["text"]
    assert "Appointment" in issues[2]["details"]["text"]
    with pytest.raises(InvalidRequest, match="Observation, Appointment"):
        start(parts, who, *params[:1], prefer="respond-async, handling=strict")
    with pytest.raises(UnsupportedParameter):
        start(parts, who, *params)


@pytest.mark.parametrize(
    ("types", "scopes", "refusal"),
    [
        ("Observation", (), InvalidRequest),
        ("Observation", ("Patient",), Forbidden),
        ("Appointment", ("Patient",), Forbidden),
        ("ConceptMap", (), InvalidRequest),
        ("Pacient", (), InvalidRequest),
    ],
)
def test_nothing_left_to_export(
    parts: BulkParts, types: str, scopes: tuple[str, ...], refusal: type[FacadeError]
) -> None:
    with pytest.raises(refusal):
        start(parts, principal(*scopes), ("_type", types))


def test_only_a_scope_that_reads_and_searches_exports(parts: BulkParts) -> None:
    for letters in (("r",), ("s",), ("c", "u", "d")):
        with pytest.raises(Forbidden):
            start(parts, principal(letters=letters))


def test_a_group_must_be_there_and_the_clients(parts: BulkParts) -> None:
    group(parts.db, 1, group_id="g2")
    for who, group_id in (
        (principal(), "g2"),
        (principal(groups=("g1", "nope")), "nope"),
        (principal(groups=()), "g1"),
    ):
        with pytest.raises(NotFound) as caught:
            start(parts, who, group_id=group_id)
        assert caught.value.text == "There is no such group for this client."


def test_a_client_may_have_several_exports_but_not_any_number(parts: BulkParts) -> None:
    parts = with_settings(parts, running_limit=3)
    for _ in range(3):
        start(parts)
    with pytest.raises(Throttled) as caught:
        start(parts)
    assert 1 <= caught.value.retry_after <= 300
    start(parts, principal(client="client-2"))
    run_all(parts)
    start(parts)


def test_a_job_exists_for_its_own_client_only(parts: BulkParts) -> None:
    job = start(parts, None, ("_type", "Patient"))
    run_all(parts)
    for tenant, who in (
        ("acme", principal(client="client-2")),
        ("other", principal()),
        ("acme", principal(groups=())),
    ):
        for use in (
            lambda t, w: status(parts, t, w, job),
            lambda t, w: cancel(parts, t, w, job),
            lambda t, w: served_file(parts, t, w, job, "1.Patient.ndjson"),
        ):
            with pytest.raises(NotFound):
                use(tenant, who)
    assert isinstance(status(parts, "acme", principal(), job), Complete)


def test_tenants_share_nothing(parts: BulkParts) -> None:
    publish(parts.db, patient(0, "other"), patient(77), tenant="other")
    group(parts.db, 0, 77, tenant="other")
    job = start(parts, tenant="other")
    run_all(parts)
    found = exported(parts, job, tenant="other")
    assert found.ids("Patient") == ["qubs-P00000", "qubs-P00077"]
    assert found.ids("Location") == []
    assert b"other" in b"".join(found.files.values())


def test_files_need_a_scope_that_covers_them(parts: BulkParts) -> None:
    job = start(parts)
    run_all(parts)
    names = list(exported(parts, job).files)
    kept = [name for name in names if ".Patient." in name]
    for name in names:
        if name in kept:
            assert served_file(parts, "acme", principal("Patient"), job, name).size
        else:
            with pytest.raises(Forbidden):
                served_file(parts, "acme", principal("Patient"), job, name)


@pytest.mark.parametrize(
    "name",
    [
        "0.Patient.ndjson",
        "9.Patient.ndjson",
        "1.Location.ndjson",
        "1.Patient.ndjson.gz",
        "x",
        "01.Patient.ndjson",
        "../1.Patient.ndjson",
        "1.Patient.ndjson\n",
        "",
    ],
)
def test_files_that_are_not_there(parts: BulkParts, name: str) -> None:
    job = start(parts, None, ("_type", "Patient"))
    with pytest.raises(NotFound):
        served_file(parts, "acme", principal(), job, "1.Patient.ndjson")
    run_all(parts)
    with pytest.raises(NotFound):
        served_file(parts, "acme", principal(), job, name)


def test_progress_is_told_while_it_runs(parts: BulkParts) -> None:
    job = start(parts, None, ("_type", "Appointment,Patient"))
    found = status(parts, "acme", principal(), job)
    assert found == InProgress("0% (planning)", 1)
    seen = []
    for n in range(4):
        assert run_one(parts, job, n)
        found = status(parts, "acme", principal(), job)
        assert isinstance(found, InProgress)
        assert 1 <= found.retry_after <= 300
        seen.append(found.progress)
    assert seen == [
        "0% (Appointment 0/3 parts)",
        "35% (Appointment 1/3 parts)",
        "71% (Appointment 2/3 parts)",
        "85% (Patient 0/1 parts)",
    ]
    assert run_one(parts, job, 4)
    assert isinstance(status(parts, "acme", principal(), job), Complete)


def test_cancelled_at_any_time_it_is_gone(parts: BulkParts, tmp_path: Path) -> None:
    waiting, running, complete = (start(parts) for _ in range(3))
    run_one(parts, running, 0)
    run_one(parts, running, 1)
    while isinstance(status(parts, "acme", principal(), complete), InProgress):
        for n in range(10):
            run_one(parts, complete, n)
    for job in (waiting, running, complete):
        assert cancel(parts, "acme", principal(), job) == CANCELLED_TEXT
        with pytest.raises(NotFound, match="cancelled"):
            status(parts, "acme", principal(), job)
        with pytest.raises(NotFound, match="cancelled"):
            cancel(parts, "acme", principal(), job)
        with pytest.raises(NotFound, match="cancelled"):
            served_file(parts, "acme", principal(), job, "1.Patient.ndjson")
    run_all(parts)
    expiry.clean(parts)
    assert [path for path in tmp_path.rglob("*.ndjson*") if path.is_file()] == []


def test_files_expire_and_the_answer_says_when(
    parts: BulkParts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(parts, None, ("_type", "Patient"))
    run_all(parts)
    found = status(parts, "acme", principal(), job)
    assert isinstance(found, Complete)
    expiry.clean(parts)
    assert exported(parts, job).ids("Patient") == EVEN
    later = found.expires_us
    monkeypatch.setattr("fhir_facade.clock.now_us", lambda: later)
    for _ in range(2):
        for use in (
            lambda: status(parts, "acme", principal(), job),
            lambda: served_file(parts, "acme", principal(), job, "1.Patient.ndjson"),
        ):
            with pytest.raises(NotFound, match=f"expired at {_instant(later)}"):
                use()
        expiry.clean(parts)
    assert list(tmp_path.rglob("*.ndjson")) == []
    monkeypatch.setattr("fhir_facade.clock.now_us", lambda: later + 8 * 86_400_000_000)
    expiry.clean(parts)
    assert JobStore(parts.db).job("acme", job) is None


def test_all_exports_of_a_tenant_can_be_withdrawn(parts: BulkParts, tmp_path: Path) -> None:
    done, waiting = start(parts), start(parts)
    while isinstance(status(parts, "acme", principal(), done), InProgress):
        for n in range(10):
            run_one(parts, done, n)
    assert expiry.withdraw(parts, "other") == 0
    assert expiry.withdraw(parts, "acme") == 2
    assert list(tmp_path.rglob("*.ndjson")) == []
    for job in (done, waiting):
        with pytest.raises(NotFound):
            status(parts, "acme", principal(), job)


def test_a_place_that_cannot_be_written_fails_the_export_and_says_why(
    parts: BulkParts, tmp_path: Path
) -> None:
    (tmp_path / "files").write_text("in the way")
    parts = with_settings(parts, max_failures=3)
    job = start(parts)
    run_all(parts)
    found = status(parts, "acme", principal(), job)
    assert isinstance(found, Failed)
    assert "cannot create an export file" in found.diagnostics
    assert str(tmp_path) not in found.diagnostics
    cancel(parts, "acme", principal(), job)


def test_a_place_that_heals_in_time_costs_nothing(parts: BulkParts, tmp_path: Path) -> None:
    """The part is tried again after its pause, and the files are those of a calm run."""
    calm = export(parts).digests()
    (tmp_path / "files").rename(tmp_path / "aside")
    (tmp_path / "files").write_text("in the way")
    job = start(parts)
    run_one(parts, job, 0)
    assert not run_one(parts, job, 1)
    (tmp_path / "files").unlink()
    run_all(parts)
    assert exported(parts, job).digests() == calm


def test_a_part_that_takes_every_worker_down_fails_the_export_at_last(parts: BulkParts) -> None:
    """No error is ever told: the workers just vanish, and their leases lapse."""
    parts = with_settings(parts, max_attempts=3)
    job = start(parts)
    store = PartStore(parts.db)
    for _ in range(3):
        assert store.claim(PartKey(job, 0), now_us=clock.now_us(), lease_us=0)
        assert isinstance(status(parts, "acme", principal(), job), InProgress)
    run_all(parts)
    found = status(parts, "acme", principal(), job)
    assert isinstance(found, Failed)
    assert "too many workers were lost" in found.diagnostics


def test_an_error_that_is_not_ours_is_named_by_its_class_only(
    parts: BulkParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("Family7, born 1970")

    monkeypatch.setattr("fhir_facade.bulk.lines.SliceReader.page", broken)
    parts = with_settings(parts, max_failures=2)
    job = start(parts)
    run_all(parts)
    found = status(parts, "acme", principal(), job)
    assert isinstance(found, Failed)
    assert "RuntimeError" in found.diagnostics
    assert "Family7" not in found.text + found.diagnostics


@pytest.mark.parametrize("kept", [100_000, 5])
def test_the_second_check_refuses_what_the_query_should_not_have_found(
    parts: BulkParts, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """A row outside the reach never leaves, even if the query were wrong."""

    def too_much(_reader: object, conn: Connection, after: str | None, _limit: int) -> list[object]:
        keys = [("Patient", "qubs-P00000"), ("Patient", "qubs-P00001")]
        rows = versions.by_keys(conn, "acme", keys, 10**9)
        return [(r.id, r.body, r.patients, r.categories, r.inherits) for r in rows]

    monkeypatch.setattr("fhir_facade.bulk.lines.SliceReader.page", too_much)
    monkeypatch.setattr("fhir_facade.bulk.recheck.MEMBERS_IN_MEMORY", kept)
    assert export(parts, ("_type", "Patient")).ids("Patient") == ["qubs-P00000"]


def test_compressed_copies_are_made_once(parts: BulkParts) -> None:
    parts = with_settings(parts, gzip=True)
    job = start(parts)
    run_all(parts)
    for name, data in exported(parts, job).files.items():
        packed = served_file(parts, "acme", principal(), job, name, gzip=True)
        assert packed.encoding == "gzip"
        assert packed.etag.endswith("-gzip")
        assert gzip.decompress(Path(packed.path).read_bytes()) == data
    plain = served_file(parts, "acme", principal(), job, name)
    assert (plain.encoding, plain.media_type) == (None, "application/fhir+ndjson")


def test_large_resources_come_in_small_pages(database: Database, tmp_path: Path) -> None:
    publish(database, *(patient(n, "x" * 300_000) for n in range(60)))
    group(database, *range(60))
    parts = with_settings(bulk_parts(database, tmp_path), page_rows=1_000, part_rows=10_000)
    found = export(parts, ("_type", "Patient"))
    assert found.ids("Patient") == [f"qubs-P{n:05d}" for n in range(60)]


def test_an_empty_group_exports_the_directory_only(database: Database, tmp_path: Path) -> None:
    publish(database, location(), patient(1), appointment(1, 1), appointment(2, None))
    group(database)
    found = export(bulk_parts(database, tmp_path), ("_type", "Patient,Appointment,Location"))
    assert [item["type"] for item in found.manifest["output"]] == ["Location"]
    nothing = export(bulk_parts(database, tmp_path), ("_type", "Patient"))
    assert nothing.manifest["output"] == []


def _instant(us: int) -> str:
    from fhir_facade.fhir.dates import format_instant

    return format_instant(us)


def test_since_gives_what_changed_and_what_went(parts: BulkParts) -> None:
    first = export(parts, ("_type", "Patient,Appointment"))
    since = first.manifest["transactionTime"]
    nothing = export(parts, ("_since", since))
    assert nothing.manifest["output"] == nothing.manifest["deleted"] == []

    publish(parts.db, patient(0, "changed"), patient(1, "changed"), appointment(0, 0, "changed"))
    withdraw(parts.db, appointment(2, 2), appointment(3, 3))
    found = export(parts, ("_since", since), ("_type", "Patient,Appointment"))
    assert found.ids("Patient") == ["qubs-P00000"]
    assert found.ids("Appointment") == ["qubs-A00000"]
    bundles = found.resources("deleted")
    assert [bundle["type"] for bundle in bundles] == ["transaction"]
    assert [entry["request"] for bundle in bundles for entry in bundle["entry"]] == [
        {"method": "DELETE", "url": "Appointment/qubs-A00002"}
    ]


def test_a_patient_who_is_deleted_leaves_the_group_and_is_named(parts: BulkParts) -> None:
    since = export(parts).manifest["transactionTime"]
    gone = [patient(0), *(appointment(n, 0) for n in range(0, 120, 20))]
    withdraw(parts.db, *gone, patient(1))
    group(parts.db, *range(0, 20, 2))
    found = export(parts, ("_since", since), ("_type", "Patient,Appointment"))
    assert [
        entry["request"]["url"]
        for bundle in found.resources("deleted")
        for entry in bundle["entry"]
    ] == sorted(f"{one['resourceType']}/{one['id']}" for one in gone)


def test_since_brings_the_whole_history_of_those_who_joined(parts: BulkParts) -> None:
    since = export(parts).manifest["transactionTime"]
    group(parts.db, *range(0, 20, 2), 1)
    found = export(parts, ("_since", since), ("_type", "Patient,Appointment,Location"))
    assert found.ids("Patient") == ["qubs-P00001"]
    assert found.ids("Appointment") == [f"qubs-A{n:05d}" for n in range(120) if n % 20 == 1]
    assert found.ids("Location") == []


def test_deletions_are_asked_with_since_only(parts: BulkParts) -> None:
    withdraw(parts.db, appointment(2, 2))
    assert export(parts).manifest["deleted"] == []


def test_replayed_deltas_equal_a_full_export(parts: BulkParts) -> None:
    """Baseline and deltas in turn, replayed, are what a full export gives, members joining too."""
    params = ("_type", "Patient,Appointment")
    full = export(parts, params)
    mirror = {(one["resourceType"], one["id"]): one for one in full.resources()}
    edits: list[Callable[[], None]] = [
        lambda: publish(parts.db, patient(0, "v2"), appointment(500, 4)),
        lambda: group(parts.db, *range(0, 20, 2), 3, 5),
        lambda: withdraw(parts.db, appointment(500, 4), appointment(4, 4)),
        lambda: publish(parts.db, appointment(4, 4, "again"), appointment(20, 0, "v2")),
    ]
    for edit in edits:
        since = full.manifest["transactionTime"]
        edit()
        delta = export(parts, params, ("_since", since))
        mirror.update({(one["resourceType"], one["id"]): one for one in delta.resources()})
        for bundle in delta.resources("deleted"):
            for entry in bundle["entry"]:
                name, _, id_ = entry["request"]["url"].partition("/")
                mirror.pop((name, id_), None)
        full = export(parts, params)
        assert mirror == {(one["resourceType"], one["id"]): one for one in full.resources()}


def test_a_since_before_the_known_deletions_is_refused(
    parts: BulkParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(parts, None, ("_since", "2000-01-01T00:00:00Z"))
    monkeypatch.setattr(
        "fhir_facade.bulk.kickoff.versions.floor_revision", lambda _conn, _tenant: 1
    )
    with pytest.raises(InvalidRequest, match="further back") as caught:
        start(parts, None, ("_since", "2000-01-01T00:00:00Z"))
    assert caught.value.expression == ("_since",)


def test_a_kickoff_costs_the_same_whatever_the_size(parts: BulkParts) -> None:
    """The job is durable with one part, its plan; nothing is counted in the request."""
    job = start(parts)
    assert JobStore(parts.db).progress(job) == []
    stored = JobStore(parts.db).job("acme", job)
    assert stored is not None
    assert json.loads(json.dumps(stored.types)) == sorted(stored.types)
