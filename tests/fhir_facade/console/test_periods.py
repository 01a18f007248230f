"""Days and instants written and read in the tenant's zone."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.console.periods import read_end, read_start, write_end, write_start
from fhir_facade.fhir.dates import InvalidDate
from tests.support.soak import examples

SYDNEY = ZoneInfo("Australia/Sydney")


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def test_a_day_is_from_midnight_to_midnight_of_the_zone() -> None:
    assert read_start("2026-01-31", SYDNEY) == us("2026-01-30T13:00")
    assert read_end(" 2026-01-31 ", SYDNEY) == us("2026-01-31T13:00")


def test_an_instant_is_itself() -> None:
    assert read_start("2026-01-31T14:30", SYDNEY) == us("2026-01-31T03:30")
    assert read_end("2026-01-31T14:30", SYDNEY) == us("2026-01-31T03:30")
    assert read_end("2026-01-31T14:30:05Z", SYDNEY) == us("2026-01-31T14:30:05")


@pytest.mark.parametrize("text", ["2026", "2026-01", "31.1.2026", "2026-02-30", "tomorrow", "1"])
def test_what_is_no_day_is_refused(text: str) -> None:
    for read in (read_start, read_end):
        with pytest.raises(InvalidDate):
            read(text, SYDNEY)


def test_nothing_is_open() -> None:
    assert (read_start("", SYDNEY), read_end(" ", SYDNEY)) == (None, None)
    assert (write_start(None, SYDNEY), write_end(None, SYDNEY)) == ("", "")


def test_days_are_written_as_days() -> None:
    assert write_start(us("2026-01-30T13:00"), SYDNEY) == "2026-01-31"
    assert write_end(us("2026-01-31T13:00"), SYDNEY) == "2026-01-31"
    assert write_end(us("2026-01-31T03:30"), SYDNEY) == "2026-01-31T14:30"


@settings(max_examples=examples(120), deadline=None)
@given(
    at=st.integers(us("1975-01-01T00:00"), us("2099-12-31T00:00"))
    | st.integers(us("2026-04-04T12:00") // 60_000_000, us("2026-04-05T00:00") // 60_000_000).map(
        lambda minute: minute * 60_000_000
    ),
    zone=st.sampled_from([SYDNEY, ZoneInfo("UTC"), ZoneInfo("America/New_York")]),
)
def test_what_is_written_is_read_as_the_same(at: int, zone: ZoneInfo) -> None:
    assert read_start(write_start(at, zone), zone) == at
    assert read_end(write_end(at, zone), zone) == at
