"""Kick-off parameters → what is ordered (Bulk Data Access 2.0, "Query Parameters").

What a parameter asks in vain is an error, unless the client said `Prefer: handling=lenient`: then
it is left out and named in the manifest's error file. Nothing is ignored in silence.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from fhir_facade.bulk.model import LeftOut
from fhir_facade.errors import InvalidRequest, UnsupportedParameter
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.dates import InvalidDate, parse_interval
from fhir_facade.fhir.r4_types import is_r4_type

Handling = Literal["strict", "lenient"] | None

NDJSON = "application/fhir+ndjson"
_OUTPUT_FORMATS = frozenset({NDJSON, "application/ndjson", "ndjson"})
_JSON_FORMATS = frozenset({"json", "application/json", "application/fhir+json", "text/json"})
_LATER = frozenset(
    {
        "_elements",
        "_typeFilter",
        "_until",
        "allowPartialManifests",
        "includeAssociatedData",
        "organizeOutputBy",
        "patient",
    }
)
"""Parameters of the specification that are not served; all others are unknown."""
_LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,40}", re.ASCII)
_CLOCK_SKEW_US = 60_000_000


@dataclass(frozen=True)
class ExportOrder:
    """What a client ordered. `types` None: all it may have. `since_us` None: no lower bound."""

    types: tuple[str, ...] | None
    since_us: int | None
    left_out: tuple[LeftOut, ...]


def parse_order(
    params: Sequence[tuple[str, str]], handling: Handling, *, zone: ZoneInfo, now_us: int
) -> ExportOrder:
    """Read decoded parameters. `zone` gives a `_since` without one its meaning.

    Raises InvalidRequest or UnsupportedParameter, whose `expression` names the parameter.
    """
    types: list[str] | None = None
    since_us: int | None = None
    left_out: list[LeftOut] = []
    seen: set[str] = set()
    for name, value in params:
        if name in ("_since", "_outputFormat") and name in seen:
            raise InvalidRequest(f"{name} is given more than once.", expression=[name])
        seen.add(name)
        if name == "_type":
            types = [*(types or []), *_types(value)]
        elif name == "_since":
            since_us = _since(value, zone, now_us)
        elif name == "_outputFormat":
            _check_format(name, value.replace(" ", "+"), _OUTPUT_FORMATS)
        elif name == "_format":
            _check_format(name, value.replace(" ", "+"), _JSON_FORMATS)
        else:
            left_out.append(_refused(name, handling))
    ordered = None if types is None else tuple(dict.fromkeys(types))
    return ExportOrder(ordered, since_us, tuple(dict.fromkeys(left_out)))


def parse_prefer(prefer: str | None) -> Handling:
    """The `handling` preference of a kick-off's Prefer header (RFC 7240). An absent header counts
    as respond-async.

    Raises InvalidRequest when the header asks for something else than an asynchronous answer.
    """
    if prefer is None:
        return None
    known, handling = False, None
    for item in prefer.split(","):
        name, _, value = item.split(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"').lower()
        if name == "respond-async":
            known = True
        elif name == "handling":
            if value not in ("strict", "lenient"):
                raise InvalidRequest("Prefer: handling must be strict or lenient.")
            known, handling = True, value
    if not known:
        raise InvalidRequest(
            "An export is answered asynchronously.", diagnostics="Send Prefer: respond-async."
        )
    return "strict" if handling == "strict" else "lenient" if handling == "lenient" else None


def check_accept(accept: str | None) -> None:
    """Raises InvalidRequest when a kick-off's Accept header does not admit FHIR JSON; absent counts
    as given.
    """
    if accept is None or not accept.strip():
        return
    for item in accept.split(","):
        media, *options = (part.strip().lower() for part in item.split(";"))
        if any(re.fullmatch(r"q=0(\.0*)?", option) for option in options):
            continue
        if media in ("*/*", "application/*", "application/fhir+json", "application/json"):
            return
    raise InvalidRequest(
        "The kick-off is answered in FHIR JSON.", diagnostics="Send Accept: application/fhir+json."
    )


def from_body(body: FHIRResource) -> list[tuple[str, str]]:
    """The pairs of a POSTed Parameters resource, for `parse_order`.

    A `value[x]` that is a string, code, uri or instant counts as its text. Raises InvalidRequest
    for another resource, or a parameter that has no such value (a `patient` reference gives its
    text, and is refused by name later).
    """
    if body.get("resourceType") != "Parameters" or not isinstance(body.get("parameter", []), list):
        raise InvalidRequest("The body of a kick-off must be a Parameters resource.")
    return [_pair(entry) for entry in body.get("parameter", [])]


def _pair(entry: object) -> tuple[str, str]:
    name = entry.get("name") if isinstance(entry, dict) else None
    if not isinstance(entry, dict) or not isinstance(name, str):
        raise InvalidRequest("A parameter has no name.", expression=["Parameters.parameter.name"])
    values = [value for key, value in entry.items() if key.startswith("value")]
    value = values[0] if len(values) == 1 else None
    if isinstance(value, dict):
        value = value.get("reference")
    if isinstance(value, bool):
        value = "true" if value else "false"
    if not isinstance(value, str):
        raise InvalidRequest(
            "A parameter needs one value that is a text.", expression=["Parameters.parameter.value"]
        )
    return name, value


def _types(value: str) -> list[str]:
    names = [name.strip() for name in value.split(",")]
    if any(not is_r4_type(name) for name in names):
        raise InvalidRequest(
            "_type names something that is not a FHIR R4 resource type.",
            diagnostics="Give resource types such as Patient, separated by commas.",
            expression=["_type"],
        )
    return names


def _since(value: str, zone: ZoneInfo, now_us: int) -> int:
    """A query string that was not escaped has lost the plus of its offset: it came as a blank."""
    try:
        since_us = parse_interval(_LOST_PLUS.sub("+", value), zone).lo
    except InvalidDate:
        raise InvalidRequest(
            "_since is not a FHIR instant.",
            diagnostics="Give the transactionTime of an earlier export (2026-01-31T09:30:00Z).",
            expression=["_since"],
        ) from None
    if since_us > now_us + _CLOCK_SKEW_US:
        raise InvalidRequest("_since lies in the future.", expression=["_since"])
    return since_us


def _check_format(name: str, value: str, known: frozenset[str]) -> None:
    if value.split(";")[0].strip().lower() not in known:
        raise UnsupportedParameter(
            f"{name} asks for a format that is not served.",
            diagnostics=f"{name} may be one of {', '.join(sorted(known))}.",
            expression=[name],
        )


def _refused(name: str, handling: Handling) -> LeftOut:
    shown = name if _NAME.fullmatch(name) else "parameter"
    text = (
        f"The parameter {shown} is not served by this server."
        if name in _LATER
        else f"$export has no parameter {shown}."
    )
    if handling == "lenient":
        return LeftOut("not-supported", f"{text} It was ignored.", shown)
    raise UnsupportedParameter(
        text,
        diagnostics="Leave it out, or send Prefer: handling=lenient to have it ignored.",
        expression=[shown],
    )
