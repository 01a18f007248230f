"""Reading a request's body, within a bound."""

from __future__ import annotations

from flask import request

from fhir_facade.errors import TooCostly

MAX_BODY_BYTES = 1 << 20


def read_body() -> bytes:
    """The body as sent, with a declared length or in chunks. Raises TooCostly beyond
    MAX_BODY_BYTES.
    """
    body = bytearray()
    if (request.content_length or 0) <= MAX_BODY_BYTES:
        while chunk := request.stream.read(MAX_BODY_BYTES + 1 - len(body)):
            body += chunk
        if len(body) <= MAX_BODY_BYTES:
            return bytes(body)
    raise TooCostly("The body is too large.", diagnostics="It may have 1 MiB at most.")
