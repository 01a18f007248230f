"""Exact JSON: numbers keep their digits in both directions (R4 json.html#decimal).

orjson does the work. Only documents that hold a number it could not keep exactly are read a second
time by the standard library.
"""

from __future__ import annotations

import hashlib
import json as stdlib_json
import re
from decimal import Decimal
from typing import Any

import orjson

from fhir_facade.fhir import FHIRResource

# A fraction, an exponent or more digits than 64 bits hold. It may also match inside a string; that
# costs time, nothing else.
_INEXACT_NUMBER = re.compile(rb"[0-9][.eE]|[0-9]{19}")
_PER_VERSION = frozenset({"versionId", "lastUpdated"})


class InvalidJSON(ValueError):
    """The text is not JSON: malformed, not UTF-8, NaN, a lone surrogate, or nested over 1,000
    levels.
    """


def _exact_number(value: object) -> orjson.Fragment:
    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(str(value))
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _integer(digits: str) -> int | Decimal:
    # orjson writes 64 bits; a Decimal carries the rest, as it does any number FHIR calls decimal.
    return int(digits) if len(digits) < 19 else Decimal(digits)


def dumps(obj: Any) -> bytes:
    """Compact UTF-8 JSON. A Decimal is written digit for digit (1.00 stays 1.00).

    Raises TypeError for anything that has no JSON form (integers over 64 bits too); the message
    holds no value.
    """
    return orjson.dumps(obj, default=_exact_number)


def dumps_pretty(obj: Any) -> bytes:
    """As `dumps`, indented by two blanks, for `_pretty=true`."""
    return orjson.dumps(obj, default=_exact_number, option=orjson.OPT_INDENT_2)


def loads(data: bytes | str) -> Any:
    """Parse JSON; numbers with a fraction, an exponent or over 18 digits come back as Decimal, the
    others as int.

    Raises InvalidJSON, whose message holds the position but nothing of the document.
    """
    raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    try:
        value = orjson.loads(raw)
        if _INEXACT_NUMBER.search(raw) is None:
            return value
        return stdlib_json.loads(raw, parse_float=Decimal, parse_int=_integer)
    except stdlib_json.JSONDecodeError as error:
        text = f"not valid JSON at line {error.lineno}, column {error.colno}"
    except (ValueError, RecursionError):
        text = "not valid JSON: a number or the nesting is too long"
    # Raised outside the handler: a JSONDecodeError carries the whole document.
    raise InvalidJSON(text)


def content_hash(resource: FHIRResource) -> str:
    """SHA-256 (hex) of the canonical sorted JSON without `meta.versionId` and `meta.lastUpdated`.

    Equal content gives an equal hash whatever the order of members; the resource is not changed.
    """
    meta = resource.get("meta")
    if isinstance(meta, dict) and not _PER_VERSION.isdisjoint(meta):
        resource = dict(resource)
        kept = {name: value for name, value in meta.items() if name not in _PER_VERSION}
        if kept:
            resource["meta"] = kept
        else:
            del resource["meta"]
    canonical = orjson.dumps(resource, default=_exact_number, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(canonical).hexdigest()
