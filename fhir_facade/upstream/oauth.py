"""OAuth 2.0 client credentials for upstream calls (RFC 6749 sections 4.4 and 6), shared by all
threads of a client.

A token is renewed a little before it ends, by one thread at a time; a refresh token is used when
one was issued, and the credentials again when that is refused. Which domains a token may read is
taken from its claims, unverified: the upstream judges, we only want to name the problem early.
"""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_facade import clock, telemetry
from fhir_facade.fhir import json
from fhir_facade.upstream.backoff import (
    Patience,
    Retries,
    parse_retry_after,
    sleep_or_stop,
)
from fhir_facade.upstream.errors import (
    AccessDenied,
    CallFacts,
    Malformed,
    RateLimited,
    Unauthorized,
    Unavailable,
    sane_id,
)
from fhir_facade.upstream.transport import Exchange, RawAnswer, Timeouts, Transport

_OPERATION = "oauth2_token"
_EARLY = 60.0
"""Seconds before its end at which a token is renewed."""


@dataclass(frozen=True)
class Credentials:
    """Where and as whom to ask for tokens."""

    token_url: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class _Token:
    text: str = field(repr=False)
    ends: float
    """A moment of `clock.monotonic`."""
    refresh: str | None = field(repr=False)
    domains: frozenset[str] | None


class ClientCredentials:
    """Access tokens for one client. Thread-safe; `close` when done. `stop` ends its waits."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        timeouts: Timeouts | None = None,
        retries: Retries | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self._credentials = credentials
        self._timeouts = timeouts or Timeouts(read=15.0, total=45.0)
        self._retries = retries or Retries()
        self._sleep = sleep_or_stop(stop)
        self._transport = Transport(self._timeouts, max_body=1024 * 1024)
        self._lock = threading.Lock()
        self._token: _Token | None = None

    def token(self) -> str:
        """A token that is good for a while yet, asked for when there is none.

        Raises Unauthorized when the credentials are refused, Unavailable or Malformed when the
        service fails.
        """
        return self._current().text

    def discard(self, used: str) -> None:
        """Forget the token that an upstream has just refused; a newer one stays."""
        with self._lock:
            if self._token is not None and self._token.text == used:
                self._token = None

    def allowed_domains(self) -> frozenset[str] | None:
        """The domains that the token's claims list, or None when no claim speaks of domains."""
        return self._current().domains

    def check_access(self, domain: str) -> None:
        """Raise AccessDenied, naming the domain, when the token's claims leave it out.

        A token without such claims passes: the upstream will judge each call.
        """
        allowed = self.allowed_domains()
        if allowed is not None and domain not in allowed:
            raise AccessDenied(
                CallFacts(_OPERATION), f"the token does not allow the domain {domain!r}"
            )

    def close(self) -> None:
        """Close the connection to the token service."""
        self._transport.close()

    def _current(self) -> _Token:
        token = self._token
        if token is not None and clock.monotonic() < token.ends:
            return token
        with self._lock:
            token = self._token
            if token is None or clock.monotonic() >= token.ends:
                self._token = token = self._renewed(token)
            return token

    def _renewed(self, old: _Token | None) -> _Token:
        if old is not None and old.refresh is not None:
            try:
                return self._ask(
                    {"grant_type": "refresh_token", "refresh_token": old.refresh}, old.refresh
                )
            except (Unauthorized, Malformed):
                # It has ended or was withdrawn: the credentials still count.
                pass
        return self._ask({"grant_type": "client_credentials"}, None)

    def _ask(self, grant: Mapping[str, str], refresh: str | None) -> _Token:
        form = {
            **grant,
            "client_id": self._credentials.client_id,
            "client_secret": self._credentials.client_secret,
        }
        patience = Patience(self._retries, self._timeouts.total, self._sleep)
        while True:
            correlation = telemetry.correlation_id() or telemetry.new_correlation_id()
            started = clock.monotonic()
            try:
                answer = self._transport.exchange(
                    Exchange(
                        _OPERATION,
                        self._credentials.token_url,
                        {"Accept": "application/json", "X-Correlation-Id": correlation},
                        {},
                        patience.deadline,
                        form,
                    )
                )
                return _read(answer, started, refresh)
            except (Unavailable, RateLimited) as error:
                patience.wait(error)


def _read(answer: RawAnswer, started: float, refresh: str | None) -> _Token:
    facts = CallFacts(
        _OPERATION, answer.status, correlation_id=sane_id(answer.headers.get("x-correlation-id"))
    )
    if answer.status == 429:
        raise RateLimited(
            replace(facts, retry_after=parse_retry_after(answer.headers.get("retry-after")))
        )
    if answer.status >= 500:
        raise Unavailable(facts, "the token service failed")
    document = _object(answer.body)
    if answer.status in (400, 401, 403):
        raise Unauthorized(
            facts, f"the token service said {sane_id(document.get('error')) or 'no'}"
        )
    text, life = document.get("access_token"), document.get("expires_in")
    if answer.status != 200 or not isinstance(text, str) or not text.isascii() or not text:
        raise Malformed(facts, "no access token in the answer")
    seconds = (
        float(life) if isinstance(life, int) and not isinstance(life, bool) and life > 0 else 300.0
    )
    # A life shorter than two minutes leaves half of itself for use.
    ends = started + max(seconds - _EARLY, seconds / 2)
    issued = document.get("refresh_token")
    return _Token(
        text, ends, issued if isinstance(issued, str) and issued else refresh, _domains(text)
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except json.InvalidJSON:
        return {}
    return document if isinstance(document, dict) else {}


def _domains(token: str) -> frozenset[str] | None:
    """The values of every claim whose name speaks of domains: a list, or one text with commas or
    blanks.
    """
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = _object(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError):
        return None
    found: set[str] = set()
    told = False
    for name, value in claims.items():
        if "domain" not in name.casefold():
            continue
        if isinstance(value, str):
            told = True
            found.update(value.replace(",", " ").split())
        elif isinstance(value, list):
            told = True
            found.update(item for item in value if isinstance(item, str))
    return frozenset(found) if told else None
