"""Requests that gunicorn cannot read are answered in FHIR; nothing of them is told or logged."""

from __future__ import annotations

import socket

import pytest
from gunicorn.http import errors as malformed

from fhir_facade.fhir import json
from fhir_facade.web_worker import WebWorker


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
