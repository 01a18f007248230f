from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.upstream.errors import CallFacts, Malformed, NarrowerQueryNeeded, Refused
from fhir_facade.upstream.http import Answer
from fhir_facade.upstream.paging import cursor_pages, offset_pages


def key_of(row: Any) -> str | None:
    return row.get("id") if isinstance(row, dict) else None


def rows(*ids: int) -> list[dict[str, str]]:
    return [{"id": str(number)} for number in ids]


class Cursor:
    """Pages by token; each entry is the body of one page."""

    def __init__(self, pages: dict[str | None, Any]) -> None:
        self.pages = pages
        self.asked: list[str | None] = []

    def __call__(self, token: str | None) -> Answer:
        self.asked.append(token)
        page = self.pages[token]
        if isinstance(page, list) and page and isinstance(page[0], Exception):
            raise page.pop(0)
        if isinstance(page, list) and len(page) == 1:
            page = page[0]
        return Answer(page, "c")


def ids(pages: Any) -> list[str]:
    return [row["id"] for page in pages for row in page.rows]


@pytest.mark.parametrize("last", [{}, {"nextToken": None}, {"nextToken": ""}])
def test_a_cursor_ends_with_each_form_of_no_token(last: dict[str, Any]) -> None:
    fetch = Cursor(
        {
            None: {"items": rows(1, 2), "nextToken": "a"},
            "a": {"items": [], "nextToken": "b"},
            "b": {"items": rows(2, 3), **last},
        }
    )
    assert ids(cursor_pages("op", fetch, key_of)) == ["1", "2", "3"]


def test_a_cursor_continues_from_a_saved_token() -> None:
    fetch = Cursor({"b": {"items": rows(3)}})
    pages = list(cursor_pages("op", fetch, key_of, start="b"))
    assert ids(pages) == ["3"]
    assert pages[-1].next_token is None


def test_a_token_that_comes_back_stops() -> None:
    for last in ("a", "b"):
        fetch = Cursor(
            {
                None: {"items": rows(1), "nextToken": "a"},
                "a": {"items": rows(2), "nextToken": "b"},
                "b": {"items": rows(3), "nextToken": last},
            }
        )
        with pytest.raises(Malformed):
            ids(cursor_pages("op", fetch, key_of))


def test_pages_that_bring_nothing_new_stop() -> None:
    counter = iter(range(10_000))

    def fetch(_: str | None) -> Answer:
        return Answer({"items": rows(1), "nextToken": str(next(counter))}, "c")

    with pytest.raises(Malformed):
        ids(cursor_pages("op", fetch, key_of))
    assert next(counter) < 100


def test_a_refused_token_starts_again_without_repeating_rows() -> None:
    expired = Refused(CallFacts("op", 400))
    fetch = Cursor(
        {
            None: {"items": rows(1, 2), "nextToken": "a"},
            "a": [expired, {"items": rows(3)}],
        }
    )
    assert ids(cursor_pages("op", fetch, key_of)) == ["1", "2", "3"]
    assert fetch.asked == [None, "a", None, "a"]


def test_restarts_are_bounded() -> None:
    def fetch(token: str | None) -> Answer:
        if token is None:
            return Answer({"items": rows(1), "nextToken": "a"}, "c")
        raise Refused(CallFacts("op", 400))

    with pytest.raises(Refused):
        ids(cursor_pages("op", fetch, key_of))
    with pytest.raises(Refused):
        ids(
            cursor_pages(
                "op", lambda _: (_ for _ in ()).throw(Refused(CallFacts("o", 400))), key_of
            )
        )


@pytest.mark.parametrize("body", [[], {}, {"items": 3}, {"items": [], "nextToken": 5}, None])
def test_another_cursor_body_is_malformed(body: Any) -> None:
    with pytest.raises(Malformed):
        list(cursor_pages("op", lambda _: Answer(body, "c"), key_of))


def listing(all_rows: list[Any], asked: list[int] | None = None) -> Any:
    def fetch(skip: int, take: int) -> Answer:
        if asked is not None:
            asked.append(skip)
        return Answer(all_rows[skip : skip + take], "c")

    return fetch


@given(st.integers(0, 60), st.integers(1, 20))
def test_offset_paging_yields_every_row_once(count: int, take: int) -> None:
    asked: list[int] = []
    found = ids(offset_pages("op", listing(rows(*range(count)), asked), key_of, take=take))
    assert found == [str(number) for number in range(count)]
    assert len(asked) == count // take + 1


def test_rows_that_slip_between_pages_are_read_again() -> None:
    truth = rows(*range(25))
    shuffler = random.Random(5)
    calls = 0

    def fetch(skip: int, take: int) -> Answer:
        nonlocal calls
        calls += 1
        if calls == 2:
            shuffler.shuffle(truth)
        return Answer(truth[skip : skip + take], "c")

    assert sorted(ids(offset_pages("op", fetch, key_of, take=10)), key=int) == [
        str(number) for number in range(25)
    ]


def test_beyond_the_reach_of_skip_a_narrower_query_is_asked_for() -> None:
    found: list[str] = []

    def read() -> None:
        for page in offset_pages("op", listing(rows(*range(11_000))), key_of):
            found.extend(row["id"] for row in page.rows)

    with pytest.raises(NarrowerQueryNeeded):
        read()
    assert len(found) == 10_500


def test_rows_without_a_key_pass_and_another_body_is_malformed() -> None:
    odd = ["text", None, {"name": "x"}, *rows(1)]
    (page,) = offset_pages("op", listing(odd), key_of)
    assert page.rows == tuple(odd)
    with pytest.raises(Malformed):
        list(offset_pages("op", lambda *_: Answer({"items": []}, "c"), key_of))
