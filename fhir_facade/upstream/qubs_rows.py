"""From the bodies of QUBS answers to records: the only place that judges whether a row can be
stored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.upstream.errors import CallFacts, Malformed
from fhir_facade.upstream.http import Answer
from fhir_facade.upstream.pulled import (
    MalformedRow,
    Page,
    Pulled,
    absent,
    canonical_bytes,
    key_text,
    malformed_row,
)
from fhir_facade.upstream.qubs_words import HAS_CONTENT, TEXT_MEMBERS

_ATTACHMENT_MEMBERS = ("guid", "category", "fileName", "addedDateTime", "lastModifiedDateTime")


@dataclass(frozen=True)
class ArrayRecord:
    """A list that is one record (an appointment's comments), and its rows that are no objects."""

    record: Pulled
    malformed: tuple[MalformedRow, ...] = field(default=())


def row_key(row: Any, name: str) -> str | None:
    """The id of a row, or None when the row is no object or has none."""
    return key_text(row.get(name)) if isinstance(row, dict) else None


def page_of(
    view: str, name: str, rows: Iterable[Any], correlation_id: str, next_token: str | None = None
) -> Page:
    """The rows of one page, split into records (key: member `name`) and malformed rows."""
    records: list[Pulled] = []
    malformed: list[MalformedRow] = []
    for row in rows:
        key = row_key(row, name)
        if not isinstance(row, dict):
            malformed.append(malformed_row(view, row, "not an object", correlation_id))
        elif key is None:
            malformed.append(malformed_row(view, row, f"no usable {name}", correlation_id))
        elif wrong := wrong_types(row):
            reason = f"not text: {', '.join(wrong)}"
            malformed.append(malformed_row(view, row, reason, correlation_id, key))
        else:
            records.append(Pulled(view, key, row, correlation_id))
    return Page(tuple(records), tuple(malformed), next_token)


def wrong_types(row: dict[str, Any]) -> list[str]:
    """The documented text members that hold something else than text or nothing."""
    return [
        name
        for name, value in row.items()
        if value is not None and type(value) is not str and name in TEXT_MEMBERS
    ]


def array_of(operation: str, answer: Answer) -> list[Any]:
    """The bare array of an answer. Raises Malformed."""
    if not isinstance(answer.body, list):
        facts = CallFacts(operation, correlation_id=answer.correlation_id)
        raise Malformed(facts, "the body is not an array")
    return answer.body


def array_record(
    operation: str, view: str, key: str, name: str, answer: Answer, *, keyed: bool = False
) -> ArrayRecord:
    """A list as one record, each row once, sorted by member `name` and then by content. `keyed`:
    rows without a usable `name` are malformed.
    """
    rows: dict[bytes, dict[str, Any]] = {}
    malformed: list[MalformedRow] = []
    for row in array_of(operation, answer):
        if not isinstance(row, dict):
            malformed.append(malformed_row(view, row, "not an object", answer.correlation_id))
        elif keyed and row_key(row, name) is None:
            malformed.append(
                malformed_row(view, row, f"no usable {name}", answer.correlation_id, key)
            )
        else:
            rows[canonical_bytes(row)] = row
    ordered = sorted(rows.items(), key=lambda item: (key_text(item[1].get(name)) or "", item[0]))
    body = [row for _, row in ordered]
    return ArrayRecord(Pulled(view, key, body, answer.correlation_id), tuple(malformed))


def without_addresses(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Attachments as they may be stored: members known to be harmless, and whether there is content
    to be had. Presigned addresses give anybody the file, so nothing that could be one is kept.
    """
    return [
        {name: row[name] for name in _ATTACHMENT_MEMBERS if name in row}
        | {HAS_CONTENT: not absent(row.get("url"))}
        for row in rows
    ]


def single(operation: str, view: str, key: str, name: str | None, answer: Answer) -> Pulled:
    """An object as one record under the key that was asked for.

    Raises Malformed when the body is no object, or when its member `name` is there and says another
    key: an answer to somebody else's question must never be stored under this one.
    """
    facts = CallFacts(operation, correlation_id=answer.correlation_id)
    if not isinstance(answer.body, dict):
        raise Malformed(facts, "the body is not an object")
    if wrong := wrong_types(answer.body):
        raise Malformed(facts, f"not text: {', '.join(wrong)}")
    told = None if name is None else answer.body.get(name)
    if not absent(told) and key_text(told) != key:
        raise Malformed(facts, "the answer is about another record")
    return Pulled(view, key, answer.body, answer.correlation_id)
