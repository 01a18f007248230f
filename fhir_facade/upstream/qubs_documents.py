"""The contents of QUBS attachments, fetched while a client waits.

Two calls a file: one for a fresh presigned address, one to it. They are few at a time: slow files
must not take all threads of a web worker.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from fhir_facade.settings import QubsSource
from fhir_facade.upstream.backoff import Retries
from fhir_facade.upstream.errors import CallFacts, NotFoundUpstream, RateLimited
from fhir_facade.upstream.files import FileStore, OpenFile, Part
from fhir_facade.upstream.pulled import absent
from fhir_facade.upstream.qubs import QubsClient, open_qubs
from fhir_facade.upstream.transport import Timeouts

AT_ONCE: Final = 3
"""Files of one source that one process fetches at a time."""
_ASKING: Final = Timeouts(connect=3.0, read=8.0, total=12.0)
_FETCHING: Final = Timeouts(connect=3.0, read=10.0, total=120.0)
_RETRIES: Final = Retries(attempts=2, first=0.2, longest=1.0, obey=0.5)
_BUSY_SECONDS: Final = 5.0
Range = tuple[int | None, int | None]


class Content(Protocol):
    """A file that is being fetched (`upstream.files.OpenFile`, or one of these that counts)."""

    @property
    def size(self) -> int | None: ...
    @property
    def part(self) -> Part | None: ...
    @property
    def etag(self) -> str | None: ...
    @property
    def content_type(self) -> str | None: ...
    def chunks(self) -> Iterator[bytes]: ...
    def close(self) -> None: ...


class QubsDocuments:
    """One domain's files. Opens its connections when they are first needed, so it may be made
    before a fork. Thread-safe."""

    def __init__(
        self,
        source: QubsSource,
        *,
        at_once: int = AT_ONCE,
        asking: Timeouts = _ASKING,
        fetching: Timeouts = _FETCHING,
    ) -> None:
        self._source = source
        self._asking = asking
        self._places = threading.BoundedSemaphore(at_once)
        self._files = FileStore(fetching, secure=source.base_url.startswith("https:"))
        self._lock = threading.Lock()
        self._client: QubsClient | None = None

    def open(self, appointment_id: str, guid: str, part: Range | None = None) -> Content:
        """Begin to fetch an attachment, or a part of it (see `FileStore.open`).

        Raises NotFoundUpstream when there is no such attachment or no content of it, RateLimited
        when too many are being fetched, and the UpstreamError family.
        """
        if not self._places.acquire(blocking=False):
            raise RateLimited(CallFacts("download", retry_after=_BUSY_SECONDS))
        try:
            address = self._address(appointment_id, guid)
            return _Counted(self._files.open(address, part), self._places.release)
        except BaseException:
            self._places.release()
            raise

    def _address(self, appointment_id: str, guid: str) -> str:
        record = self._opened().attachment(appointment_id, guid)
        address = record.body.get("url") if isinstance(record.body, dict) else None
        if absent(address) or not isinstance(address, str):
            raise NotFoundUpstream(CallFacts("download"), "there is no content")
        return address

    def _opened(self) -> QubsClient:
        with self._lock:
            if self._client is None:
                self._client = open_qubs(self._source, timeouts=self._asking, retries=_RETRIES)
            return self._client


class _Counted:
    """An open file that gives its place back once, when it is closed or read to its end."""

    def __init__(self, opened: OpenFile, release: Callable[[], None]) -> None:
        self._opened = opened
        self._release = release
        self._lock = threading.Lock()
        self._held = True
        self.size, self.part = opened.size, opened.part
        self.etag, self.content_type = opened.etag, opened.content_type

    def chunks(self) -> Iterator[bytes]:
        """The bytes as they come (`OpenFile.chunks`)."""
        try:
            yield from self._opened.chunks()
        finally:
            self.close()

    def close(self) -> None:
        """Let the connection and the place go."""
        self._opened.close()
        with self._lock:
            held, self._held = self._held, False
        if held:
            self._release()
