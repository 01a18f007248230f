"""What retention drops and keeps; purging a patient; making the index anew."""

from __future__ import annotations

import dataclasses

import pytest
import time_machine
from sqlalchemy import Table, func, select

from fhir_facade.mirror import find, versions
from fhir_facade.mirror.criteria import TokenCriterion, TokenValue
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.groups import GroupDefinition, GroupStore
from fhir_facade.mirror.publish import Publisher
from fhir_facade.mirror.purge import purge_patient
from fhir_facade.mirror.quarantine import QuarantineEntry, QuarantineStore
from fhir_facade.mirror.records import PulledRecord, RecordStore
from fhir_facade.mirror.reindex import reindex
from fhir_facade.mirror.retention import drop_old
from fhir_facade.mirror.sql import Sql, run
from fhir_facade.mirror.tables import metadata
from fhir_facade.policy import AllPatients, Grant, Reach
from fhir_facade.resources.definition import token
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.subject import Subject
from tests.support.published import SYDNEY, appointment, output, patient, publish, report

DAY_US = 86_400_000_000
CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
ALL = Reach((Grant("user", "*", frozenset({"r", "s"}), AllPatients()),), CLASSES)


def rows_of(database: Database, table: Table) -> int:
    with database.read() as conn:
        return conn.execute(select(func.count()).select_from(table)).scalar_one()


@pytest.fixture
def aged(database: Database) -> Database:
    """Revision 1 and 2 are a hundred days old, revision 3 and the deletion in 4 two hours."""
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False) as now:
        publish(database, patient(1, "A"), patient(2), with_provenance=True)
        publish(database, patient(1, "B"), with_provenance=True)
        now.move_to("2026-04-11T00:00:00Z")
        publish(database, patient(1, "C"), with_provenance=True)
        Publisher(database, REGISTRY).publish("acme", "qubs", [output("Patient/p2")], SYDNEY)
    return database


KEPT = "SELECT version_id FROM resource_version WHERE tenant = ? AND type = ? AND id = ?"


def numbers(database: Database, key: str) -> list[int]:
    with database.read() as conn:
        found = run(conn, Sql(f"{KEPT} ORDER BY version_id DESC", ("acme", "Patient", key)))
        return [row[0] for row in found]


def drop(database: Database, at: str, days: int, keep_from: int | None = None) -> int:
    with time_machine.travel(at, tick=False):
        return drop_old(database, "acme", days * DAY_US, keep_from)


def test_superseded_versions_go_after_the_period(aged: Database) -> None:
    assert drop(aged, "2026-04-11T02:00:00Z", 90) == 2  # Patient and Provenance of revision 1
    assert numbers(aged, "p1") == [3, 2]
    assert numbers(aged, "p2") == [2, 1]
    with aged.read() as conn:
        assert versions.floor_revision(conn, "acme") == 2
        assert versions.read(conn, "acme", "Patient", "p1", 2) is not None
    assert drop(aged, "2026-04-11T02:00:00Z", 90) == 0


def test_nothing_goes_that_a_job_or_a_cursor_may_still_read(aged: Database) -> None:
    assert drop(aged, "2026-04-11T02:00:00Z", 90, keep_from=1) == 0
    assert numbers(aged, "p1") == [3, 2, 1]
    assert drop(aged, "2026-04-11T00:30:00Z", 0) == 2
    assert numbers(aged, "p1") == [3, 2]


def test_tombstones_go_in_the_end_and_what_is_valid_stays(aged: Database) -> None:
    assert drop(aged, "2026-12-01T00:00:00Z", 90) == 8
    assert numbers(aged, "p1") == [3]
    assert numbers(aged, "p2") == []
    for table in ("index_token", "index_string", "index_date", "compartment"):
        held = metadata.tables[table]
        with aged.read() as conn:
            kept = conn.execute(select(held.c.version_pk)).scalars()
            current = versions.read(conn, "acme", "Patient", "p1")
            beside = versions.read(conn, "acme", "Provenance", "Patient-p1")
            assert current is not None
            assert beside is not None
            assert set(kept) <= {current.pk, beside.pk}


def test_more_than_one_batch_is_dropped(database: Database) -> None:
    with time_machine.travel("2026-01-01T00:00:00Z", tick=False):
        for family in ("A", "B", "C"):
            publish(database, *(patient(n, family) for n in range(150)))
    assert drop(database, "2026-12-01T00:00:00Z", 90) == 300


def test_a_purged_patient_leaves_nothing(database: Database) -> None:
    records, held = RecordStore(database), QuarantineStore(database)
    subject = Subject("appointment", "Appointment/a1")
    pulled = PulledRecord("operational", "1", b"{}", (subject,))
    other = PulledRecord("operational", "2", b"{}", (Subject("appointment", "Appointment/a2"),))
    records.store("acme", "qubs", [pulled, other], pulled_us=1, sweep=1)
    held.put("acme", "qubs", [QuarantineEntry("appointment", "Appointment/a1", "", "x")])
    publish(database, patient(1), patient(2), appointment(1, 1), appointment(2, 2), report(1, 1))
    publish(database, patient(1, "Changed"), with_provenance=True)
    groups = GroupStore(database)
    groups.define("acme", GroupDefinition("all", "Everybody", "tenant"))
    groups.refresh("acme")
    publish(database, patient(3))
    groups.refresh("acme")

    assert purge_patient(database, "acme", "p1") == 6
    assert purge_patient(database, "acme", "p1") == 0
    groups.refresh("acme")
    with database.read() as conn:
        for kind, key in (
            ("Patient", "p1"),
            ("Appointment", "a1"),
            ("DiagnosticReport", "r1"),
            ("Provenance", "Patient-p1"),
        ):
            assert run(conn, Sql(KEPT, ("acme", kind, key))) == []
        assert versions.read(conn, "acme", "Appointment", "a2") is not None
        revision = versions.current_revision(conn, "acme")[0]
        assert groups.members(conn, "acme", "all", revision) == ["p2", "p3"]
    assert records.body("acme", "qubs", "operational", "1") is None
    assert records.body("acme", "qubs", "operational", "2") is not None
    assert [d.subject.key for d in records.dirty("acme", "qubs", 9)] == ["Appointment/a2"]
    assert held.count("acme", "qubs") == 0


def test_a_new_search_parameter_works_after_making_the_index_anew(database: Database) -> None:
    publish(database, *(patient(n) for n in range(230)), report(1, 1), with_provenance=True)
    own = token("birth-sex", "gender")
    wider = dataclasses.replace(REGISTRY["Patient"], search=(*REGISTRY["Patient"].search, own))
    criterion = TokenCriterion("birth-sex", (TokenValue(None, "female"),))
    before = {name: rows_of(database, table) for name, table in metadata.tables.items()}
    with database.read() as conn:
        request = FindRequest("acme", "Patient", (criterion,), ALL, 2, None, 10)
        assert find.count(conn, request) == 0
    assert reindex(database, dict(REGISTRY) | {"Patient": wider}, "acme", SYDNEY) == 462
    with database.read() as conn:
        assert find.count(conn, request) == 230
        assert versions.current_revision(conn, "acme")[0] == 2
    after = {name: rows_of(database, table) for name, table in metadata.tables.items()}
    assert after == before | {"index_token": before["index_token"] + 230}
