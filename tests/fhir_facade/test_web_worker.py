"""Requests that gunicorn cannot read are answered in FHIR; nothing of them is told or logged."""

from __future__ import annotations

import errno
import gc
import socket
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from gunicorn.http import errors as malformed
from gunicorn.workers.gthread import ThreadWorker

from fhir_facade import web_worker
from fhir_facade.fhir import json
from fhir_facade.web_worker import WebWorker


def test_the_application_is_left_out_of_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    application = {"made": ["at the start"]}
    monkeypatch.setattr(
        ThreadWorker, "load_wsgi", lambda worker: setattr(worker, "wsgi", application)
    )
    before = gc.get_freeze_count()
    try:
        WebWorker.load_wsgi(WebWorker.__new__(WebWorker))
        assert gc.get_freeze_count() > before
        assert not any(one is application for one in gc.get_objects())
    finally:
        gc.unfreeze()


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (malformed.LimitRequestLine(9000, 8190), 414),
        (malformed.LimitRequestHeaders("canary"), 431),
        (malformed.InvalidRequestLine("GET /Patient?name=canary x"), 400),
        (malformed.InvalidHeaderName("canary"), 400),
        (malformed.UnsupportedTransferCoding("canary"), 501),
        (malformed.ExpectationFailed("canary"), 417),
        (malformed.InvalidResponseHeader("canary"), 500),
        (ValueError("canary"), 500),
    ],
)
def test_every_error_has_an_outcome(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        WebWorker.__new__(WebWorker).handle_error(None, ours, None, error)
        ours.close()
        answer = b"".join(iter(lambda: theirs.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode())
    assert f"Content-Length: {len(body)}".encode() in head
    assert json.loads(body)["resourceType"] == "OperationOutcome"
    assert b"canary" not in answer
    printed = capsys.readouterr()
    assert "canary" not in printed.out + printed.err


def _stall(link: socket.socket) -> None:
    for _ in range(1000):
        link.sendall(bytes(65536))


def _break_off(_link: socket.socket) -> None:
    raise ConnectionResetError(errno.ECONNRESET, "the content broke off")


@pytest.mark.parametrize("answer", [_stall, _break_off])
def test_an_answer_that_cannot_be_ended_ends_in_a_reset(
    answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_worker, "STALL_SECONDS", 0.2)
    monkeypatch.setattr(ThreadWorker, "handle_request", lambda _self, _req, conn: answer(conn.sock))
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        conn = SimpleNamespace(sock=listener.accept()[0], close=None)
        request = SimpleNamespace(headers=[])
        assert WebWorker.__new__(WebWorker).handle_request(request, conn) is False
        conn.close(graceful=True)
        with pytest.raises(ConnectionResetError):
            b"".join(iter(lambda: client.recv(1 << 20), b""))
