from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from fhir_facade.fhir import dates
from fhir_facade.fhir.dates import Interval, InvalidDate, parse_interval
from fhir_facade.fhir.zones import WINDOWS_ZONES

SYDNEY, UTC_ZONE = ZoneInfo("Australia/Sydney"), ZoneInfo("UTC")
ZONES = st.sampled_from(
    [
        ZoneInfo(name)
        for name in (
            "Australia/Sydney",
            "Australia/Lord_Howe",
            "America/New_York",
            "America/Sao_Paulo",
            "Africa/Cairo",
            "Pacific/Apia",
            "Asia/Kathmandu",
            "UTC",
        )
    ]
)
DAYS = st.dates(date(1, 1, 3), date(9999, 12, 29))
HOURS = st.floats(-400_000, 400_000)


def us(text: str) -> int:
    return dates.to_us(datetime.fromisoformat(text))


@pytest.mark.parametrize(
    ("text", "lo", "hi"),
    [
        ("2024", "2023-12-31T13:00:00+00:00", "2024-12-31T13:00:00+00:00"),
        ("2024-02", "2024-01-31T13:00:00+00:00", "2024-02-29T13:00:00+00:00"),
        ("2023-02", "2023-01-31T13:00:00+00:00", "2023-02-28T13:00:00+00:00"),
        ("1900-02", "1900-01-31T14:00:00+00:00", "1900-02-28T14:00:00+00:00"),
        ("2024-07-01", "2024-06-30T14:00:00+00:00", "2024-07-01T14:00:00+00:00"),
        ("2024-10-06", "2024-10-05T14:00:00+00:00", "2024-10-06T13:00:00+00:00"),
        ("2024-04-07", "2024-04-06T13:00:00+00:00", "2024-04-07T14:00:00+00:00"),
        ("2024-07-01T09:30", "2024-06-30T23:30:00+00:00", "2024-06-30T23:31:00+00:00"),
        ("2024-07-01T09:30:05", "2024-06-30T23:30:05+00:00", "2024-06-30T23:30:06+00:00"),
        ("2024-07-01T09:30:05Z", "2024-07-01T09:30:05+00:00", "2024-07-01T09:30:06+00:00"),
        ("2024-07-01T09:30:05.1Z", "2024-07-01T09:30:05.1+00:00", "2024-07-01T09:30:05.2+00:00"),
        ("2024-07-01T09:30:60Z", "2024-07-01T09:31:00+00:00", "2024-07-01T09:31:01+00:00"),
        ("2024-07-01T09:30:00+14:00", "2024-06-30T19:30:00+00:00", "2024-06-30T19:30:01+00:00"),
        ("2024-07-01T09:30:00-14:00", "2024-07-01T23:30:00+00:00", "2024-07-01T23:30:01+00:00"),
        # 02:30 does not exist on the first of these days and comes twice on the second.
        ("2024-10-06T02:30:00", "2024-10-05T16:30:00+00:00", "2024-10-05T16:30:01+00:00"),
        ("2024-04-07T02:30:00", "2024-04-06T15:30:00+00:00", "2024-04-06T15:30:01+00:00"),
    ],
)
def test_intervals(text: str, lo: str, hi: str) -> None:
    assert parse_interval(text, SYDNEY) == Interval(us(lo), us(hi))


def test_fractions_beyond_microseconds_are_cut() -> None:
    lo, hi = parse_interval("2024-01-01T00:00:00.1234569Z", UTC_ZONE)
    assert (lo % 1_000_000, hi - lo) == (123456, 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "0000",
        "2024-13",
        "2024-00",
        "2024-1",
        "1990-02-31",
        "2023-02-29",
        "2024-01-01T",
        "2024-01-01T24:00:00Z",
        "2024-01-01T10",
        "2024-01-01T10:60:00Z",
        "2024-01-01T10:00:61Z",
        "2024-01-01T10:00:00.Z",
        "2024-01-01T10:00:00+14:01",
        "2024-01-01T10:00:00+15:00",
        "2024-01-01T10:00:00 10:00",
        "2024-01-01 10:00:00",
        "2024-01-01Z",
        "2024-01-01T10:00:00z",
        "٢٠٢٤",
        "2024\n",
        "20240101",
    ],
)
def test_no_date(text: str) -> None:
    with pytest.raises(InvalidDate) as caught:
        parse_interval(text, SYDNEY)
    assert not text or text not in str(caught.value)


@given(DAYS, ZONES)
def test_days_months_and_years_tile_the_line(day: date, zone: ZoneInfo) -> None:
    today = parse_interval(day.isoformat(), zone)
    tomorrow = parse_interval((day + timedelta(days=1)).isoformat(), zone)
    month = parse_interval(day.isoformat()[:7], zone)
    year = parse_interval(day.isoformat()[:4], zone)
    assert today.lo < today.hi or zone.key == "Pacific/Apia"  # Apia had no 2011-12-30
    assert today.hi == tomorrow.lo
    assert year.lo <= month.lo <= today.lo <= today.hi <= month.hi <= year.hi


@pytest.mark.parametrize("text", ["0001", "0001-01-01", "9999", "9999-12", "9999-12-31"])
def test_ends_of_the_calendar_are_intervals(text: str) -> None:
    for zone in (SYDNEY, ZoneInfo("America/New_York")):
        lo, hi = parse_interval(text, zone)
        assert dates.MIN_US < lo < hi < dates.MAX_US


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29)), ZONES)
def test_an_instant_written_is_the_instant_read(moment: datetime, zone: ZoneInfo) -> None:
    aware = moment.replace(tzinfo=UTC)
    text = dates.format_moment(aware.astimezone(zone))
    assert parse_interval(text, SYDNEY).lo == dates.to_us(aware)
    written = dates.format_instant(dates.to_us(aware))
    assert parse_interval(written, SYDNEY).lo == dates.to_us(aware) // 1000 * 1000


def test_format_instant() -> None:
    assert dates.format_instant(0) == "1970-01-01T00:00:00.000Z"
    assert dates.format_instant(-1) == "1969-12-31T23:59:59.999Z"
    with pytest.raises(InvalidDate):
        dates.format_instant(dates.MAX_US)
    with pytest.raises(InvalidDate):
        dates.format_moment(datetime(2024, 1, 1))


@given(DAYS, st.times(), ZONES)
def test_wall_clock_to_instant(day: date, at: time, zone: ZoneInfo) -> None:
    moment = dates.local_to_instant(day, at, zone)
    text = f"{day.isoformat()}T{at.isoformat('microseconds')}"
    assert dates.to_us(moment) == parse_interval(text, zone).lo
    wall = datetime.combine(day, at)
    back = moment.replace(tzinfo=None, fold=0)
    if back != wall:  # only inside a gap, and then forward
        assert back > wall
        again = wall.replace(tzinfo=zone, fold=1).astimezone(UTC).astimezone(zone)
        assert again.replace(tzinfo=None, fold=0) < wall
    elif wall.replace(tzinfo=zone, fold=1).utcoffset() != moment.utcoffset():
        assert moment.fold == 0


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("Australia/Sydney", "2024-10-06T02:30", "2024-10-06T03:30:00+11:00"),
        ("Australia/Sydney", "2024-04-07T02:30", "2024-04-07T02:30:00+11:00"),
        ("Australia/Brisbane", "2024-10-06T02:30", "2024-10-06T02:30:00+10:00"),
        ("Australia/Lord_Howe", "2024-10-06T02:15", "2024-10-06T02:45:00+11:00"),
        ("America/New_York", "2024-03-10T02:00", "2024-03-10T03:00:00-04:00"),
        ("Europe/London", "2024-10-27T01:00", "2024-10-27T01:00:00+01:00"),
    ],
)
def test_gap_goes_forward_and_overlap_means_the_first(zone: str, wall: str, expected: str) -> None:
    moment = datetime.fromisoformat(wall)
    made = dates.local_to_instant(moment.date(), moment.time(), ZoneInfo(zone))
    assert dates.format_moment(made) == expected


def test_wall_clock_at_the_end_of_the_calendar() -> None:
    with pytest.raises(InvalidDate):
        dates.local_to_instant(date(1, 1, 1), time(0), SYDNEY)


def test_open_and_closed_periods() -> None:
    day = parse_interval("2024-07-01", SYDNEY)
    assert dates.period_interval("2024-07-01", None, SYDNEY) == (day.lo, dates.MAX_US)
    assert dates.period_interval(None, "2024-07-01", SYDNEY) == (dates.MIN_US, day.hi)
    assert dates.period_interval("2024-07-01", "2024-07-01", SYDNEY) == day
    assert dates.period_interval(None, None, SYDNEY) == (dates.MIN_US, dates.MAX_US)


@given(HOURS, HOURS)
def test_a_period_that_ends_before_it_starts_is_no_period(one: float, other: float) -> None:
    start, end = (dates.format_instant(int(hours * 3.6e9)) for hours in (one, other))
    assume(start != end)
    if start < end:
        interval = dates.period_interval(start, end, UTC_ZONE)
        assert interval.lo < interval.hi
    else:
        with pytest.raises(InvalidDate):
            dates.period_interval(start, end, UTC_ZONE)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Australia/Sydney", "Australia/Sydney"),
        (" australia/sydney ", "Australia/Sydney"),
        ("AUS Eastern Standard Time", "Australia/Sydney"),
        ("E. Australia Standard Time", "Australia/Brisbane"),
        ("Cen. Australia Standard Time", "Australia/Adelaide"),
        ("Eastern Standard Time", "America/New_York"),
        ("UTC", "UTC"),
    ],
)
def test_known_zones(name: str, key: str) -> None:
    zone = dates.resolve_zone(name)
    assert zone is not None
    assert zone.key == key


@pytest.mark.parametrize(
    "name", [None, "", " ", "EST", "AEST", "localtime", "../../etc/passwd", "Australia", "Mars/X"]
)
def test_unknown_zones(name: str | None) -> None:
    assert dates.resolve_zone(name) is None


@given(st.text())
def test_any_text_is_a_zone_or_none(name: str) -> None:
    zone = dates.resolve_zone(name)
    assert zone is None or zone.utcoffset(datetime(2024, 1, 1)) is not None


def test_every_windows_name_resolves() -> None:
    assert len(WINDOWS_ZONES) > 135
    assert all(dates.resolve_zone(name) for name in WINDOWS_ZONES)
