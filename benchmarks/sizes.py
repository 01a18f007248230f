"""How large the benchmarks run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Counts of resources (Provenance included), requests, records, rounds; seconds of load."""

    small: int = 10_000
    large: int = 200_000
    rounds: int = 7
    requests: int = 1_500
    """Requests of one measurement through gunicorn."""
    settle_seconds: float = 0.8
    """Pause after them: the audit trail is written within half a second, and its CPU is theirs."""
    export_rounds: int = 5
    appointments: int = 2_000
    """Of the emulator, for the sync."""
    latency_rounds: int = 5
    latency_seconds: float = 3.0


FULL = Sizes()
QUICK = Sizes(
    small=4_000,
    large=40_000,
    rounds=3,
    requests=500,
    export_rounds=3,
    appointments=400,
    latency_rounds=3,
    latency_seconds=1.5,
)
