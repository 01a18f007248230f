"""Records, leases, state and quarantine on both databases."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import time_machine

from fhir_facade.mirror import dirty as marks
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.dependencies import replace_dependencies
from fhir_facade.mirror.leases import LeaseStore
from fhir_facade.mirror.quarantine import QuarantineEntry, QuarantineStore
from fhir_facade.mirror.records import PulledRecord, RecordStore, StoreResult
from fhir_facade.mirror.state import StateStore
from fhir_facade.resources.subject import Subject

ONE, TWO = Subject("appointment", "1"), Subject("appointment", "2")
ANNA = Subject("patient", "anna")


def record(key: str, body: bytes = b"{}", *links: Subject, **more: Any) -> PulledRecord:
    return PulledRecord("operational", key, body, links or (Subject("appointment", key),), **more)


@pytest.fixture
def records(database: Database) -> RecordStore:
    return RecordStore(database)


def store(records: RecordStore, *pulled: PulledRecord, sweep: int = 1) -> StoreResult:
    return records.store("acme", "qubs", pulled, pulled_us=sweep * 1000, sweep=sweep)


def dirty(records: RecordStore) -> set[Subject]:
    return {found.subject for found in records.dirty("acme", "qubs", 1000)}


def clean(records: RecordStore, database: Database) -> None:
    with database.write() as conn:
        marks.take(conn, "acme", "qubs", records.dirty("acme", "qubs", 1000))


def test_a_record_is_kept_as_it_came_and_its_subjects_are_marked(
    records: RecordStore, database: Database
) -> None:
    body = '{"name":"Zoë"}'.encode()
    assert store(records, record("1", body, ONE, ANNA, correlation_id="c")) == (1, 0)
    assert records.body("acme", "qubs", "operational", "1") == body
    assert records.body("acme", "qubs", "operational", "2") is None
    assert records.body("zenith", "qubs", "operational", "1") is None
    assert dirty(records) == {ONE, ANNA}
    with database.read() as conn:
        assert records.bodies(conn, "acme", "qubs", ANNA) == {("operational", "1"): body}
        found = records.stored(conn, "acme", "qubs", [ONE, TWO])
        assert found[TWO] == {}
        kept = found[ONE]["operational", "1"]
        assert (kept.body, kept.pulled_us, kept.correlation_id) == (body, 1000, "c")
    assert records.counts("acme", "qubs") == {"operational": 1}


def test_the_same_body_again_marks_nobody(records: RecordStore, database: Database) -> None:
    store(records, record("1"))
    clean(records, database)
    assert store(records, record("1"), sweep=2) == (0, 1)
    assert dirty(records) == set()
    assert list(records.unseen("acme", "qubs", "operational", 2)) == []
    with database.read() as conn:
        assert (
            records.stored(conn, "acme", "qubs", [ONE])[ONE]["operational", "1"].pulled_us == 1000
        )


def test_a_changed_link_marks_those_on_both_ends(records: RecordStore, database: Database) -> None:
    store(records, record("1", b"1", ONE, ANNA))
    clean(records, database)
    other = Subject("patient", "other")
    assert store(records, record("1", b"2", ONE, other)) == (1, 0)
    assert dirty(records) == {ONE, ANNA, other}
    clean(records, database)
    records.relink("acme", "qubs", {("operational", "1"): [ONE, ANNA]})
    assert dirty(records) == {ONE, ANNA, other}
    with database.read() as conn:
        assert records.bodies(conn, "acme", "qubs", other) == {}


def test_a_key_that_comes_twice_counts_once_and_the_last_wins(records: RecordStore) -> None:
    assert store(records, record("1", b"a"), record("1", b"b")) == (1, 0)
    assert records.body("acme", "qubs", "operational", "1") == b"b"


def test_more_records_than_one_transaction_takes(records: RecordStore) -> None:
    many = [record(str(n)) for n in range(1_201)]
    assert store(records, *many) == (1_201, 0)
    assert store(records, *many, sweep=2) == (0, 1_201)
    assert records.dirty_count("acme", "qubs") == 1_201
    assert len(records.dirty("acme", "qubs", 50)) == 50


def test_unseen_records_are_listed_by_scope(records: RecordStore) -> None:
    store(records, record("1", scope="a"), record("2", scope="b"), record("3", scope="a"))
    store(records, record("3", scope="a"), sweep=2)
    assert [row.key for row in records.unseen("acme", "qubs", "operational", 2)] == ["1", "2"]
    assert [row.key for row in records.unseen("acme", "qubs", "operational", 2, "a")] == ["1"]
    assert records.counts("acme", "qubs", "a") == {"operational": 2}
    records.mark_seen("acme", "qubs", "operational", ["1"], 2)
    assert [row.key for row in records.unseen("acme", "qubs", "operational", 2)] == ["2"]


def test_a_sweep_counts_a_missing_record_once(records: RecordStore) -> None:
    store(records, record("1"))

    def missing(sweep: int) -> int:
        return records.mark_missing("acme", "qubs", "operational", "1", sweep)

    assert [missing(2), missing(2), missing(3)] == [1, 1, 2]
    store(records, record("1"), sweep=4)
    assert missing(5) == 1
    assert records.mark_missing("acme", "qubs", "operational", "none", 5) == 0


def test_a_removed_record_marks_what_it_spoke_of(records: RecordStore, database: Database) -> None:
    store(records, record("1", b"1", ONE, ANNA))
    clean(records, database)
    assert records.remove("acme", "qubs", "operational", "1")
    assert not records.remove("acme", "qubs", "operational", "1")
    assert dirty(records) == {ONE, ANNA}
    assert records.body("acme", "qubs", "operational", "1") is None


def test_everything_can_be_marked_for_a_remap(records: RecordStore, database: Database) -> None:
    store(records, *(record(str(n)) for n in range(700)))
    clean(records, database)
    clean(records, database)
    assert records.dirty_count("acme", "qubs") == 0
    assert records.mark_all_dirty("acme", "qubs") == 700
    assert records.dirty_count("acme", "qubs") == 700


def test_marks_change_even_when_the_clock_stands_still(records: RecordStore) -> None:
    with time_machine.travel(1_800_000_000, tick=False):
        marks = []
        for _ in range(5):
            records.mark_dirty("acme", "qubs", [ONE])
            marks.append(records.dirty("acme", "qubs", 1)[0].mark)
    assert sorted(set(marks)) == marks


def test_many_dependents_are_marked_chunk_by_chunk(
    records: RecordStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(marks, "FEW_DEPENDENTS", 3)
    monkeypatch.setattr(marks, "CHUNK", 4)
    site = Subject("site", "s")
    many = [Subject("appointment", str(n)) for n in range(10)]
    with database.write() as conn:
        replace_dependencies(conn, "acme", "qubs", {one: [site] for one in many})
    pulled = PulledRecord("sites", "s", b"1", (site,))
    records.store("acme", "qubs", [pulled], pulled_us=1, sweep=1)
    assert records.dirty_count("acme", "qubs") == 2
    # Who comes to depend on the site before the dependents are marked is marked at once.
    with database.write() as conn:
        replace_dependencies(conn, "acme", "qubs", {ANNA: [site]})
    assert dirty(records) == {site, ANNA, *many}
    assert records.dirty_count("acme", "qubs") == 12


def test_only_kinds_that_are_asked_for(records: RecordStore) -> None:
    records.mark_dirty("acme", "qubs", [ONE, ANNA])
    assert [d.subject for d in records.dirty("acme", "qubs", 9, kinds=("patient",))] == [ANNA]


def test_a_lease_has_one_holder(database: Database) -> None:
    leases = LeaseStore(database)
    assert leases.acquire("sync:a", "me", 60)
    assert leases.acquire("sync:a", "me", 60)
    assert not leases.acquire("sync:a", "you", 60)
    assert not leases.renew("sync:a", "you", 60)
    assert leases.renew("sync:a", "me", 60)
    leases.release("sync:a", "you")
    assert not leases.acquire("sync:a", "you", 60)
    leases.release("sync:a", "me")
    assert leases.acquire("sync:a", "you", 60)


def test_a_lease_runs_out(database: Database) -> None:
    leases = LeaseStore(database)
    with time_machine.travel(1_800_000_000, tick=False) as now:
        assert leases.acquire("sync:a", "me", 10)
        now.shift(11)
        assert not leases.renew("sync:a", "me", 10)
        assert leases.acquire("sync:a", "you", 10)
        assert not leases.acquire("sync:a", "me", 10)


def test_of_many_who_want_a_lease_one_gets_it(database: Database) -> None:
    leases, got = LeaseStore(database), []

    def attempt(name: str) -> None:
        if leases.acquire("sync:a", name, 60):
            got.append(name)

    threads = [threading.Thread(target=attempt, args=(str(n),)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1


def test_state_is_json_by_name(database: Database) -> None:
    state = StateStore(database)
    assert state.get("acme", "qubs", "sweep") is None
    state.set("acme", "qubs", "sweep", {"number": 3})
    state.set("acme", "qubs", "sweep", {"number": 4})
    state.set("acme", "qubs", "tier:hot", [1])
    state.set("zenith", "qubs", "sweep", 9)
    assert state.get("acme", "qubs", "sweep") == {"number": 4}
    assert state.all("acme", "qubs") == {"sweep": {"number": 4}, "tier:hot": [1]}
    assert state.all("acme", "qubs", "tier:") == {"tier:hot": [1]}
    state.remove("acme", "qubs", "sweep")
    assert state.get("acme", "qubs", "sweep") is None
    assert state.get("zenith", "qubs", "sweep") == 9


def test_changes_of_state_do_not_get_lost(database: Database) -> None:
    state = StateStore(database)

    def work() -> None:
        for _ in range(5):
            state.change("acme", "qubs", "calls", lambda calls: (calls or 0) + 1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert state.get("acme", "qubs", "calls") == 20


def test_quarantine_holds_until_it_is_released(database: Database) -> None:
    held = QuarantineStore(database)
    with time_machine.travel(1_800_000_000, tick=False) as now:
        first = QuarantineEntry("appointment", "1", "Appointment", "start is malformed")
        held.put("acme", "qubs", [first, QuarantineEntry("operational", "2", "", "no id")])
        now.shift(5)
        held.put("acme", "qubs", [QuarantineEntry("appointment", "1", "Appointment", "other")])
    assert held.count("acme", "qubs") == 2
    entry = held.list("acme", "qubs")[0]
    assert (entry.key, entry.reason) == ("1", "other")
    assert (entry.first_us, entry.last_us) == (1_800_000_000_000_000, 1_800_000_005_000_000)
    held.release("acme", "qubs", [ONE])
    held.release("acme", "qubs", [])
    assert [e.key for e in held.list("acme", "qubs")] == ["2"]
    assert held.count("zenith", "qubs") == 0
