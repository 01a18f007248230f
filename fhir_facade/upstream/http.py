"""GET calls to a JSON upstream: token, deadline, safe re-tries, budget, correlation ids, exact
numbers.

Only GETs are made here, so every call may be repeated. Waiting follows `Retry-After` in both forms,
else jittered exponential back-off; a 429 that names a time holds back all threads of the client.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import quote

from fhir_facade import clock, telemetry
from fhir_facade.fhir import json
from fhir_facade.upstream.backoff import Patience, Retries, parse_retry_after, sleep_or_stop
from fhir_facade.upstream.errors import (
    AccessDenied,
    CallFacts,
    Malformed,
    NotFoundUpstream,
    RateLimited,
    Refused,
    Unauthorized,
    Unavailable,
    UpstreamError,
    sane_id,
)
from fhir_facade.upstream.transport import Exchange, RawAnswer, Timeouts, Transport


class TokenSource(Protocol):
    """Where bearer tokens come from (`oauth.ClientCredentials`)."""

    def token(self) -> str:
        """A token to send."""

    def discard(self, used: str) -> None:
        """Forget a token that was refused."""


class CallBudget(Protocol):
    """Who may call how often. Asked before every attempt, re-tries included."""

    def spend(self, operation: str) -> None:
        """Count one call; raises BudgetSpent when none is left."""


@dataclass(frozen=True)
class Call:
    """One attempt, for counters and logs. `status` is None when no answer came."""

    operation: str
    status: int | None
    seconds: float
    correlation_id: str


@dataclass(frozen=True)
class Answer:
    """A 2xx answer: the JSON (numbers with a fraction are Decimal) and the correlation id."""

    body: Any = field(repr=False)
    correlation_id: str


class UpstreamClient:
    """A JSON upstream under one base address. Thread-safe, one session a thread; `close` when done.

    `on_call` sees every attempt. `stop`, when set, ends waits at once with Stopped.
    """

    def __init__(
        self,
        base_url: str,
        auth: TokenSource,
        *,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        budget: CallBudget | None = None,
        on_call: Callable[[Call], None] | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._base = base_url.rstrip("/")
        self._auth = auth
        self._timeouts = timeouts or Timeouts()
        self._retries = retries or Retries()
        self.budget = budget
        self.on_call = on_call
        self._sleep = sleep_or_stop(stop)
        self._transport = Transport(self._timeouts)
        self._held_until = 0.0

    def get(
        self,
        operation: str,
        path: Sequence[str],
        params: Mapping[str, str] | None = None,
        *,
        within: float | None = None,
    ) -> Answer:
        """The JSON of one resource. `path` is a list of segments, encoded here; `within` caps the
        seconds.

        Raises the UpstreamError of the last attempt. A 401 is tried once more with a new token.
        """
        total = self._timeouts.total if within is None else min(within, self._timeouts.total)
        patience = Patience(self._retries, total, self._sleep)
        url = self._address(operation, path)
        renewed = False
        while True:
            self._hold(patience, operation)
            token = self._auth.token()
            try:
                return self._once(operation, url, params or {}, token, patience.deadline)
            except Unauthorized:
                self._auth.discard(token)
                if renewed:
                    raise
                renewed = True
            except (RateLimited, Unavailable) as error:
                if isinstance(error, RateLimited) and error.retry_after is not None:
                    self._held_until = clock.monotonic() + min(
                        error.retry_after, self._retries.obey
                    )
                patience.wait(error)

    def close(self) -> None:
        """Close all connections."""
        self._transport.close()

    def _address(self, operation: str, path: Sequence[str]) -> str:
        # Dot segments would be resolved away on the wire and lead to another resource.
        if any(segment in ("", ".", "..") for segment in path):
            raise Refused(CallFacts(operation), "an identifier cannot stand in a path")
        return "/".join((self._base, *(quote(segment, safe="") for segment in path)))

    def _hold(self, patience: Patience, operation: str) -> None:
        """Sit out the time that a 429 on any thread has asked for."""
        wait = self._held_until - clock.monotonic()
        if wait <= 0:
            return
        if clock.monotonic() + wait >= patience.deadline:
            raise RateLimited(CallFacts(operation, retry_after=wait))
        self._sleep(wait)

    def _once(
        self, operation: str, url: str, params: Mapping[str, str], token: str, deadline: float
    ) -> Answer:
        if self.budget is not None:
            self.budget.spend(operation)
        correlation = telemetry.correlation_id() or telemetry.new_correlation_id()
        headers = {
            "Authorization": f"Bearer {token}",
            "Accept": "application/json",
            "X-Correlation-Id": correlation,
        }
        started = clock.monotonic()
        status: int | None = None
        try:
            raw = self._transport.exchange(Exchange(operation, url, headers, params, deadline))
            status = raw.status
            return _judge(raw, CallFacts(operation, status, correlation_id=correlation))
        except UpstreamError as error:
            if error.facts.correlation_id is None:
                error.facts = replace(error.facts, correlation_id=correlation)
            raise
        finally:
            if self.on_call is not None:
                seconds = clock.monotonic() - started
                self.on_call(Call(operation, status, seconds, correlation))


def _judge(raw: RawAnswer, facts: CallFacts) -> Answer:
    """The answer's JSON, or the error that its status means."""
    correlation = sane_id(raw.headers.get("x-correlation-id")) or facts.correlation_id
    facts = replace(facts, correlation_id=correlation)
    if 200 <= raw.status < 300:
        try:
            return Answer(json.loads(raw.body), correlation or "")
        except json.InvalidJSON:
            detail = "the body is not JSON"
        raise Malformed(facts, detail)
    facts = replace(
        facts,
        request_id=_request_id(raw.body),
        retry_after=parse_retry_after(raw.headers.get("retry-after")),
    )
    raise _error_class(raw.status)(facts)


def _error_class(status: int) -> type[UpstreamError]:
    if status >= 500 or status == 408:
        return Unavailable
    if 300 <= status < 400:
        return Malformed
    return {401: Unauthorized, 403: AccessDenied, 404: NotFoundUpstream, 429: RateLimited}.get(
        status, Refused
    )


def _request_id(body: bytes) -> str | None:
    """`requestId` of a problem document (RFC 7807), when the body is one."""
    try:
        problem = json.loads(body[:65_536])
    except json.InvalidJSON:
        return None
    return sane_id(problem.get("requestId")) if isinstance(problem, dict) else None
