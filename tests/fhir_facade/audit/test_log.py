"""Audit rows reach the table within a second, at close, across a fork, and are never dropped."""

import os
import threading
import time

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from fhir_facade.audit import AccessRow, AuditLog, migrate, store
from fhir_facade.audit import log as log_module


@pytest.fixture
def engine(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/audit.db", poolclass=NullPool)
    migrate.upgrade(engine)
    yield engine
    engine.dispose()


def row(number: int) -> AccessRow:
    return AccessRow("acme", "access", "success", patient_ids=("qubs-1", "qubs-2"), status=number)


def test_migration_is_current_and_repeatable(engine):
    assert migrate.is_current(engine)
    migrate.upgrade(engine)
    assert migrate.is_current(engine)


def test_queued_rows_are_written_within_a_second(engine):
    log = AuditLog(engine)
    for number in range(3):
        log.access(row(number))
    deadline = time.monotonic() + 5
    while len(store.recent(engine, "acme")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    rows = store.recent(engine, "acme")
    assert [r["status"] for r in rows] == [2, 1, 0]
    assert rows[0]["patients"] == "qubs-1\nqubs-2"
    log.close()


def test_close_writes_what_is_queued_from_many_threads(engine):
    log = AuditLog(engine)
    threads = [
        threading.Thread(target=lambda: [log.access(row(i)) for i in range(300)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    log.close()
    assert len(store.recent(engine, "acme", limit=5000)) == 1200


def test_callers_wait_while_the_queue_is_full(engine, monkeypatch):
    monkeypatch.setattr(log_module, "QUEUE_ROWS", 2)
    monkeypatch.setattr(log_module, "BATCH_ROWS", 1)
    gate, append = threading.Event(), store.append
    monkeypatch.setattr(store, "append", lambda *given: gate.wait(10) and append(*given))
    log = AuditLog(engine)
    for number in range(3):  # one is being written, two wait
        log.access(row(number))
    caller = threading.Thread(target=log.access, args=(row(3),))
    caller.start()
    caller.join(0.2)
    assert caller.is_alive()
    gate.set()
    caller.join(10)
    log.close()
    assert [r["status"] for r in store.recent(engine, "acme")] == [3, 2, 1, 0]


def test_a_forked_child_writes_its_own_rows(engine):
    log = AuditLog(engine)
    log.access(row(1))
    log.close()
    child = os.fork()
    if child == 0:
        log.access(row(2))
        log.close()
        os._exit(0)
    os.waitpid(child, 0)
    assert {r["status"] for r in store.recent(engine, "acme")} == {1, 2}


def test_a_database_that_fails_for_a_while_loses_nothing(engine):
    log = AuditLog(engine)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE audit_event RENAME TO away"))
    log.access(row(7))
    time.sleep(0.8)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO audit_event"))
    log.close()
    assert [r["status"] for r in store.recent(engine, "acme")] == [7]


def test_record_now_is_there_when_it_returns(engine):
    AuditLog(engine).record_now(row(403))
    assert store.recent(engine, "acme")[0]["status"] == 403


def test_as_many_rows_as_there_are_go_together(engine):
    AuditLog(engine).record_now(*(row(status) for status in range(2500)))
    AuditLog(engine).record_now()
    found = [one["status"] for one in store.recent(engine, "acme", 5000)]
    assert (len(found), set(found)) == (2500, set(range(2500)))
