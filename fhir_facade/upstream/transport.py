"""One HTTP exchange within a deadline: the only place with `requests`.

Proxies, cookies and credentials of the environment are never used, redirects are never followed,
TLS is verified, and the body is read only up to a limit. Every failure to get an answer is
`Unavailable`, without the address.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ProtocolError, ReadTimeoutError

from fhir_facade import clock
from fhir_facade.upstream.errors import CallFacts, Malformed, TimedOut, Unavailable

_CHUNK = 65_536


@dataclass(frozen=True)
class Timeouts:
    """Seconds. `total` bounds a whole call with its re-tries and waits."""

    connect: float = 5.0
    read: float = 30.0
    total: float = 120.0


@dataclass(frozen=True)
class Exchange:
    """One request. `form` makes it a POST, else it is a GET. `deadline` is a moment of
    `clock.monotonic`.
    """

    operation: str
    url: str
    headers: Mapping[str, str]
    params: Mapping[str, str]
    deadline: float
    form: Mapping[str, str] | None = None


@dataclass(frozen=True)
class RawAnswer:
    """Status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sessions to one upstream, one a thread. `close` when done; usable from many threads, not
    across a fork.
    """

    def __init__(self, timeouts: Timeouts, *, max_body: int = 64 * 1024 * 1024) -> None:
        self._timeouts = timeouts
        self._max_body = max_body
        self._lock = threading.Lock()
        self._sessions: dict[threading.Thread, requests.Session] = {}

    def exchange(self, request: Exchange) -> RawAnswer:
        """Make the request once. Raises Unavailable, or Malformed when the body is too large."""
        facts = CallFacts(request.operation)
        left = request.deadline - clock.monotonic()
        if left <= 0:
            raise TimedOut(facts, "the deadline passed")
        kind: type[Unavailable] = Unavailable
        try:
            response = self._session().request(
                "GET" if request.form is None else "POST",
                request.url,
                params=dict(request.params),
                data=request.form,
                headers=dict(request.headers),
                timeout=(min(self._timeouts.connect, left), min(self._timeouts.read, left)),
                allow_redirects=False,
                stream=True,
            )
            with response:
                body = self._read(response, request)
        except (requests.Timeout, ReadTimeoutError):
            kind, failure = TimedOut, "no answer in time"
        except (requests.ConnectionError, ProtocolError):
            failure = "the connection broke"
        except (requests.RequestException, HTTPError, OSError):
            failure = "the exchange failed"
        else:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return RawAnswer(response.status_code, headers, body)
        # Raised outside the handler: the exception of requests carries the address.
        raise kind(facts, failure)

    def close(self) -> None:
        """Close every session. The transport opens new ones if it is used again."""
        with self._lock:
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            session.close()

    def _read(self, response: requests.Response, request: Exchange) -> bytes:
        if response.is_redirect:
            return response.content  # which requests has read already
        parts: list[bytes] = []
        size = 0
        # What has come so far, not a full chunk: an upstream that trickles must meet the deadline.
        while chunk := response.raw.read1(_CHUNK, decode_content=True):
            size += len(chunk)
            if size > self._max_body:
                raise Malformed(CallFacts(request.operation, response.status_code), "too large")
            if clock.monotonic() > request.deadline:
                raise requests.Timeout
            parts.append(chunk)
        return b"".join(parts)

    def _session(self) -> requests.Session:
        thread = threading.current_thread()
        session = self._sessions.get(thread)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            adapter = HTTPAdapter(pool_connections=2, pool_maxsize=2, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            with self._lock:
                self._drop_dead()
                self._sessions[thread] = session
        return session

    def _drop_dead(self) -> None:
        """Close the sessions of threads that have ended, so that short-lived pools leave nothing
        open.
        """
        for thread in [thread for thread in self._sessions if not thread.is_alive()]:
            self._sessions.pop(thread).close()
