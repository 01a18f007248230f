"""The body of a worker process. Any number may run, on any number of hosts that share database and
files.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

from sqlalchemy.exc import SQLAlchemyError

from fhir_facade.bulk.engines import EmbeddedEngine, Engine
from fhir_facade.bulk.expiry import clean
from fhir_facade.bulk.model import BulkParts, PartKey
from fhir_facade.bulk.part import run_part
from fhir_facade.telemetry import log

_log = log("bulk")
_CLEANING_SECONDS = 5.0
_JOIN_SECONDS = 30.0


def run_worker(parts: BulkParts, stop: threading.Event, engine: Engine | None = None) -> None:
    """Run parts and clean up until `stop` is set; the part in hand is then given back at its next
    page.

    `engine` None is the embedded one.
    """
    parts.db.unmap()
    chosen = engine or EmbeddedEngine(parts.db)
    cleaner = threading.Thread(target=_keep_clean, args=(parts, stop), name="bulk-cleaner")
    cleaner.start()
    _log.info("worker_started")

    def deliver(key: PartKey) -> bool:
        return run_part(parts, key, stop)

    try:
        chosen.run(deliver, stop)
    finally:
        stop.set()
        cleaner.join(_JOIN_SECONDS)
        _log.info("worker_stopped")


def stop_on_signals(stop: threading.Event) -> None:
    """Set `stop` on SIGTERM and SIGINT. Call from the main thread of the worker's process."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handle)


def _keep_clean(parts: BulkParts, stop: threading.Event) -> None:
    while True:
        try:
            clean(parts)
        except SQLAlchemyError as error:
            _log.error("cleaning_failed", reason=type(error).__name__)
        if stop.wait(_CLEANING_SECONDS):
            return
