"""Files behind presigned addresses: opened, streamed, never stored.

The address is the whole permission: it goes into no log, no error and no other request; no token is
sent with it. Redirects are not followed, and the body is handed on as it comes, so a file of any
size needs the memory of one chunk.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from fhir_facade import clock
from fhir_facade.upstream.backoff import parse_retry_after
from fhir_facade.upstream.errors import (
    CallFacts,
    Malformed,
    NotFoundUpstream,
    RateLimited,
    TimedOut,
    Unavailable,
    UpstreamError,
)
from fhir_facade.upstream.transport import Timeouts

_OPERATION: Final = "presigned_download"
_CHUNK: Final = 65_536
_STRONG: Final = re.compile(r'"[\x21\x23-\x7e]*"', re.ASCII)
_CONTENT_RANGE: Final = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})", re.ASCII)
_MEDIA_TYPE: Final = re.compile(r"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", re.ASCII)


@dataclass(frozen=True)
class Part:
    """Bytes `first` to `last`, both included, of a file of `size` bytes."""

    first: int
    last: int
    size: int


class OpenFile:
    """A file that is being fetched. `close` it, read or not.

    `size` is that of the whole file, None when the store does not say. `part` is what the store
    sends of it; None: all. `etag` is the store's strong entity tag with its quotes, or None.
    `content_type` is the store's word for it, without parameters.
    """

    def __init__(self, response: requests.Response, deadline: float) -> None:
        self._response = response
        self._deadline = deadline
        headers = response.headers
        self.part = _part(response) if response.status_code == 206 else None
        self.size = self.part.size if self.part else _length(response)
        tag = headers.get("ETag", "")
        self.etag = tag if _STRONG.fullmatch(tag) else None
        essence = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        self.content_type = essence if _MEDIA_TYPE.fullmatch(essence) else None

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come. Raises Unavailable when the store sends less than it told, and
        TimedOut when it stops sending or the deadline passes."""
        kind: type[UpstreamError] = TimedOut
        failure = "the deadline passed"
        try:
            # What has come so far, not a full chunk: a store that trickles must meet the deadline.
            while clock.monotonic() <= self._deadline:
                chunk = self._response.raw.read1(_CHUNK, decode_content=False)
                if not chunk:
                    return
                yield chunk
        except ReadTimeoutError:
            failure = "nothing came in time"
        except (HTTPError, OSError):
            kind, failure = Unavailable, "the connection broke"
        finally:
            self.close()
        # Raised outside the handler: the exception of the library carries the address.
        raise kind(CallFacts(_OPERATION), failure)

    def close(self) -> None:
        """Let the connection go."""
        self._response.close()


class FileStore:
    """Opens presigned addresses. Thread-safe; one session a thread, not carried over a fork.

    `secure`: addresses must be https. `timeouts.total` bounds a whole download.
    """

    def __init__(self, timeouts: Timeouts, *, secure: bool) -> None:
        self._timeouts = timeouts
        self._schemes = {"https"} if secure else {"http", "https"}
        self._local = threading.local()

    def open(self, address: str, part: tuple[int | None, int | None] | None = None) -> OpenFile:
        """Begin to fetch a file, or the bytes `first` to `last` of it where the store can do that
        (first None: the last so many; last None: up to the end).

        Raises NotFoundUpstream, RateLimited, Unavailable or Malformed, none of them with the
        address.
        """
        if urlsplit(address).scheme.lower() not in self._schemes:
            raise Malformed(CallFacts(_OPERATION), "the address is not one of a file")
        # No compression: ranges and lengths are those of the file itself.
        headers = {"Accept-Encoding": "identity"}
        if part is not None:
            first, last = ("" if end is None else str(end) for end in part)
            headers["Range"] = f"bytes={first}-{last}"
        kind: type[UpstreamError] = Unavailable
        try:
            response = self._session().get(
                address,
                headers=headers,
                timeout=(self._timeouts.connect, self._timeouts.read),
                allow_redirects=False,
                stream=True,
            )
        except requests.Timeout:
            kind, failure = TimedOut, "no answer in time"
        except (requests.RequestException, OSError):
            failure = "the connection broke"
        else:
            return _judged(response, clock.monotonic() + self._timeouts.total)
        # Raised outside the handler: the exception of requests carries the address.
        raise kind(CallFacts(_OPERATION), failure)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            session.trust_env = False
            session.headers.clear()
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            adapter = HTTPAdapter(pool_connections=2, pool_maxsize=2, max_retries=0)
            session.mount("https://", adapter)
            session.mount("http://", adapter)
            self._local.session = session
        return session


def _judged(response: requests.Response, deadline: float) -> OpenFile:
    status = response.status_code
    if status in (200, 206):
        fault = _fault(response)
        if fault is None:
            return OpenFile(response, deadline)
        failure: UpstreamError = Malformed(CallFacts(_OPERATION, status), fault)
    elif status == 416:
        # The caller knows what a range that is not there means: the file itself tells its size.
        failure = RangeNotThere(CallFacts(_OPERATION, status))
    else:
        retry_after = parse_retry_after(response.headers.get("Retry-After"))
        facts = CallFacts(_OPERATION, status, retry_after=retry_after)
        failure = _error_class(status)(facts)
    response.close()
    raise failure


def _fault(response: requests.Response) -> str | None:
    """Why an answer is no file that can be handed on whole."""
    if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return "the body is encoded"
    length = response.headers.get("Content-Length")
    if length is None and "Transfer-Encoding" not in response.headers:
        return "the body ends where the connection does"
    if response.status_code == 206:
        part = _part(response)
        if part is None:
            return "the range is not told"
        if length is not None and _length(response) != part.last + 1 - part.first:
            return "the range is not that of the body"
    return None


class RangeNotThere(UpstreamError):
    """The file has no such bytes"""


def _error_class(status: int) -> type[UpstreamError]:
    if status in (404, 410):
        return NotFoundUpstream
    if status == 429:
        return RateLimited
    if status in (408, 504):
        return TimedOut
    return Unavailable if status >= 500 else Malformed


def _part(response: requests.Response) -> Part | None:
    """What a 206 answer tells of itself; None when that cannot be."""
    match = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    numbers = [int(number) for number in match.groups()] if match else []
    if not numbers or not numbers[0] <= numbers[1] < numbers[2]:
        return None
    return Part(*numbers)


def _length(response: requests.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
