"""Publishing: versions, revisions, tombstones, Provenance, dependencies."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select

from fhir_facade.fhir import json
from fhir_facade.fhir.dates import format_instant
from fhir_facade.mirror import versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.publish import LARGEST_BATCH, Publisher
from fhir_facade.mirror.records import PulledRecord, RecordStore
from fhir_facade.mirror.tables import OPEN, index_token, resource_version
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from tests.support.published import SYDNEY, appointment, output, patient, publish, report


def current(database: Database, kind: str, key: str) -> versions.Row:
    with database.read() as conn:
        row = versions.read(conn, "acme", kind, key)
    assert row is not None
    return row


def document(row: versions.Row) -> dict[str, Any]:
    assert row.body is not None
    loaded: dict[str, Any] = json.loads(row.body)
    return loaded


def test_a_new_resource_is_version_1_of_the_first_revision(database: Database) -> None:
    result = publish(database, patient(1, meta={"profile": ["urn:x"]}))
    assert result == (1, 1, 0, 0, 0)
    row = current(database, "Patient", "p1")
    assert (row.version_id, row.from_revision, row.deleted) == (1, 1, False)
    assert document(row)["meta"] == {
        "versionId": "1",
        "lastUpdated": format_instant(row.last_updated_us),
        "profile": ["urn:x"],
    }
    assert list(document(row))[:3] == ["resourceType", "id", "meta"]
    with database.read() as conn:
        assert versions.current_revision(conn, "acme") == (1, row.last_updated_us)
        assert versions.instant_of(conn, "acme", 1) == row.last_updated_us
        assert versions.revision_at(conn, "acme", row.last_updated_us) == 1
        assert versions.revision_at(conn, "acme", row.last_updated_us - 1) == 0


def test_the_same_content_is_no_new_version(database: Database) -> None:
    publish(database, patient(1), with_provenance=True)
    moved = dict(reversed(patient(1).items())) | {"meta": {"lastUpdated": "2020-01-01T00:00:00Z"}}
    assert publish(database, moved, with_provenance=True) == (None, 0, 0, 1, 0)
    assert current(database, "Patient", "p1").version_id == 1
    assert current(database, "Provenance", "Patient-p1").version_id == 1


def test_other_content_is_the_next_version_and_the_old_one_stays_readable(
    database: Database,
) -> None:
    publish(database, patient(1), with_provenance=True)
    result = publish(database, patient(1, family="Other"), with_provenance=True)
    assert result == (2, 0, 1, 0, 0)
    row = current(database, "Patient", "p1")
    assert row.version_id == 2
    assert current(database, "Provenance", "Patient-p1").version_id == 2
    with database.read() as conn:
        old = versions.read(conn, "acme", "Patient", "p1", revision=1)
        assert old is not None
        assert versions.read_version(conn, "acme", "Patient", "p1", 1) == old
        assert versions.read_version(conn, "acme", "Patient", "p1", 3) is None
        assert document(old)["name"][0]["family"] == "Example"
        assert old.last_updated_us < row.last_updated_us


def test_what_a_subject_no_longer_yields_becomes_a_tombstone(database: Database) -> None:
    publisher = Publisher(database, REGISTRY)
    both = output("1", appointment(1, 7), report(1, 7), with_provenance=True)
    publisher.publish("acme", "qubs", [both], SYDNEY)
    one = output("1", appointment(1, 7), with_provenance=True)
    assert publisher.publish("acme", "qubs", [one], SYDNEY) == (2, 0, 0, 1, 1)
    gone = current(database, "DiagnosticReport", "r1")
    assert gone.deleted
    assert gone.body is None
    assert gone.facts.patients == ("p7",)
    assert gone.facts.categories == ("http://terminology.hl7.org/CodeSystem/v2-0074|RAD",)
    assert current(database, "Provenance", "DiagnosticReport-r1").deleted
    assert not current(database, "Provenance", "Appointment-a1").deleted
    with database.read() as conn:
        open_rows = select(func.count()).where(
            index_token.c.type == "DiagnosticReport",
            index_token.c.to_revision == OPEN,
            index_token.c.param != "_category",
        )
        assert conn.execute(open_rows).scalar_one() == 0
        keys = [("DiagnosticReport", "r1"), ("Appointment", "a1")]
        assert [row.id for row in versions.by_keys(conn, "acme", keys, 2)] == ["a1"]
        assert [row.id for row in versions.by_keys(conn, "acme", keys, 1)] == ["a1", "r1"]
    assert publisher.publish("acme", "qubs", [one], SYDNEY) == (None, 0, 0, 1, 0)
    assert publisher.publish("acme", "qubs", [both], SYDNEY) == (3, 1, 0, 1, 0)
    assert current(database, "DiagnosticReport", "r1").version_id == 3


def test_what_could_not_be_made_this_time_is_kept(database: Database) -> None:
    publisher = Publisher(database, REGISTRY)
    both = output("1", appointment(1, 7), report(1, 7), with_provenance=True)
    publisher.publish("acme", "qubs", [both], SYDNEY)
    part = output("1", appointment(1, 7), kept=[("DiagnosticReport", "r1")])
    assert publisher.publish("acme", "qubs", [part], SYDNEY).deleted == 0
    assert not current(database, "Provenance", "DiagnosticReport-r1").deleted


def test_a_resource_belongs_to_the_subject_that_yielded_it_last(database: Database) -> None:
    publisher = Publisher(database, REGISTRY)
    publisher.publish("acme", "qubs", [output("1", patient(1), with_provenance=True)], SYDNEY)
    publisher.publish("acme", "qubs", [output("2", patient(1), with_provenance=True)], SYDNEY)
    assert publisher.publish("acme", "qubs", [output("1")], SYDNEY).deleted == 0
    assert publisher.publish("acme", "qubs", [output("2")], SYDNEY).deleted == 1


def test_provenance_inherits_from_its_target(database: Database) -> None:
    publish(database, report(1, 7), with_provenance=True)
    facts = current(database, "Provenance", "DiagnosticReport-r1").facts
    assert (facts.inherits, facts.patients) == ("DiagnosticReport", ("p7",))
    assert facts.categories == ("http://terminology.hl7.org/CodeSystem/v2-0074|RAD",)


def test_instants_strictly_increase_when_the_clock_does_not(database: Database) -> None:
    times = iter([5_000_900, 5_000_900, 1_000_000])
    publisher = Publisher(database, REGISTRY, lambda: next(times))
    for family in ("A", "B", "C"):
        publisher.publish("acme", "qubs", [output("1", patient(1, family))], SYDNEY)
    with database.read() as conn:
        instants = [versions.instant_of(conn, "acme", n) for n in (1, 2, 3)]
    assert instants == [5_000_000, 5_001_000, 5_002_000]


def test_too_many_or_foreign_types_change_nothing(database: Database) -> None:
    many = [patient(n) for n in range(LARGEST_BATCH + 1)]
    publisher = Publisher(database, REGISTRY)
    with pytest.raises(ValueError, match="at most 200"):
        publisher.publish("acme", "qubs", [output("1", *many)], SYDNEY)
    for foreign in ("Medication", "ConceptMap"):
        with pytest.raises(ValueError, match="not stored"):
            publisher.publish(
                "acme", "qubs", [output("1", {"resourceType": foreign, "id": "x"})], SYDNEY
            )
    with database.read() as conn:
        assert versions.current_revision(conn, "acme") == (0, 0)
        assert conn.execute(select(func.count(resource_version.c.pk))).scalar_one() == 0


def test_tenants_have_revisions_and_ids_of_their_own(database: Database) -> None:
    publish(database, patient(1))
    publish(database, patient(1, family="Zed"), tenant="zenith")
    with database.read() as conn:
        assert versions.current_revision(conn, "zenith")[0] == 1
        assert versions.read(conn, "zenith", "Patient", "p2") is None
        row = versions.read(conn, "zenith", "Patient", "p1")
    assert row is not None
    assert document(row)["name"][0]["family"] == "Zed"


def test_publishing_takes_only_the_mark_that_was_seen(database: Database) -> None:
    records, publisher = RecordStore(database), Publisher(database, REGISTRY)
    subject = Subject("appointment", "1")
    records.mark_dirty("acme", "qubs", [subject])
    [seen] = records.dirty("acme", "qubs", 10)
    records.mark_dirty("acme", "qubs", [subject])
    publisher.publish("acme", "qubs", [output("1", patient(1), mark=seen.mark)], SYDNEY)
    [again] = records.dirty("acme", "qubs", 10)
    assert again.mark != seen.mark
    publisher.publish("acme", "qubs", [output("1", patient(1), mark=again.mark)], SYDNEY)
    assert records.dirty("acme", "qubs", 10) == []


def test_a_change_marks_dependents_and_a_new_dependency_on_something_dirty_marks_again(
    database: Database,
) -> None:
    records, publisher = RecordStore(database), Publisher(database, REGISTRY)
    site, mine = Subject("site", "s"), Subject("appointment", "1")

    def store(body: bytes) -> None:
        pulled = PulledRecord("sites", "s", body, (site,))
        records.store("acme", "qubs", [pulled], pulled_us=1, sweep=1)

    depends = output("1", patient(1), dependencies=[site])
    publisher.publish("acme", "qubs", [depends], SYDNEY)
    store(b"1")
    assert {found.subject for found in records.dirty("acme", "qubs", 10)} == {site, mine}
    marks = {found.subject: found.mark for found in records.dirty("acme", "qubs", 10)}
    free = output("1", patient(1), mark=marks[mine])
    publisher.publish("acme", "qubs", [free], SYDNEY)
    assert [found.subject for found in records.dirty("acme", "qubs", 10)] == [site]
    # The site changed while the appointment was being mapped from the site's old record.
    publisher.publish("acme", "qubs", [depends], SYDNEY)
    assert {found.subject for found in records.dirty("acme", "qubs", 10)} == {site, mine}
