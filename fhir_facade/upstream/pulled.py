"""What a pull yields: records in the upstream's own words, and rows that are none."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import orjson

from fhir_facade.fhir import json

Body = dict[str, Any] | list[dict[str, Any]]


@dataclass(frozen=True)
class Pulled:
    """One record. `view` names the upstream's view, `key` is the upstream's own id of it.

    `body` is as received; where the upstream gives a list without order (comments, exam codes), it
    is sorted, so that the same content always has the same bytes.
    """

    view: str
    key: str
    body: Body = field(repr=False)
    correlation_id: str

    def canonical(self) -> bytes:
        """The body as JSON with sorted members and exact numbers."""
        return canonical_bytes(self.body)


@dataclass(frozen=True)
class MalformedRow:
    """A row that must not be stored: not an object, without its id, or of wrong types.

    `key` is its id when it has one, else `row:` and a digest that tells such rows apart.
    """

    view: str
    key: str
    reason: str
    correlation_id: str


@dataclass(frozen=True)
class Page:
    """One page of a list. `next_token` continues a cursor list after this page; None on the last
    page.
    """

    records: tuple[Pulled, ...]
    malformed: tuple[MalformedRow, ...] = ()
    next_token: str | None = field(default=None, repr=False)


def absent(value: object) -> bool:
    """Whether a value means "none": missing and null, and text that is empty or blank, are the
    same.
    """
    return value is None or (isinstance(value, str) and not value.strip())


def present(body: dict[str, Any], *names: str) -> Any:
    """The first value under any of these names that is not absent, else None."""
    for name in names:
        value = body.get(name)
        if not absent(value):
            return value
    return None


def key_text(value: object) -> str | None:
    """An upstream id: printable text of at most 400 characters as it is; None for anything else.

    A number is no id: the documents promise text, and such a row may be somebody else's.
    """
    good = isinstance(value, str) and not absent(value) and value.isprintable()
    return value if good and isinstance(value, str) and len(value) <= 400 else None


def canonical_bytes(body: Any) -> bytes:
    """JSON bytes that are equal for equal content: members sorted, numbers digit for digit."""
    return orjson.dumps(body, default=_fragment, option=orjson.OPT_SORT_KEYS)


def malformed_row(
    view: str, row: Any, reason: str, correlation_id: str, key: str | None = None
) -> MalformedRow:
    """A row to be quarantined; `reason` holds no value of it."""
    if key is None:
        key = "row:" + hashlib.sha256(canonical_bytes(row)).hexdigest()[:32]
    return MalformedRow(view, key, reason, correlation_id)


def _fragment(value: object) -> orjson.Fragment:
    return orjson.Fragment(json.dumps(value))
