"""Jobs and the leases of their parts, on SQLite and PostgreSQL: every race has one winner."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from fhir_facade.bulk import tables
from fhir_facade.bulk.model import (
    Claim,
    Job,
    JobState,
    LeftOut,
    PartKey,
    PartKind,
    PlannedPart,
    Written,
)
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.bulk.store import UNFINISHED, JobStore
from fhir_facade.mirror.database import Database
from fhir_facade.policy import AllPatients, Grant, Reach, ReachClass
from tests.support.databases import database, database_url

__all__ = ["database", "database_url"]

LEASE = 1_000_000
REACH = Reach(
    (Grant("system", "*", frozenset({"r", "s"}), AllPatients()),),
    {"Patient": ReachClass.PATIENT},
    frozenset({"g1"}),
)
FILE = Written("acme/j/1-1.ndjson", 3, 30, "ab")
NOTHING = Written(None, 0, 0, "cd")


def a_job(number: int, client: str = "c", tenant: str = "acme", created_us: int = 0) -> Job:
    return Job(
        tenant=tenant,
        id=f"{number:032x}",
        client_id=client,
        level="Group",
        group_id="g1",
        request_url="https://example.org/fhir/acme/Group/g1/$export",
        revision=7 + number,
        since_revision=None,
        transaction_us=123,
        types=("Patient",),
        left_out=(LeftOut("not-supported", "No.", "_type"),),
        reach=REACH,
        state=JobState.PLANNING,
        created_us=created_us,
    )


def parts(count: int) -> list[PlannedPart]:
    return [PlannedPart(PartKind.OUTPUT, "Patient", str(n), str(n + 1), 5) for n in range(count)]


def claim(db: Database, job: Job, n: int, now_us: int = 0) -> Claim:
    found = PartStore(db).claim(PartKey(job.id, n), now_us=now_us, lease_us=LEASE)
    assert found is not None
    return found


def planned(db: Database, job: Job, plan: Sequence[PlannedPart]) -> Job:
    assert JobStore(db).add(job, 10)
    assert PartStore(db).finish_plan(claim(db, job, 0), plan, now_us=1, expires_us=99)
    return job


def state(db: Database, job: Job) -> JobState:
    found = JobStore(db).job(job.tenant, job.id)
    assert found is not None
    return found.state


def at_once(works: Sequence[Callable[[], Any]]) -> list[Any]:
    """The results of all, started together."""
    start = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_the_migration_makes_exactly_the_tables(database: Database) -> None:
    names = set(tables.metadata.tables)
    with database.read() as conn:
        options = {"include_name": lambda name, kind, _: kind != "table" or name in names}
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_a_job_is_kept_as_given(database: Database) -> None:
    job = replace(a_job(1), since_revision=4)
    assert JobStore(database).add(job, 1)
    assert JobStore(database).job("acme", job.id) == job
    assert JobStore(database).job("other", job.id) is None
    assert JobStore(database).job("acme", "f" * 32) is None


def test_a_client_has_a_limit_and_others_have_their_own(database: Database) -> None:
    store = JobStore(database)
    assert store.add(a_job(1), 2)
    assert store.add(a_job(2), 2)
    assert not store.add(a_job(3), 2)
    assert store.add(a_job(4, client="d"), 2)
    assert store.add(a_job(5, tenant="other"), 2)
    assert store.end(a_job(1).id, UNFINISHED, JobState.CANCELLED, now_us=1)
    assert store.add(a_job(6), 2)


def test_one_worker_gets_a_part(database: Database) -> None:
    job = a_job(1)
    JobStore(database).add(job, 1)
    key = PartKey(job.id, 0)
    store = PartStore(database)
    works = [lambda: store.claim(key, now_us=0, lease_us=LEASE)] * 6
    winners = [found for found in at_once(works) if found is not None]
    assert [(w.n, w.attempt, w.failures, w.part.kind) for w in winners] == [
        (0, 1, 0, PartKind.PLAN)
    ]
    assert winners[0].job.reach == REACH


def test_a_lapsed_lease_goes_to_the_next_and_fences_the_first(database: Database) -> None:
    job = planned(database, a_job(1), parts(1))
    store = PartStore(database)
    late = claim(database, job, 1, now_us=0)
    assert store.claimable(LEASE - 1) == []
    assert store.claim(late.key, now_us=LEASE - 1, lease_us=LEASE) is None
    assert store.renew(late, 1, until_us=2 * LEASE)
    assert store.claimable(LEASE) == []
    assert store.claimable(2 * LEASE) == [late.key]
    early = claim(database, job, 1, now_us=2 * LEASE)
    assert early.attempt == 2
    assert not store.renew(late, 1, until_us=9 * LEASE)
    assert not store.finish(late, FILE, now_us=3, expires_us=99)
    assert not store.fail(late, "late", retry_us=None, now_us=3)
    store.release(late)
    assert state(database, job) is JobState.RUNNING
    assert store.finish(early, FILE, now_us=4, expires_us=99)
    assert not store.finish(early, FILE, now_us=4, expires_us=99)
    assert state(database, job) is JobState.COMPLETE


def test_a_part_given_back_is_there_at_once(database: Database) -> None:
    job = planned(database, a_job(1), parts(1))
    store = PartStore(database)
    store.release(claim(database, job, 1))
    assert store.claimable(0) == [PartKey(job.id, 1)]
    assert claim(database, job, 1).failures == 0


def test_files_are_numbered_in_the_order_of_the_plan(database: Database) -> None:
    """Whatever the order in which parts end; a part without lines has no number."""
    job = planned(database, a_job(1), parts(4))
    store = PartStore(database)
    for n in (4, 2, 1, 3):
        assert JobStore(database).files(job.id) == []
        assert state(database, job) is JobState.RUNNING
        written = NOTHING if n == 2 else replace(FILE, key=f"acme/j/{n}-1.ndjson")
        assert store.finish(claim(database, job, n), written, now_us=50, expires_us=99)
    files = JobStore(database).files(job.id)
    assert [(f.number, f.key, f.name) for f in files] == [
        (1, "acme/j/1-1.ndjson", "1.Patient.ndjson"),
        (2, "acme/j/3-1.ndjson", "2.Patient.ndjson"),
        (3, "acme/j/4-1.ndjson", "3.Patient.ndjson"),
    ]
    assert JobStore(database).file(job.id, 2) == files[1]
    done = JobStore(database).job("acme", job.id)
    assert done is not None
    assert (done.state, done.finished_us, done.expires_us) == (JobState.COMPLETE, 50, 99)


def test_parts_that_end_together_complete_the_job(database: Database) -> None:
    for round_ in range(5):
        job = planned(database, a_job(round_, client=f"c{round_}"), parts(4))
        claims = [claim(database, job, n) for n in range(1, 5)]
        store = PartStore(database)

        def finish(one: Claim, store: PartStore = store) -> Callable[[], bool]:
            return lambda: store.finish(one, FILE, now_us=1, expires_us=99)

        assert all(at_once([finish(one) for one in claims]))
        assert state(database, job) is JobState.COMPLETE
        assert [file.number for file in JobStore(database).files(job.id)] == [1, 2, 3, 4]


def test_a_plan_without_parts_completes_the_job(database: Database) -> None:
    job = planned(database, a_job(1), [])
    assert state(database, job) is JobState.COMPLETE
    assert JobStore(database).files(job.id) == []


def test_a_plan_made_twice_is_stored_once(database: Database) -> None:
    job = a_job(1)
    JobStore(database).add(job, 1)
    late = claim(database, job, 0, now_us=0)
    early = claim(database, job, 0, now_us=LEASE)
    store = PartStore(database)
    assert store.finish_plan(early, parts(2), now_us=1, expires_us=99)
    assert not store.finish_plan(late, parts(3), now_us=1, expires_us=99)
    assert len(JobStore(database).progress(job.id)) == 2


def test_a_failed_attempt_waits_and_the_last_one_fails_the_job(database: Database) -> None:
    job = planned(database, a_job(1), parts(2))
    store = PartStore(database)
    assert store.fail(claim(database, job, 1), "disk full", retry_us=500, now_us=0)
    assert store.claimable(499) == [PartKey(job.id, 2)]
    other = claim(database, job, 2, now_us=499)
    again = claim(database, job, 1, now_us=500)
    assert (again.attempt, again.failures) == (2, 1)
    assert store.fail(again, "disk full", retry_us=None, now_us=600)
    failed = JobStore(database).job("acme", job.id)
    assert failed is not None
    assert (failed.state, failed.failure, failed.finished_us) == (
        JobState.FAILED,
        "disk full",
        600,
    )
    assert store.claimable(10 * LEASE) == []
    assert not store.renew(other, 1, until_us=9)
    assert not store.finish(other, FILE, now_us=601, expires_us=99)


def test_cancel_is_seen_by_all_parts(database: Database) -> None:
    job = planned(database, a_job(1), parts(2))
    store = PartStore(database)
    running = claim(database, job, 1)
    assert JobStore(database).end(job.id, UNFINISHED, JobState.CANCELLED, now_us=5)
    assert not JobStore(database).end(job.id, UNFINISHED, JobState.CANCELLED, now_us=5)
    assert store.claimable(10 * LEASE) == []
    assert store.claim(PartKey(job.id, 2), now_us=10 * LEASE, lease_us=LEASE) is None
    assert not store.renew(running, 1, until_us=9)
    assert not store.finish(running, FILE, now_us=6, expires_us=99)
    assert state(database, job) is JobState.CANCELLED


def test_clients_take_turns_and_so_do_their_jobs(database: Database) -> None:
    """Client a has three jobs, client b one: b gets every second part while it has any."""
    jobs = {
        name: planned(database, a_job(n, client=name[0]), parts(3))
        for n, name in enumerate(("a1", "a2", "a3", "b1"))
    }
    names = {job.id: name for name, job in jobs.items()}
    store = PartStore(database)
    served = []
    for now_us in range(10, 22):
        key = store.claimable(now_us)[0]
        found = store.claim(key, now_us=now_us, lease_us=LEASE)
        assert found is not None
        served.append(names[key.job_id])
    assert [name[0] for name in served[:6]] in (list("ababab"), list("bababa"))
    assert sorted(served) == sorted(["a1", "a2", "a3", "b1"] * 3)
    assert {served.index(name) for name in ("a1", "a2", "a3")} <= set(range(6))


def test_what_retention_must_keep(database: Database) -> None:
    store = JobStore(database)
    assert store.oldest_revision("acme") is None
    store.add(a_job(2), 9)
    store.add(a_job(1), 9)
    store.add(a_job(0, tenant="other"), 9)
    assert store.oldest_revision("acme") == 8
    store.end(a_job(1).id, UNFINISHED, JobState.CANCELLED, now_us=1)
    assert store.oldest_revision("acme") == 9
    store.add(replace(a_job(5), since_revision=3), 9)
    assert store.oldest_revision("acme") == 3


@pytest.mark.parametrize("ended", [JobState.CANCELLED, JobState.EXPIRED])
def test_an_ended_job_is_cleaned_and_forgotten(database: Database, ended: JobState) -> None:
    job = planned(database, a_job(1), [])
    store = JobStore(database)
    assert [one.id for one in store.past_expiry(99)] == [job.id]
    assert store.past_expiry(98) == []
    assert store.end(job.id, (JobState.COMPLETE,), ended, now_us=100)
    assert [one.id for one in store.uncleaned()] == [job.id]
    store.mark_cleaned(job.id)
    assert store.uncleaned() == []
    assert store.ended_before(100) == []
    assert [one.id for one in store.ended_before(101)] == [job.id]
    store.forget(job.id)
    assert store.job("acme", job.id) is None
    assert store.progress(job.id) == []
