"""``Idempotency-Key``: the same call again gets the same answer, another payload gets 409.

A key belongs to client, domain and path; payloads are compared as parsed JSON. A second call that
comes while the first still runs waits for it. Only answers 2xx are kept: after a failure the key is
free again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import orjson

from sandbox.qubs.clock import Clock
from sandbox.qubs.problems import Problem, bad_request

COMMENT_TTL_S = 24 * 3600
REPORT_TTL_S = 24 * 3600
UPLOAD_TTL_S = 15 * 60
MAX_KEY = 128
WAIT_S = 30.0

Scope = tuple[str, str, str, str]


@dataclass(slots=True)
class _Entry:
    payload: bytes
    expires: float
    answer: dict[str, Any] | None = None
    done: threading.Event = field(default_factory=threading.Event)


def checked_key(key: str | None) -> str | None:
    """The key of a request, if it has one; raises Problem 400 for a bad one."""
    if key is None:
        return None
    if not key.strip() or len(key) > MAX_KEY or not all(" " <= char <= "~" for char in key):
        raise bad_request("Idempotency-Key", "The key must be 1 to 128 printable ASCII characters.")
    return key


class IdempotencyStore:
    """Remembers answers by key."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: dict[Scope, _Entry] = {}

    def clear(self) -> None:
        """Forget every key."""
        with self._lock:
            self._entries.clear()

    def run(
        self, scope: Scope | None, payload: Any, ttl_s: int, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """The answer of ``work``, or the one it gave for this key before. Raises Problem 409."""
        if scope is None:
            return work()
        same = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
        while True:
            entry, mine = self._claim(scope, same, ttl_s)
            if mine:
                return self._work(scope, entry, work)
            if entry.payload != same:
                raise Problem(409, "The Idempotency-Key was used before with another payload.")
            if not entry.done.wait(WAIT_S):
                raise Problem(409, "A call with this Idempotency-Key is still running.")
            if entry.answer is not None:
                return entry.answer

    def _claim(self, scope: Scope, payload: bytes, ttl_s: int) -> tuple[_Entry, bool]:
        now = self._clock.now()
        with self._lock:
            entry = self._entries.get(scope)
            if entry is not None and (entry.expires > now or not entry.done.is_set()):
                return entry, False
            self._entries = {s: e for s, e in self._entries.items() if e.expires > now}
            entry = _Entry(payload, now + ttl_s)
            self._entries[scope] = entry
            return entry, True

    def _work(
        self, scope: Scope, entry: _Entry, work: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        try:
            entry.answer = work()
            return entry.answer
        except BaseException:
            with self._lock:
                self._entries.pop(scope, None)
            raise
        finally:
            entry.done.set()
