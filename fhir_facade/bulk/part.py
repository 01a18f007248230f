"""Run one part: claim, write, compare-and-set. Safe to call any number of times, anywhere, for any
part.

The file is complete and durable under a key that holds the attempt before the part is marked done,
and only the attempt that wins the compare-and-set puts its key into the manifest. A worker that is
killed leaves a lease that lapses; one that wakes up late finds its attempt superseded and changes
nothing.
"""

from __future__ import annotations

import hashlib
import os
import threading

from sqlalchemy.exc import SQLAlchemyError

from fhir_facade import clock
from fhir_facade.bulk.compress import Copies
from fhir_facade.bulk.files import StorageError
from fhir_facade.bulk.lines import pages_of
from fhir_facade.bulk.model import BulkParts, Claim, PartKey, PartKind, Written
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.bulk.plan import plan
from fhir_facade.telemetry import bind_correlation, log

_log = log("bulk")
_HOUR_US = 3_600_000_000


class LeaseLostError(Exception):
    """The part is another worker's by now, or its job has ended."""


class StoppedError(Exception):
    """This process has been asked to stop."""


def run_part(parts: BulkParts, key: PartKey, stop: threading.Event) -> bool:
    """Claim a part and run it; False when it was not to be had, or its attempt did not count.

    An error is counted and the part tried again later, until the job fails with that error. When
    `stop` is set the part is given back at the next page.
    """
    store = PartStore(parts.db, parts.ended)
    lease_us = int(parts.settings.lease_seconds * 1_000_000)
    claim = store.claim(key, now_us=clock.now_us(), lease_us=lease_us)
    if claim is None:
        return False
    with bind_correlation(key.job_id):
        return _run(parts, store, claim, stop)


def _run(parts: BulkParts, store: PartStore, claim: Claim, stop: threading.Event) -> bool:
    try:
        if claim.attempt > parts.settings.max_attempts:
            raise StorageError("too many workers were lost while they wrote this part")
        return _finish(parts, store, claim, Heartbeat(parts, store, claim, stop))
    except LeaseLostError:
        _log.info("part_lost", job=claim.job.id, part=claim.n, attempt=claim.attempt)
    except StoppedError:
        store.release(claim)
    except Exception as error:
        _fail(parts, store, claim, error)
    return False


def _finish(parts: BulkParts, store: PartStore, claim: Claim, heart: Heartbeat) -> bool:
    if claim.part.kind is PartKind.PLAN:
        planned = plan(parts, claim.job, heart.beat)
        now_us = clock.now_us()
        expires_us = now_us + parts.settings.expiry_hours * _HOUR_US
        return store.finish_plan(claim, planned, now_us=now_us, expires_us=expires_us)
    written = _write(parts, claim, heart)
    now_us = clock.now_us()
    expires_us = now_us + parts.settings.expiry_hours * _HOUR_US
    won = store.finish(claim, written, now_us=now_us, expires_us=expires_us)
    losers = range(1, claim.attempt) if won else (claim.attempt,)
    for attempt in losers:
        Copies(parts.files, file_key(claim, attempt)).delete()
    return won


def _write(parts: BulkParts, claim: Claim, heart: Heartbeat) -> Written:
    """Write the part's file; a part without lines has none."""
    key = file_key(claim, claim.attempt)
    digest = hashlib.sha256()
    count = size = rows = 0
    with Copies(parts.files, key, compressed=parts.settings.gzip) as copies:
        for page in pages_of(parts, claim):
            if page.refused:
                _log.error("second_check_refused", job=claim.job.id, rows=page.refused)
            copies.write(page.data)
            digest.update(page.data)
            count += page.lines
            size += len(page.data)
            rows += page.rows
            heart.beat(rows)
        if count:
            copies.commit()
    return Written(key if count else None, count, size, digest.hexdigest())


def file_key(claim: Claim, attempt: int) -> str:
    """The key of a part's file as one attempt writes it."""
    return f"{claim.job.tenant}/{claim.job.id}/{claim.n}-{attempt}.ndjson"


class Heartbeat:
    """Renews the lease of a part as its work goes on, and learns there that the work is in vain."""

    def __init__(
        self, parts: BulkParts, store: PartStore, claim: Claim, stop: threading.Event
    ) -> None:
        self._settings = parts.settings
        self._store = store
        self._claim = claim
        self._stop = stop
        self._renewed = clock.monotonic()

    def beat(self, rows: int) -> None:
        """Call often. `rows` done so far. Raises StoppedError or LeaseLostError."""
        if self._stop.is_set():
            raise StoppedError
        if clock.monotonic() - self._renewed < self._settings.renew_seconds:
            return
        until_us = clock.now_us() + int(self._settings.lease_seconds * 1_000_000)
        if not self._store.renew(self._claim, rows, until_us=until_us):
            raise LeaseLostError
        self._renewed = clock.monotonic()


def _fail(parts: BulkParts, store: PartStore, claim: Claim, error: Exception) -> None:
    """Count the failure. Of exceptions not ours only the class is kept: a message may hold PHI."""
    settings = parts.settings
    reason = str(error) if isinstance(error, StorageError) else type(error).__name__
    last = claim.failures + 1 >= settings.max_failures or claim.attempt > settings.max_attempts
    pause = settings.retry_seconds * 2**claim.failures
    now_us = clock.now_us()
    retry_us = None if last else now_us + int(pause * 1_000_000)
    _log.error(
        "part_failed",
        job=claim.job.id,
        part=claim.n,
        attempt=claim.attempt,
        reason=reason,
        where=_place(error),
    )
    try:
        store.fail(claim, reason, retry_us=retry_us, now_us=now_us)
    except SQLAlchemyError as unreachable:
        # The lease lapses by itself: nothing is lost but time.
        _log.error("part_failure_not_stored", job=claim.job.id, reason=type(unreachable).__name__)


def _place(error: Exception) -> str:
    """File and line where it was raised, for whoever reads the log."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return ""
    return f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
