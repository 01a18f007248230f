"""The queue in front of the audit table."""

from __future__ import annotations

import os
import queue
import threading
import time
import weakref
from typing import Any, NamedTuple

from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError

from fhir_facade import clock
from fhir_facade.audit import store
from fhir_facade.audit.query import Trail
from fhir_facade.telemetry import log

QUEUE_ROWS = 10_000
BATCH_ROWS = 500
FLUSH_SECONDS = 0.5
_FULL_SECONDS = 0.01


class AccessRow(NamedTuple):
    """One act, in ids and fixed words: no name, value of a query, token or secret.

    `patient_ids` are the patients whose data it touched; `status` is the HTTP status answered;
    `query` the names of the search parameters applied. `job_id` and `revision` (of the mirror) are
    an export's. `actor` did an administrative act to the client or user named. `step`, `error`,
    `text`, `expected` and `received` are those of `smart_auth.ports.Refusal`.
    """

    tenant: str
    action: str
    outcome: str
    client_id: str | None = None
    user_id: str | None = None
    patient_ids: tuple[str, ...] = ()
    type: str | None = None
    interaction: str | None = None
    resource_id: str | None = None
    status: int | None = None
    reason: str | None = None
    correlation_id: str | None = None
    actor: str | None = None
    fhir_user: str | None = None
    query: tuple[str, ...] = ()
    job_id: str | None = None
    revision: int | None = None
    step: str | None = None
    error: str | None = None
    text: str | None = None
    expected: str | None = None
    received: str | None = None


def _values(row: AccessRow, recorded_us: int) -> dict[str, Any]:
    values = row._asdict()
    values["patients"] = "\n".join(dict.fromkeys(values.pop("patient_ids")))
    values["query"] = "\n".join(row.query) or None
    values["recorded_us"] = recorded_us
    return values


class AuditLog:
    """Writes audit rows. One instance serves a process; its thread starts with the first row, so it
    is safe to build before a fork.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pid = 0
        self._start_lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[AccessRow, int] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._log = log("audit")
        _open_logs.add(self)

    @property
    def trail(self) -> Trail:
        """What is written so far. A queued row is there within a second."""
        return Trail(self._engine)

    def access(self, row: AccessRow) -> None:
        """Queue a row; when the queue is full the caller waits, so no row is dropped."""
        if self._pid != os.getpid():
            self._start()
        # A queue with a bound of its own takes longer for a row than all else does here.
        while self._queue.qsize() >= QUEUE_ROWS:
            time.sleep(_FULL_SECONDS)
        self._queue.put((row, clock.now_us()))

    def record_now(self, *rows: AccessRow) -> None:
        """Write rows durably, all or none, before returning. Raises the database's error when it
        cannot."""
        if rows:
            # There are keys for no more than some rows of one microsecond.
            now = clock.now_us()
            timed = [_values(row, now + n // BATCH_ROWS) for n, row in enumerate(rows)]
            store.append(self._engine, timed)

    def close(self) -> None:
        """Write what is queued and stop. Safe to call more than once."""
        with self._start_lock:
            if self._pid != os.getpid() or self._thread is None:
                return
            self._queue.put(None)
            self._closing.set()
            self._thread.join(timeout=10)
            self._thread = None
            self._pid = 0

    def _start(self) -> None:
        with self._start_lock:
            if self._pid == os.getpid():
                return
            self._queue = queue.SimpleQueue()
            self._closing = threading.Event()
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
            self._thread.start()
            self._pid = os.getpid()

    def _run(self) -> None:
        rows = self._queue
        stopping = False
        # Rows that a request still added behind the end mark are written, too.
        while not stopping or not rows.empty():
            items = [rows.get()]
            # Asleep, not waiting for the next row: waking with each would slow the requests.
            if rows.qsize() < BATCH_ROWS:
                self._closing.wait(FLUSH_SECONDS)
            while len(items) < BATCH_ROWS and not rows.empty():
                items.append(rows.get())
            stopping = stopping or None in items
            batch = [_values(*item) for item in items if item is not None]
            if batch:
                self._write(batch)

    def _write(self, batch: list[dict[str, Any]]) -> None:
        """Insert a batch, trying until the database takes it: the queue's bound then slows the
        callers.
        """
        pause = 0.1
        while True:
            try:
                store.append(self._engine, batch)
                return
            except SQLAlchemyError as error:
                self._log.error("audit.write_failed", rows=len(batch), error=type(error).__name__)
                threading.Event().wait(pause)
                pause = min(pause * 2, 5.0)


_open_logs: weakref.WeakSet[AuditLog] = weakref.WeakSet()


def close_all() -> None:
    """Flush every log of this process: for worker exit hooks and atexit."""
    for audit_log in list(_open_logs):
        audit_log.close()
