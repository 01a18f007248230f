"""The two ways QUBS pages, as generators: one page in memory at a time, and the ids seen.

Neither order nor stability is promised by the upstream, so rows are de-duplicated by key (the first
one wins) and every way of going on for ever is cut off. A row without a key passes every time it
comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_facade.upstream.errors import CallFacts, Malformed, NarrowerQueryNeeded, Refused
from fhir_facade.upstream.http import Answer

KeyOf = Callable[[Any], str | None]

MAX_TAKE = 500
MAX_SKIP = 10_000
_MAX_RESTARTS = 3
_MAX_IDLE_PAGES = 25
_MAX_PASSES = 3


@dataclass(frozen=True)
class RowPage:
    """Rows not seen before on earlier pages. `next_token` continues after this page; None on the
    last one.
    """

    rows: tuple[Any, ...] = field(repr=False)
    correlation_id: str
    next_token: str | None = field(default=None, repr=False)


def cursor_pages(
    operation: str,
    fetch: Callable[[str | None], Answer],
    key_of: KeyOf,
    *,
    start: str | None = None,
) -> Iterator[RowPage]:
    """Pages of `{items, nextToken}` until the token is missing, null or empty.

    An empty page with a token is not the end. A 400 on a token starts again from the first page,
    three times at most. Raises Malformed when a token comes back, when many pages in a row bring
    nothing new, or on another body.
    """
    seen: set[str] = set()
    token, restarts = start, 0
    used: set[str] = set()
    idle = pages = known_pages = 0
    while True:
        try:
            answer = fetch(token)
        except Refused as error:
            if token is None or error.status != 400 or restarts >= _MAX_RESTARTS:
                raise
            token, restarts = None, restarts + 1
            known_pages, pages, idle = max(known_pages, pages), 0, 0
            used.clear()
            continue
        items, following = _cursor_body(operation, answer)
        rows = tuple(_fresh(items, key_of, seen))
        pages += 1
        idle = 0 if rows else idle + 1
        if following is not None:
            if following in used or following == token:
                raise Malformed(_facts(operation, answer), "a page token came back")
            # Pages that were read before a restart are allowed to bring nothing new.
            if idle > _MAX_IDLE_PAGES + known_pages:
                raise Malformed(_facts(operation, answer), "the pages bring nothing new")
            used.add(following)
        yield RowPage(rows, answer.correlation_id, following)
        if following is None:
            return
        token = following


def offset_pages(
    operation: str,
    fetch: Callable[[int, int], Answer],
    key_of: KeyOf,
    *,
    take: int = MAX_TAKE,
) -> Iterator[RowPage]:
    """Pages of bare arrays by `skip` and `take` until one is shorter than `take`.

    A row that comes twice means that another one slipped between the pages, so the list is read
    again, three times at most, until a reading brings nothing new. Raises NarrowerQueryNeeded when
    rows remain beyond `skip` 10,000 (after yielding all before), Malformed when a body is no array.
    """
    seen: set[str] = set()
    for _ in range(_MAX_PASSES):
        repeated = False
        skip = found = 0
        in_pass: set[str] = set()
        while True:
            answer = fetch(skip, take)
            items = answer.body
            if not isinstance(items, list):
                raise Malformed(_facts(operation, answer), "the body is not an array")
            repeated |= _repeats(items, key_of, in_pass)
            rows = tuple(_fresh(items, key_of, seen))
            found += len(rows)
            if rows:
                yield RowPage(rows, answer.correlation_id)
            if len(items) < take:
                break
            skip += take
            if skip > MAX_SKIP:
                raise NarrowerQueryNeeded(_facts(operation, answer))
        if not repeated or not found:
            return


def _cursor_body(operation: str, answer: Answer) -> tuple[list[Any], str | None]:
    body = answer.body
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        raise Malformed(_facts(operation, answer), "the body has no items")
    token = body.get("nextToken")
    if token is not None and not isinstance(token, str):
        raise Malformed(_facts(operation, answer), "the page token is not text")
    return body["items"], token or None


def _fresh(items: list[Any], key_of: KeyOf, seen: set[str]) -> Iterator[Any]:
    for item in items:
        key = key_of(item)
        if key is None:
            yield item
        elif key not in seen:
            seen.add(key)
            yield item


def _repeats(items: list[Any], key_of: KeyOf, seen: set[str]) -> bool:
    """Whether any key was seen before in this reading; notes the new ones."""
    repeated = False
    for item in items:
        key = key_of(item)
        if key is not None:
            repeated |= key in seen
            seen.add(key)
    return repeated


def _facts(operation: str, answer: Answer) -> CallFacts:
    return CallFacts(operation, correlation_id=answer.correlation_id)
