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


class Engine(Protocol):
    """Delivers parts to this process until it is told to stop."""

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """Call `deliver` for parts that wait or whose worker is lost, of all jobs in fair order;
        return soon after `stop` is set. Survives an unreachable database.
        """


class EmbeddedEngine:
    """Reads the tables: no service of its own, any number of processes, on SQLite and PostgreSQL."""

    def __init__(self, db: Database, poll_seconds: float = 0.5) -> None:
        self._parts = PartStore(db)
        self._poll_seconds = poll_seconds

    def run(self, deliver: Deliver, stop: threading.Event) -> None:
        """One part at a time; looks again for the fairest one after each."""
        while not stop.is_set():
            try:
                worked = self._deliver_one(deliver)
            except SQLAlchemyError as error:
                _log.error("engine_cannot_read", reason=type(error).__name__)
                worked = False
            if not worked:
                stop.wait(self._poll_seconds)

    def _deliver_one(self, deliver: Deliver) -> bool:
        """Whether a part was run; the first one on the list may have gone to another worker."""
        return any(deliver(key) for key in self._parts.claimable(clock.now_us()))
