"""Faults on demand: which requests they hit, how often, and what the row faults do to a list.

A fault hits requests by operation, path prefix and method. It skips its first ``after`` hits, then
fires with ``probability`` (seeded) until it has fired ``count`` times.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

KINDS: dict[str, str] = {
    "status": "answer `status`; `retry_after` as `5` (seconds) or `date:5` (the same as a date)",
    "html_error": "answer `status` with an HTML body, as a gateway in between would",
    "slow": "wait `delay_ms`, then answer as usual",
    "drop": "close the connection before anything is done",
    "drop_after": "do what was asked, then close the connection without an answer",
    "drop_mid_body": "do what was asked, then close the connection in the middle of the body",
    "expired_token": "answer 401 as if the token had expired",
    "short_pages": "cursor pages hold at most `rows` rows",
    "empty_pages": "cursor pages are empty and carry a token",
    "repeat_rows": "each page after the first begins with the last `rows` rows of the one before",
    "shuffle_rows": "the rows of a page come in another order at each call",
    "unstable_order": "offset lists are rotated by `rows` at each call: rows repeat and get lost",
    "absent": "every absent value takes one `form`: missing, null or empty",
    "unknown_status": "every `every`-th row carries a status that is not in the list",
    "unknown_site": "every `every`-th row carries a site that does not exist",
    "malformed": "every `every`-th row is broken: wrong types, missing id, not an object",
}
DECIDING = frozenset({"status", "html_error", "drop", "expired_token"})
"""Kinds that decide the answer: one strikes a request, those listed after it wait for the next."""


@dataclass(slots=True)
class Fault:
    """One fault; ``KINDS`` says which of the parameters a kind reads."""

    kind: str
    operation: str | None = None
    path_prefix: str | None = None
    method: str | None = None
    count: int | None = None
    after: int = 0
    probability: float = 1.0
    seed: int = 0
    status: int = 500
    retry_after: str | None = None
    delay_ms: int = 1000
    rows: int = 3
    form: str = "null"
    every: int = 5
    id: str = ""
    hits: int = field(default=0)
    fired: int = field(default=0)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if self.form not in ("missing", "null", "empty"):
            raise ValueError("form must be missing, null or empty")
        if not 0 <= self.probability <= 1:
            raise ValueError("probability must be between 0 and 1")
        for name in ("after", "delay_ms", "rows"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        if self.every < 1 or not 100 <= self.status <= 599:
            raise ValueError("every must be at least 1, status between 100 and 599")


_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "int | None": (int, type(None)),
    "float": (int, float),
}
_GIVEN = {item.name: str(item.type) for item in fields(Fault) if item.name not in ("hits", "fired")}


def fault_from(values: Any) -> Fault:
    """A fault from its JSON form; raises ValueError that names what is wrong."""
    if not isinstance(values, Mapping) or "kind" not in values:
        raise ValueError("a fault is an object with a kind")
    for name, value in values.items():
        if name not in _GIVEN:
            raise ValueError(f"a fault has no member {name}")
        if not isinstance(value, _TYPES[_GIVEN[name]]) or isinstance(value, bool):
            raise ValueError(f"{name} has the wrong type")
    return Fault(**values)


class Faults:
    """The faults that are on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: dict[str, tuple[Fault, random.Random]] = {}
        self._next = 1

    def add(self, fault: Fault) -> str:
        """Switch one on; returns its id. One with the same id is replaced."""
        with self._lock:
            if not fault.id:
                fault.id, self._next = f"f{self._next}", self._next + 1
            self._faults[fault.id] = (fault, random.Random(fault.seed))
            return fault.id

    def remove(self, fault_id: str) -> bool:
        """Switch one off; False when there is none."""
        with self._lock:
            return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Switch all off."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """All faults with how often they were hit and fired."""
        with self._lock:
            return [asdict(fault) for fault, _ in self._faults.values()]

    def fire(self, operation: str | None, path: str, method: str) -> tuple[Fault, ...]:
        """The faults that strike one request, counted as fired."""
        if not self._faults:
            return ()
        struck: list[Fault] = []
        decided = False
        with self._lock:
            for fault, rng in self._faults.values():
                if not _meant(fault, operation, path, method):
                    continue
                if (decided and fault.kind in DECIDING) or not _strikes(fault, rng):
                    continue
                struck.append(fault)
                decided = decided or fault.kind in DECIDING
        return tuple(struck)


def _meant(fault: Fault, operation: str | None, path: str, method: str) -> bool:
    return (
        (fault.operation is None or fault.operation == operation)
        and (fault.path_prefix is None or path.startswith(fault.path_prefix))
        and (fault.method is None or fault.method.upper() == method)
    )


def _strikes(fault: Fault, rng: random.Random) -> bool:
    fault.hits += 1
    if fault.hits <= fault.after or (fault.count is not None and fault.fired >= fault.count):
        return False
    if fault.probability < 1 and rng.random() >= fault.probability:
        return False
    fault.fired += 1
    return True


def find(faults: tuple[Fault, ...], kind: str) -> Fault | None:
    """The first fault of a kind."""
    return next((fault for fault in faults if fault.kind == kind), None)


def absent_form(faults: tuple[Fault, ...]) -> str | None:
    """The one form that absent values take, if a fault says so."""
    fault = find(faults, "absent")
    return fault.form if fault else None


def spoil(rows: list[dict[str, Any]], faults: tuple[Fault, ...]) -> list[Any]:
    """The rows of an answer after the row faults; new rows, the given ones stay as they are."""
    spoilt: list[Any] = list(rows)
    for fault in faults:
        if fault.kind == "shuffle_rows":
            random.Random(f"{fault.seed}/{fault.fired}").shuffle(spoilt)
        elif fault.kind in _SPOILERS:
            for number in range(0, len(spoilt), fault.every):
                spoilt[number] = _SPOILERS[fault.kind](spoilt[number], number // fault.every)
    return spoilt


def _unknown(member: str, value: str) -> Any:
    def apply(row: Any, _number: int) -> Any:
        return row | {member: value} if isinstance(row, dict) and member in row else row

    return apply


def _malform(row: Any, number: int) -> Any:
    if not isinstance(row, dict):
        return row
    key = next(iter(name for name in ("appointmentId", "patientId", "guid") if name in row), None)
    broken: tuple[Any, ...] = (
        {name: value for name, value in row.items() if name != key},
        row | {key or "status": 12345},
        row | {"status": None, "appointmentDate": 20261121, "startTime": ["09:00:00"]},
        row | {"appointmentDate": "31/02/2026", "startTime": "25:61:00", "arrivalDateTime": "soon"},
        row | {"scheduledSite": {"name": "x"}, "studyDescription": {}},
        "not an object",
        None,
    )
    return broken[number % len(broken)]


_SPOILERS = {
    "unknown_status": _unknown("status", "AWAITING TRANSPORT"),
    "unknown_site": _unknown("scheduledSite", "Closed Annex"),
    "malformed": _malform,
}
