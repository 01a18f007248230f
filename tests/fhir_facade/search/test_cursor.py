"""Cursors: opaque, bound, expiring."""

from __future__ import annotations

import base64

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.errors import InvalidRequest, TooCostly
from fhir_facade.search.cursor import CursorBox, CursorExpired, Position, principal_hash

KEY = "k" * 40
BOX = CursorBox([KEY])
OWNER = principal_hash("client", "user", None, "user/*.rs")
PLACE = Position((("name", "Zebedee"),), 7, ("qubs-1",), 12)


def test_comes_back_as_it_was() -> None:
    text = BOX.seal("acme", "Patient", OWNER, PLACE)
    assert BOX.open("acme", "Patient", OWNER, text) == PLACE


def test_holds_no_value_in_the_clear() -> None:
    text = BOX.seal("acme", "Patient", OWNER, PLACE)
    raw = base64.urlsafe_b64decode(text + "==")
    assert b"Zebedee" not in raw
    assert "Zebedee" not in text


@pytest.mark.parametrize(
    ("tenant", "resource_type", "owner"),
    [
        ("globex", "Patient", OWNER),
        ("acme", "Appointment", OWNER),
        ("acme", "Patient", principal_hash("other", "user", None, "user/*.rs")),
    ],
)
def test_is_bound(tenant: str, resource_type: str, owner: str) -> None:
    text = BOX.seal("acme", "Patient", OWNER, PLACE)
    with pytest.raises(InvalidRequest):
        BOX.open(tenant, resource_type, owner, text)


def test_expires() -> None:
    with time_machine.travel("2026-11-21T00:00:00Z", tick=False) as clock:
        text = BOX.seal("acme", "Patient", OWNER, PLACE)
        clock.shift(3599)
        assert BOX.open("acme", "Patient", OWNER, text) == PLACE
        clock.shift(1)
        with pytest.raises(CursorExpired):
            BOX.open("acme", "Patient", OWNER, text)


def test_outlives_a_change_of_the_first_key() -> None:
    text = BOX.seal("acme", "Patient", OWNER, PLACE)
    rotated = CursorBox(["n" * 40, KEY])
    assert rotated.open("acme", "Patient", OWNER, text) == PLACE
    with pytest.raises(InvalidRequest):
        CursorBox(["n" * 40]).open("acme", "Patient", OWNER, text)


def test_every_changed_character_is_noticed() -> None:
    text = BOX.seal("acme", "Patient", OWNER, PLACE)
    for place in range(0, len(text) - 1, 5):
        other = "A" if text[place] != "A" else "B"
        with pytest.raises(InvalidRequest):
            BOX.open("acme", "Patient", OWNER, text[:place] + other + text[place + 1 :])


@given(st.one_of(st.text(max_size=200), st.from_regex(r"[A-Za-z0-9_-]{0,200}", fullmatch=True)))
def test_garbage_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        BOX.open("acme", "Patient", OWNER, text)


def test_a_long_query_is_packed_and_one_too_long_refused() -> None:
    ids = ",".join(f"qubs-A{n}" for n in range(800))
    long = Position((("_id", ids),), 1, None)
    assert BOX.open("a", "Patient", OWNER, BOX.seal("a", "Patient", OWNER, long)) == long
    noise = "".join(principal_hash(str(n)) for n in range(1000))
    with pytest.raises(TooCostly):
        BOX.seal("a", "Patient", OWNER, Position((("_id", noise),), 1, None))
