"""The parameters of an operation, by POST too (R4 operations.html#request)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flask import request

from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.rest.bodies import json_body, read_body
from fhir_facade.search.query import Pair
from fhir_facade.search.values.text import malformed, showable

PARAMETERS = "a Parameters resource"


def parameter_pairs() -> list[Pair]:
    """Names and values as they would stand in a URL: of a Parameters resource with primitive values
    or codings; none for a GET and for an empty body.

    Raises UnsupportedMediaType and InvalidRequest.
    """
    if request.method != "POST":
        return []
    body = read_body()
    if not body:
        return []
    document = json_body(body, PARAMETERS)
    if not isinstance(document, dict) or document.get("resourceType") != "Parameters":
        raise not_parameters()
    parameters = document.get("parameter", [])
    if not isinstance(parameters, list):
        raise _no_value()
    return [_pair(parameter) for parameter in parameters]


def given_once(operation: str, names: Sequence[str], pairs: Iterable[Pair]) -> dict[str, str]:
    """The values by name, each given once and none empty.

    Raises UnsupportedParameter for what is not among `names`, InvalidRequest otherwise.
    """
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in names:
            raise UnsupportedParameter(
                f"{operation} takes no such parameter.",
                diagnostics=f"Use one of: {', '.join(names)}.",
                expression=(showable(name),),
            )
        if name in given:
            raise malformed(name, "given once")
        if not value:
            raise malformed(name, "followed by a value; leave the parameter out")
        given[name] = value
    return given


def _pair(parameter: Any) -> Pair:
    if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
        for name, value in parameter.items():
            if name.startswith("value") and (text := _text(value)) is not None:
                return parameter["name"], text
    raise _no_value()


def _text(value: Any) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int):
        return str(value)
    if not isinstance(value, dict):
        return None
    codings = value.get("coding", [value])
    if not isinstance(codings, list) or not codings:
        return None
    tokens = [_token(coding) for coding in codings if isinstance(coding, dict)]
    known = [token for token in tokens if token]
    return ",".join(known) if known and len(known) == len(codings) else None


def _token(coding: dict[str, Any]) -> str | None:
    """A coding as a search token, its separators escaped."""
    system, code = coding.get("system"), coding.get("code")
    if not isinstance(code, str) or not isinstance(system, str | None):
        return None
    parts = [_escaped(part) for part in ((code,) if system is None else (system, code))]
    return "|".join(parts)


def _escaped(text: str) -> str:
    for special in ("\\", ",", "|", "$"):
        text = text.replace(special, f"\\{special}")
    return text


def not_parameters() -> InvalidRequest:
    """The error for a body that is JSON and something else."""
    return InvalidRequest(
        "The body is not a Parameters resource.",
        diagnostics="Send Parameters, or an empty body with the parameters in the URL.",
    )


def _no_value() -> InvalidRequest:
    return InvalidRequest(
        "A parameter has no name or no plain value.",
        diagnostics="Give each a name and one value[x], a primitive or a coding.",
        expression=("Parameters.parameter",),
    )
