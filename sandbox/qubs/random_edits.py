"""Random edit scripts for delta tests: equal seeds on equal worlds give equal scripts."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

from sandbox.qubs.draws import guid
from sandbox.qubs.records import Record
from sandbox.qubs.selection import Selection
from sandbox.qubs.vocabulary import LAST_NAMES, STATUSES
from sandbox.qubs.world import DomainWorld

MAX_EDITS = 10_000
_REACH = 5000
"""Edits fall on the first so many appointments of the list."""


class _Writer:
    """Writes edits one by one, and keeps off records it removed."""

    def __init__(self, domain: DomainWorld, seed: int) -> None:
        self._domain = domain
        self._rng = random.Random(f"{seed}/{domain.spec.name}/edits")
        self._name = f"{seed}/{domain.spec.name}/edit"
        self._number = 0
        records, _ = domain.page(Selection(), 0, _REACH)
        self._records = records

    def write(self) -> dict[str, Any]:
        """The next edit."""
        self._number += 1
        if not self._records:
            return self._add()
        makers: tuple[tuple[Callable[[], dict[str, Any]], int], ...] = (
            (self._status, 30),
            (self._move, 20),
            (self._blank, 10),
            (self._add, 12),
            (self._remove, 10),
            (self._comment, 10),
            (self._patient, 8),
        )
        makes, weights = zip(*makers, strict=True)
        make: Callable[[], dict[str, Any]] = self._rng.choices(makes, weights)[0]
        return make()

    def _edit(
        self, op: str, kind: str, key: str | None, values: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        name = self._domain.spec.name
        return {"op": op, "kind": kind, "domain": name, "id": key, "set": values or {}}

    def _one(self) -> Record:
        return self._rng.choice(self._records)

    def _site(self) -> str:
        return self._rng.choice(sorted(self._domain.sites))

    def _date(self) -> str:
        day = self._rng.randint(-self._domain.spec.days_back, self._domain.spec.days_ahead)
        return (self._domain.reference + dt.timedelta(days=day)).isoformat()

    def _status(self) -> dict[str, Any]:
        values = {"status": self._rng.choice(STATUSES)}
        return self._edit("change", "appointment", self._one()["appointmentId"], values)

    def _move(self) -> dict[str, Any]:
        values = {
            "scheduledSite": self._site(),
            "appointmentDate": self._date(),
            "startTime": f"{self._rng.randint(8, 16):02}:30:00",
            "endTime": f"{self._rng.randint(16, 18):02}:45:00",
        }
        return self._edit("change", "appointment", self._one()["appointmentId"], values)

    def _blank(self) -> dict[str, Any]:
        name = self._rng.choice(["startTime", "room", "patientId", "studyDescription", "endTime"])
        return self._edit("change", "appointment", self._one()["appointmentId"], {name: None})

    def _add(self) -> dict[str, Any]:
        key = f"N{guid(f'{self._name}/{self._number}')[:8].upper()}"
        values = {
            "scheduledSite": self._site(),
            "status": self._rng.choice(STATUSES),
            "appointmentDate": self._date(),
            "startTime": "09:15:00",
            "endTime": "09:45:00",
            "patientId": str(
                self._domain.spec.first_patient_id + self._rng.randrange(self._domain.spec.patients)
            ),
            "studyDescription": "CT Chest",
            "modality": "CT",
        }
        return self._edit("add", "appointment", key, values)

    def _remove(self) -> dict[str, Any]:
        record = self._records.pop(self._rng.randrange(len(self._records)))
        return self._edit("remove", "appointment", record["appointmentId"])

    def _comment(self) -> dict[str, Any]:
        values = {
            "appointmentId": self._one()["appointmentId"],
            "commentText": f"Note {self._number}.",
            "commentType": self._rng.choice(["AC", "AA"]),
        }
        return self._edit("add", "comment", guid(f"{self._name}/{self._number}"), values)

    def _patient(self) -> dict[str, Any]:
        number = self._rng.randrange(self._domain.spec.patients)
        key = str(self._domain.spec.first_patient_id + number)
        if self._domain.patient(key) is None:
            return self._status()
        return self._edit("change", "patient", key, {"lastName": self._rng.choice(LAST_NAMES)})


def random_script(domain: DomainWorld, seed: int, count: int) -> list[dict[str, Any]]:
    """``count`` edits that can be applied to ``domain`` as it stands, in the form of ``edits.py``.

    Raises ValueError for a count outside 1..10,000.
    """
    if not 1 <= count <= MAX_EDITS:
        raise ValueError(f"count must be between 1 and {MAX_EDITS}")
    writer = _Writer(domain, seed)
    return [writer.write() for _ in range(count)]
