"""gunicorn's web worker, with answers of our own to requests that never become one.

gunicorn answers those in HTML and logs what was sent: request lines carry query values, and those
are patients' names and dates.
"""

from __future__ import annotations

import gc
import math
import os
import socket
import struct
import traceback
from collections.abc import Iterable
from typing import Any

from gunicorn import util
from gunicorn.http import errors as malformed
from gunicorn.workers.gthread import ThreadWorker

from fhir_facade.fhir import json
from fhir_facade.fhir.outcome import outcome
from fhir_facade.telemetry import log, new_correlation_id

_REASONS = {
    400: "Bad Request",
    414: "URI Too Long",
    417: "Expectation Failed",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    501: "Not Implemented",
}


READ_AWAY = 65_536
"""Bytes of a body nobody read that gunicorn reads away to keep the connection; with more left it
closes."""
STALL_SECONDS = 60.0
"""How long a client may take over one piece of an answer (of a file: 64 KiB or less), or keep a
thread waiting for the next bytes of a body."""


class WebWorker(ThreadWorker):  # type: ignore[misc]
    """`gthread`, but for what it says and logs about requests it cannot read."""

    def load_wsgi(self) -> None:
        """Load the application, and leave it out of every later collection of garbage: going
        through all of it would hold up the requests for as long as a hundred of them take."""
        super().load_wsgi()
        gc.collect()
        gc.freeze()

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer; where the body may be too long to be read away, the answer itself says that the
        connection closes (RFC 9112 section 9.6), so that nobody sends another request on it.

        A client that stalls gives its thread back, and an answer that breaks off ends in a reset.
        """
        conn.sock.settimeout(STALL_SECONDS)
        if _body_length(req.headers) > READ_AWAY:
            req.force_close()
        try:
            return super().handle_request(req, conn)
        except OSError as error:
            log("serving").debug("connection.reset", error=type(error).__name__)
            _reset(conn)
            return False

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer with an OperationOutcome and close; log the kind of the error, never its text."""
        status, code, text, advice = _judge(exc)
        correlation_id = new_correlation_id()
        fields = {"error": type(exc).__name__, "correlation_id": correlation_id}
        if status == 500:
            log("serving").error("request.failed", place=_place(exc), **fields)
        else:
            log("serving").warning("request.malformed", status=status, **fields)
        body = json.dumps(outcome("error", code, text, advice, (), correlation_id))
        try:
            util.write_nonblock(client, _answer(status, correlation_id, body))
        except OSError:
            log("serving").debug("request.answer_lost", **fields)


def _reset(conn: Any) -> None:
    """Close so that the client sees a reset: an orderly end could pass for that of the body."""
    conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.sock.close()
    # gunicorn closes it once more, and would count it twice when that fails.
    conn.close = lambda graceful=False: None


def _body_length(headers: Iterable[tuple[str, str]]) -> float:
    """Bytes a request announces; without end when it is sent in chunks."""
    told = dict(headers)
    return math.inf if "TRANSFER-ENCODING" in told else int(told.get("CONTENT-LENGTH", 0))


def _judge(error: Exception) -> tuple[int, str, str, str]:
    """Status, FHIR issue code, sentence and advice."""
    match error:
        case malformed.LimitRequestLine():
            advice = "Search by POST [base]/Type/_search, with the parameters in the body."
            return 414, "too-long", "The URL is too long.", advice
        case malformed.LimitRequestHeaders():
            return 431, "too-long", "The request's headers are too long.", "Send fewer or shorter."
        case malformed.ExpectationFailed():
            return 417, "not-supported", "The expectation is not supported.", "Leave Expect out."
        case malformed.UnsupportedTransferCoding():
            return 501, "not-supported", "The transfer coding is not supported.", "Use chunked."
        case malformed.InvalidResponseHeader() | malformed.InvalidResponseHeaderName():
            pass  # ours, not the client's
        case malformed.ParseException():
            advice = "Percent-encode the URL, and send HTTP/1.1 headers (RFC 9112)."
            return 400, "structure", "The request is not well formed HTTP.", advice
    advice = "Try again; if it stays, tell the operator the correlation id."
    return 500, "exception", "The server could not answer this request.", advice


def _answer(status: int, correlation_id: str, body: bytes) -> bytes:
    lines = [
        f"HTTP/1.1 {status} {_REASONS[status]}",
        "Content-Type: application/fhir+json",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "Cache-Control: private, no-store",
        "Access-Control-Allow-Origin: *",
        "Access-Control-Expose-Headers: X-Correlation-Id",
        "X-Content-Type-Options: nosniff",
        f"X-Correlation-Id: {correlation_id}",
    ]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
