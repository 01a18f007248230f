"""What a sync did: counts, names of sites and views, and correlation-free sentences. No PHI."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from fhir_facade import clock
from fhir_facade.mirror.state import StateStore

LAST = "report"
LOST = "lost"
CODES = "unknown-codes"
_MOST_CODES = 200
_SHOWN_OTHERWISE = frozenset({"faults", "denied", "gone", "reached", "codes"})


@dataclass
class Report:
    """The result of one run. `ok` is False when the upstream could not be read as a whole."""

    tenant: str
    source: str
    full: bool = False
    started_us: int = field(default_factory=clock.now_us)
    finished_us: int | None = None
    error: str | None = None
    calls: int = 0
    changed: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    deleted: int = 0
    kept_resources: int = 0
    """Resources that were mapped and found as they were."""
    quarantined: int = 0
    """Rows and resources held back in this run."""
    candidates: int = 0
    """Appointments that a complete sweep did not see, counted up to where it stops."""
    missing: int = 0
    """Records whose by-id read answered 404 in this run."""
    removed: int = 0
    """Records removed after their second 404."""
    out_of_reach: int = 0
    """Records kept because access to them was lost."""
    pending_ended: int = 0
    absence_stopped: bool = False
    """True when too much was missing at once, and nothing was removed."""
    budget_spent: bool = False
    sweep: int = 0
    sweep_complete: bool = False
    unlinked: int | None = None
    """Appointments without a patient."""
    held: int = 0
    """All that is in quarantine at the end."""
    faults: Counter[str] = field(default_factory=Counter)
    """Failed calls by operation, after their re-tries."""
    denied: Counter[str] = field(default_factory=Counter)
    """Calls answered 403, by what they asked for (`site <name>`, `comments`, `status <name>`, …).
    """
    gone: set[str] = field(default_factory=set)
    """`site <name>` of sites that are not listed any more."""
    reached: set[str] = field(default_factory=set)
    """What was read well in this run, in the words of `denied`."""
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(warning, upstream code) pairs that were served under a default."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def ok(self) -> bool:
        """Whether nothing stopped the run."""
        return self.error is None

    @property
    def lost(self) -> set[str]:
        """What is not granted (any more): sites not listed or refused, lists that were only
        refused.
        """
        refused = {w for w in self.denied if w.startswith("site ") or w not in self.reached}
        return self.gone | refused

    def fault(self, operation: str) -> None:
        """Count a failed call."""
        with self._lock:
            self.faults[operation] += 1

    def to_json(self) -> dict[str, Any]:
        """As stored in `sync_state` under `report`."""
        plain = {
            name: value
            for name, value in vars(self).items()
            if not name.startswith("_") and name not in _SHOWN_OTHERWISE
        }
        warnings: Counter[str] = Counter()
        for (code, _), count in self.codes.items():
            warnings[code] += count
        return {
            **plain,
            "ok": self.ok,
            "faults": dict(sorted(self.faults.items())),
            "denied": dict(sorted(self.denied.items())),
            "lost": sorted(self.lost),
            "warnings": dict(sorted(warnings.items())),
        }

    def save(self, state: StateStore) -> None:
        """Store the report, what access is lost as of now, and the codes nobody knows."""
        where = (self.tenant, self.source)
        self.finished_us = clock.now_us()
        state.change(*where, LOST, self._merged_losses)
        if self.codes:
            state.change(*where, CODES, self._merged_codes)
        state.set(*where, LAST, self.to_json())

    def _merged_losses(self, known: Any) -> dict[str, int]:
        before = known if isinstance(known, dict) else {}
        kept = {name: since for name, since in before.items() if name not in self.reached}
        return kept | {name: kept.get(name, self.started_us) for name in self.lost}

    def _merged_codes(self, known: Any) -> dict[str, dict[str, int]]:
        merged: dict[str, dict[str, int]] = dict(known) if isinstance(known, dict) else {}
        for (code, value), count in sorted(self.codes.items()):
            values = dict(merged.get(code, {}))
            if value in values or len(values) < _MOST_CODES:
                values[value] = values.get(value, 0) + count
            merged[code] = values
        return merged
