"""JSON Schema of each FHIR primitive (R4 datatypes.html#primitive), with the rules a pattern can
hold.

Dates are checked against the calendar too: the pattern knows the length of months and leap years.
"""

from __future__ import annotations

from typing import Any

from fhir_facade.fhir.r4_types import R4_TYPES

_INT_MAX = 2**31 - 1
_LONGEST_STRING = 1024 * 1024

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9])"
_LEAP_YEAR = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00)"
_DAY = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_PARTIAL = f"{_YEAR}(?:-(?:0[1-9]|1[0-2]))?"
_PORT = "(?::(?:[0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?"
_ID = r"[A-Za-z0-9\-.]{1,64}"


def _text(pattern: str, description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "pattern": pattern, **more, "description": description}


def _integer(lowest: int, description: str) -> dict[str, Any]:
    bounds = {"minimum": lowest, "maximum": _INT_MAX}
    return {"type": "integer", **bounds, "description": description}


PRIMITIVES: dict[str, dict[str, Any]] = {
    "boolean": {"type": "boolean", "description": "must be true or false"},
    "integer": _integer(-_INT_MAX - 1, "must be a whole number of 32 bits"),
    "unsignedInt": _integer(0, "must be a whole number from 0"),
    "positiveInt": _integer(1, "must be a whole number from 1"),
    "decimal": {"type": "number", "description": "must be a number"},
    "string": _text(r"\S", "must be a string that is not blank", maxLength=_LONGEST_STRING),
    "markdown": _text(r"\S", "must be a string that is not blank", maxLength=_LONGEST_STRING),
    "code": _text(
        r"^[^\s]+(?:\s[^\s]+)*$", "must be a code: no blanks at its ends, single ones inside"
    ),
    "id": _text(f"^{_ID}$", "must be an id: 1 to 64 of A-Z a-z 0-9 - ."),
    "uri": _text(r"^\S+$", "must be a URI without blanks"),
    "canonical": _text(r"^\S+$", "must be a canonical URL without blanks"),
    "url": _text(
        rf"^(?:https?://(?:[A-Za-z0-9\-._~%]+|\[[0-9A-Fa-f:.]+\]){_PORT}(?:[/?#]\S*)?"
        r"|(?:mailto|urn|data|cid|tel):[^\s/:]\S*|(?:ftp|file|mllp|llp):/{0,3}[^\s/:]\S*"
        r"|/?[A-Za-z0-9\-.#]+(?:[/?]\S*)?)$",
        "must be a URL",
    ),
    "oid": _text(r"^urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+$", "must be urn:oid: and an OID"),
    "uuid": _text(
        r"^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
        "must be urn:uuid: and a UUID in lower case",
    ),
    "base64Binary": _text(
        r"^\s*(?:[A-Za-z0-9+/]{4}\s*)*"
        r"(?:[A-Za-z0-9+/]{4}|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)\s*$",
        "must be base64",
    ),
    "date": _text(f"^(?:{_DAY}|{_PARTIAL})$", "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"),
    "dateTime": _text(
        f"^(?:{_DAY}(?:T{_CLOCK}{_ZONE})?|{_PARTIAL})$",
        "must be a dateTime: a date, or date and time to the second with a zone",
    ),
    "instant": _text(
        f"^{_DAY}T{_CLOCK}{_ZONE}$", "must be an instant: date and time to the second, with a zone"
    ),
    "time": _text(f"^{_CLOCK}$", "must be a time: HH:MM:SS without a zone"),
    "xhtml": _text(r"^\s*<div[\s/>]", "must be an XHTML div", maxLength=_LONGEST_STRING),
}


def reference_pattern(targets: list[str]) -> str:
    """The pattern of `Reference.reference`: relative to one of the types, absolute, `urn:` or `#`.

    An empty list stands for every R4 type.
    """
    types = "|".join(sorted(targets or R4_TYPES))
    return (
        rf"^(?:(?:{types})/{_ID}(?:/_history/{_ID})?|https?://[^\s/]+/\S+"
        r"|urn:(?:uuid|oid):\S+|#\S*)$"
    )
