"""Files behind presigned addresses, from a store that answers with the bytes a test gives."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fhir_facade import clock
from fhir_facade.upstream.errors import Malformed, TimedOut, Unavailable, UpstreamError
from fhir_facade.upstream.files import FileStore, OpenFile
from fhir_facade.upstream.transport import Exchange, Timeouts, Transport

QUICK = Timeouts(connect=1.0, read=0.3, total=0.6)


@contextmanager
def store(answer: bytes, then: Callable[[socket.socket], None] | None = None) -> Iterator[str]:
    """The address at which one request is answered with `answer`, and what `then` does before the
    connection ends."""

    def serve() -> None:
        link = listener.accept()[0]
        with link:
            link.recv(65536)
            link.sendall(answer)
            if then is not None:
                then(link)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/canary?signature=1"
        finally:
            thread.join(10)


@contextmanager
def opened(
    answer: bytes, then: Callable[[socket.socket], None] | None = None
) -> Iterator[OpenFile]:
    """The file that such a store sends."""
    with store(answer, then) as address:
        found = FileStore(QUICK, secure=False).open(address)
        try:
            yield found
        finally:
            found.close()


def head(*headers: str, status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode()


def fails(answer: bytes, then: Callable[[socket.socket], None] | None = None) -> UpstreamError:
    """What reading the file ends in."""
    with pytest.raises(UpstreamError) as caught, opened(answer, then) as found:
        list(found.chunks())
    assert "canary" not in str(caught.value)
    assert caught.value.__context__ is None or "canary" not in str(caught.value.__context__)
    return caught.value


@pytest.mark.parametrize(
    "framing",
    [
        head("Content-Length: 5") + b"hello",
        head("Transfer-Encoding: chunked") + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        head("Content-Length: 5", "Content-Encoding: identity") + b"hello",
    ],
)
def test_a_body_whose_end_is_told_is_handed_on(framing: bytes) -> None:
    with opened(framing) as found:
        assert b"".join(found.chunks()) == b"hello"


@pytest.mark.parametrize(
    "cut",
    [
        head("Content-Length: 9") + b"hello",
        head("Transfer-Encoding: chunked") + b"5\r\nhello\r\n",
        head("Transfer-Encoding: chunked") + b"9\r\nhello",
    ],
)
def test_a_body_that_is_cut_short_fails(cut: bytes) -> None:
    assert type(fails(cut)) is Unavailable


@pytest.mark.parametrize(
    "answer",
    [
        head() + b"hello",
        head("Content-Length: 5", "Content-Encoding: gzip") + b"hello",
        head("Content-Length: 5", status="206 Partial Content") + b"hello",
        head("Content-Length: 5", "Content-Range: bytes 0-8/9", status="206 OK") + b"hello",
        head("Content-Length: 5", "Content-Range: bytes 0-8/4", status="206 OK") + b"hello",
    ],
)
def test_what_cannot_be_known_to_be_whole_is_no_file(answer: bytes) -> None:
    assert type(fails(answer)) is Malformed


def test_a_store_that_stops_sending_is_given_up() -> None:
    assert (
        type(fails(head("Content-Length: 9") + b"hello", lambda _link: time.sleep(0.6))) is TimedOut
    )


def trickle(link: socket.socket) -> None:
    try:
        for _ in range(30):
            link.sendall(b" ")
            time.sleep(0.05)
    except OSError:
        return


def test_a_store_that_trickles_meets_the_deadline() -> None:
    assert type(fails(head("Content-Length: 99"), trickle)) is TimedOut


def test_an_upstream_that_trickles_meets_the_deadline() -> None:
    with store(head("Content-Length: 99"), trickle) as address:
        transport = Transport(QUICK)
        with pytest.raises(TimedOut):
            transport.exchange(Exchange("slow", address, {}, {}, clock.monotonic() + QUICK.total))
        transport.close()
