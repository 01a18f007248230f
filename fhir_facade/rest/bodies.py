"""Reading a request's body, within a bound."""

from __future__ import annotations

from typing import Any

from flask import request

from fhir_facade.errors import InvalidRequest, TooCostly, UnsupportedMediaType
from fhir_facade.fhir import json
from fhir_facade.rest.negotiate import is_json
from fhir_facade.rest.respond import FHIR_JSON

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


def json_body(body: bytes, what: str) -> Any:
    """The JSON of a body; `what` says in a refusal what it should be ("a Bundle").

    Raises UnsupportedMediaType when it is not declared as JSON, InvalidRequest when it is none.
    """
    if not is_json(request.environ.get("CONTENT_TYPE", "")):
        raise UnsupportedMediaType(
            f"The body is {what} in JSON.", diagnostics=f"Send Content-Type: {FHIR_JSON}."
        )
    try:
        return json.loads(body)
    except json.InvalidJSON:
        raise InvalidRequest(
            "The body is not valid JSON.", diagnostics=f"Send {what} as one document in UTF-8."
        ) from None
