"""Local dates and times to instants: clock changes, unknown zones, ends before starts."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.fhir import systems
from fhir_facade.fhir.validation import fast_check
from fhir_facade.resources.schedule import LocalTimes, resolve
from tests.support.qubs_records import map_appointment, only, operational, site_records

SYDNEY = ZoneInfo("Australia/Sydney")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")
ZONES = st.sampled_from(
    [
        SYDNEY,
        LORD_HOWE,
        ZoneInfo("Australia/Brisbane"),
        ZoneInfo("Australia/Darwin"),
        ZoneInfo("America/New_York"),
        ZoneInfo("Pacific/Apia"),
        ZoneInfo("Africa/Monrovia"),
        ZoneInfo("UTC"),
    ]
)


def ends(day, start, end, zone=SYDNEY):
    schedule, _ = resolve(LocalTimes(day, start, end), zone, "Site")
    return schedule.start, schedule.end


def parts(schedule):
    found = {}
    for part in schedule.extension["extension"]:
        found[part["url"]] = next(v for k, v in part.items() if k.startswith("value"))
    return found


@pytest.mark.parametrize(
    ("day", "start", "end", "expected"),
    [
        # summer and winter
        ("2026-01-15", "09:00:00", "09:30:00", ("09:00:00+11:00", "09:30:00+11:00")),
        ("2026-07-15", "09:00:00", "09:30:00", ("09:00:00+10:00", "09:30:00+10:00")),
        # 2026-10-04 02:00 to 03:00 is skipped
        ("2026-10-04", "02:15:00", "02:45:00", ("03:15:00+11:00", "03:45:00+11:00")),
        ("2026-10-04", "01:45:00", "02:15:00", ("01:45:00+10:00", "03:15:00+11:00")),
        # ... and an end the shifted start would pass is shifted with it
        ("2026-10-04", "02:30:00", "03:00:00", ("03:30:00+11:00", "04:00:00+11:00")),
        ("2026-10-04", "02:30:00", "03:45:00", ("03:30:00+11:00", "03:45:00+11:00")),
        # 2026-04-05 02:00 to 03:00 comes twice
        ("2026-04-05", "02:15:00", "02:45:00", ("02:15:00+11:00", "02:45:00+11:00")),
        ("2026-04-05", "02:45:00", "03:15:00", ("02:45:00+11:00", "03:15:00+10:00")),
    ],
)
def test_instants_have_the_offset_of_the_site_at_that_time(day, start, end, expected):
    assert ends(day, start, end) == tuple(f"{day}T{clock}" for clock in expected)


def test_an_end_that_is_not_after_the_start_is_on_the_next_day():
    assert ends("2026-11-20", "23:30:00", "00:15:00") == (
        "2026-11-20T23:30:00+11:00",
        "2026-11-21T00:15:00+11:00",
    )
    assert ends("2026-11-20", "09:00:00", "09:00:00")[1] == "2026-11-21T09:00:00+11:00"


def test_a_half_hour_clock_change_is_shifted_by_half_an_hour():
    assert ends("2026-10-04", "02:15:00", "02:45:00", LORD_HOWE) == (
        "2026-10-04T02:45:00+11:00",
        "2026-10-04T03:15:00+11:00",
    )


def test_no_instant_without_a_zone_but_the_local_values_are_kept():
    schedule, warnings = resolve(LocalTimes("2026-11-20", "09:00", "9:30:00"), None, "Far Clinic")
    assert schedule[:3] == (None, None, None)
    assert schedule.extension["url"] == systems.LOCAL_SCHEDULE
    assert parts(schedule) == {
        "date": "2026-11-20",
        "startTime": "09:00:00",
        "endTime": "09:30:00",
        "site": "Far Clinic",
    }
    assert warnings == []


def test_text_that_is_no_date_is_kept_as_text_and_counted():
    schedule, warnings = resolve(LocalTimes("01-01-2025", "noonish", None), SYDNEY, "Site")
    assert schedule[:4] == (None, None, None, None)
    assert parts(schedule) == {"date": "01-01-2025", "startTime": "noonish", "site": "Site"}
    assert [w.code for w in warnings] == ["unreadable-date", "unreadable-time"]
    assert all(w.value is None for w in warnings)


def test_one_side_may_be_known():
    schedule, _ = resolve(LocalTimes("2026-11-20", "09:00:00", None), SYDNEY, "Site")
    assert schedule == ("2026-11-20T09:00:00+11:00", None, None, "2026-11-20", None)
    schedule, _ = resolve(LocalTimes("2026-11-20", None, "09:00:00"), SYDNEY, "Site")
    assert schedule.end == "2026-11-20T09:00:00+11:00"
    assert parts(schedule)["date"] == "2026-11-20"


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_the_ends_of_the_calendar_have_no_instant(day):
    schedule, _ = resolve(LocalTimes(day, "00:00:00", "23:59:59"), ZoneInfo("Etc/GMT+12"), "Site")
    assert schedule.start is None or schedule.end is None or schedule.start < schedule.end


@pytest.mark.parametrize("zone", [None, "Atlantis/Main", "EST", ""])
def test_an_appointment_of_an_unknown_zone_says_start_and_end_are_unknown(zone):
    appointment = only(map_appointment(operational(), site=site_records(zone)), "Appointment")
    assert not {"start", "end"} & appointment.keys()
    for name in ("_start", "_end"):
        assert appointment[name]["extension"] == [
            {"url": systems.DATA_ABSENT_REASON, "valueCode": "unknown"}
        ]
    assert fast_check(appointment) == []


def test_windows_zone_names_are_understood():
    site = site_records("AUS Eastern Standard Time")
    appointment = only(map_appointment(operational(), site=site), "Appointment")
    assert appointment["start"] == "2026-11-20T13:45:00+11:00"
    assert appointment["minutesDuration"] == 15


CLOCKS = st.times(time(0), time(23, 59, 59)).map(lambda t: t.replace(microsecond=0))
DAYS = st.dates(date(1950, 1, 1), date(2037, 12, 31)) | st.sampled_from(
    [date(2026, 4, 5), date(2026, 10, 4), date(2026, 3, 8), date(2026, 11, 1), date(2011, 12, 30)]
)


@given(DAYS, CLOCKS, CLOCKS, ZONES)
def test_every_local_pair_gives_two_instants_in_order(day, start, end, zone):
    schedule, warnings = resolve(
        LocalTimes(day.isoformat(), start.isoformat(), end.isoformat()), zone, "Site"
    )
    assert warnings == []
    first = datetime.fromisoformat(schedule.start)
    last = datetime.fromisoformat(schedule.end)
    assert first < last
    assert last - first < timedelta(days=3)  # Pacific/Apia once skipped a whole day
    assert schedule.minutes == ((last - first) // timedelta(minutes=1) or None)
    # A wall clock that exists is not changed: gap shifts forward, overlap is the first.
    shown = first.astimezone(zone).replace(tzinfo=None)
    wanted = datetime.combine(day, start)
    assert shown >= wanted
    if shown == wanted:
        assert first == wanted.replace(tzinfo=zone, fold=0).astimezone(UTC)
    else:
        there = wanted.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
        assert there.replace(tzinfo=None) != wanted


@given(st.text(), st.text(), st.text(), ZONES | st.none())
def test_any_text_gives_valid_times_or_none(day, start, end, zone):
    site = site_records("Australia/Sydney" if zone else None)
    body = operational(appointmentDate=day, startTime=start, endTime=end)
    assert fast_check(only(map_appointment(body, site=site), "Appointment")) == []
