"""Engines: who says which part is to be run. The truth about a part is in our tables, so an engine
may say it twice, late, or to several workers at once.

Every engine runs the suite in `tests/contract/test_engines.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from fhir_facade import clock
from fhir_facade.bulk.model import PartKey
from fhir_facade.bulk.part_store import PartStore
from fhir_facade.mirror.database import Database
from fhir_facade.telemetry import log

Deliver = Callable[[PartKey], bool]
"""Runs one part if it is to be had; False when it was not, or the attempt did not count."""

_log = log("bulk")
_CONTENDED_SECONDS = 0.02


class Engine(Protocol):
    """Delivers parts to this process until it is told to stop."""

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """Call `deliver` for parts that wait or whose worker is lost, of all jobs in fair order;
        return soon after `stop` is set. Survives an unreachable database.
        """


class EmbeddedEngine:
    """Reads the tables: needs no service, any number of processes, on SQLite and PostgreSQL."""

    def __init__(self, db: Database, poll_seconds: float = 0.5) -> None:
        self._parts = PartStore(db)
        self._poll_seconds = poll_seconds

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """One part at a time; looks again for the fairest one after each."""
        while not stop.is_set():
            try:
                pause = self._deliver_one(deliver)
            except SQLAlchemyError as error:
                _log.error("engine_cannot_read", reason=type(error).__name__)
                pause = self._poll_seconds
            if pause:
                stop.wait(pause)

    def _deliver_one(self, deliver: Deliver) -> float:
        """Seconds to wait before looking again."""
        keys = self._parts.claimable(clock.now_us())
        if any(deliver(key) for key in keys):
            return 0
        # All that was there went to other workers: there may be more of it at once.
        return _CONTENDED_SECONDS if keys else self._poll_seconds
