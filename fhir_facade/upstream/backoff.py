"""How long to wait before a call is made again, as plain values: no I/O but the waiting itself."""

from __future__ import annotations

import email.utils
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC

from fhir_facade import clock
from fhir_facade.upstream.errors import CallFacts, Stopped, UpstreamError

_RANDOM = secrets.SystemRandom()


@dataclass(frozen=True)
class Retries:
    """Seconds. `longest` caps our own back-off, `obey` is the longest `Retry-After` that a call
    sits out.
    """

    attempts: int = 5
    first: float = 0.25
    longest: float = 20.0
    obey: float = 60.0

    def pause(self, failures: int, retry_after: float | None) -> float | None:
        """Seconds to wait after this many failures, or None when the call is not to be made again.

        Full jitter over an exponential; with `Retry-After` that long and a little more.
        """
        if failures >= self.attempts:
            return None
        spread = min(self.longest, self.first * 2.0 ** (failures - 1))
        if retry_after is None:
            return _RANDOM.uniform(spread / 4, spread)
        if retry_after > self.obey:
            return None
        return retry_after + _RANDOM.uniform(0, min(spread, 1.0))


def sleep_or_stop(stop: threading.Event | None) -> Callable[[float], None]:
    """A sleep that ends at once, with Stopped, when `stop` is set."""
    event = stop or threading.Event()

    def sleep(seconds: float) -> None:
        if event.wait(seconds):
            raise Stopped(CallFacts("wait"))

    return sleep


class Patience:
    """The waiting of one call: attempts counted against a deadline that starts now."""

    def __init__(
        self, retries: Retries, total: float, sleep: Callable[[float], None] | None = None
    ) -> None:
        self._retries = retries
        self._failures = 0
        self._sleep = sleep or sleep_or_stop(None)
        self.deadline = clock.monotonic() + total

    def wait(self, error: UpstreamError) -> None:
        """Wait as the error and the policy ask; raises `error` when no attempt is left within the
        deadline.
        """
        self._failures += 1
        pause = self._retries.pause(self._failures, error.retry_after)
        if pause is None or clock.monotonic() + pause >= self.deadline:
            raise error
        self._sleep(pause)


def parse_retry_after(value: str | None) -> float | None:
    """Seconds of a `Retry-After` header, in whole seconds or as an HTTP date (RFC 9110 section
    10.2.3).

    None when it is missing or neither; a date in the past is 0.
    """
    text = (value or "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - clock.now()).total_seconds())
