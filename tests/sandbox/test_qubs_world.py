"""The synthetic world: same settings same world, every trap present, a million in small room."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections import Counter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.qubs.documents import attachment_content
from sandbox.qubs.records import AppointmentIds, Record
from sandbox.qubs.selection import Selection
from sandbox.qubs.settings import DomainSpec, SiteSpec, demo_world_settings, world_settings
from sandbox.qubs.vocabulary import NEVER_ARRIVED, STATUSES
from sandbox.qubs.world import DomainWorld, World
from tests.support.qubs import REFERENCE, ROOT


@pytest.fixture(scope="module")
def world() -> World:
    return World(demo_world_settings(REFERENCE))


@pytest.fixture(scope="module")
def acme(world: World) -> DomainWorld:
    return world.domains["acme"]


@pytest.fixture(scope="module")
def rows(acme: DomainWorld) -> list[Record]:
    return acme.page(Selection(), 0, 5000)[0]


def test_equal_settings_give_equal_worlds_and_another_seed_another(rows: list[Record]) -> None:
    again = World(demo_world_settings(REFERENCE)).domains["acme"]
    assert again.page(Selection(), 0, 5000)[0] == rows
    assert [again.comments(row) for row in rows[:50]] == [again.comments(row) for row in rows[:50]]
    other = World(demo_world_settings(REFERENCE, seed=8)).domains["acme"]
    assert other.page(Selection(), 0, 5000)[0] != rows


def test_a_world_does_not_depend_on_hash_seed_or_process() -> None:
    code = (
        "import datetime as dt, json, sys\n"
        "from sandbox.qubs.settings import demo_world_settings\n"
        "from sandbox.qubs.world import World\n"
        "from sandbox.qubs.selection import Selection\n"
        "d = World(demo_world_settings(dt.date(2026, 11, 21))).domains['zenith']\n"
        "rows = d.page(Selection(), 0, 40)[0]\n"
        "print(json.dumps([rows, [d.comments(r) for r in rows], d.sites['Bayside Scans'].skills]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_the_demo_has_the_sizes_statuses_and_both_sides_of_today(
    world: World, rows: list[Record]
) -> None:
    assert len(rows) == len({row["appointmentId"] for row in rows}) == 2000
    assert {row["status"] for row in rows} == set(STATUSES)
    dates = [row["appointmentDate"] for row in rows if row["appointmentDate"]]
    today = REFERENCE.isoformat()
    assert sum(date > today for date in dates) > 200
    assert sum(date < today for date in dates) > 1000
    assert today in dates
    zenith = world.domains["zenith"]
    assert len(zenith.page(Selection(), 0, 1000)[0]) == 300
    assert len(zenith.patients(0, 1000)) == 60


def test_ids_overlap_between_domains_with_other_content(world: World, rows: list[Record]) -> None:
    zenith = world.domains["zenith"]
    for other in zenith.page(Selection(), 0, 300)[0]:
        mine = world.domains["acme"].appointment(other["appointmentId"])
        assert mine is not None
        assert mine != other
    assert zenith.patient("220003") is not None
    assert zenith.patient("220003") != world.domains["acme"].patient("220003")


def test_the_demo_sites_cover_three_zones_with_and_without_daylight_saving(
    acme: DomainWorld,
) -> None:
    zones = {ZoneInfo(site.settings["timeZone"]) for site in acme.sites.values()}
    changing = {
        zone.key
        for zone in zones
        if dt.datetime(2026, 1, 1, tzinfo=zone).utcoffset()
        != dt.datetime(2026, 7, 1, tzinfo=zone).utcoffset()
    }
    assert len(acme.sites) == 4
    assert len(zones) >= 3
    assert changing
    assert {zone.key for zone in zones} - changing
    assert [site.name for site in acme.sites.values() if not site.patient_ids] == [
        "Northside Imaging"
    ]


def _shift(row: Record, acme: DomainWorld) -> dt.timedelta:
    """Negative in a gap, positive in an overlap, judged without the emulator's own code."""
    zone = ZoneInfo(acme.sites[row["scheduledSite"]].settings["timeZone"])
    local = dt.datetime.fromisoformat(f"{row['appointmentDate']}T{row['startTime']}")
    first = local.replace(tzinfo=zone).utcoffset()
    second = local.replace(tzinfo=zone, fold=1).utcoffset()
    assert first is not None
    assert second is not None
    return first - second


def test_some_appointments_lie_in_a_clock_change(acme: DomainWorld, rows: list[Record]) -> None:
    timed = [row for row in rows if row["appointmentDate"] and row["startTime"]]
    shifts = Counter(_shift(row, acme) for row in timed)
    assert shifts[dt.timedelta(hours=-1)] >= 2
    assert shifts[dt.timedelta(hours=1)] >= 2


def test_some_appointments_lack_date_times_end_or_cross_midnight(rows: list[Record]) -> None:
    assert sum(row["appointmentDate"] is None for row in rows) > 5
    assert sum(row["appointmentDate"] is not None and row["startTime"] is None for row in rows) > 5
    assert sum(row["startTime"] is not None and row["endTime"] is None for row in rows) > 5
    both = [row for row in rows if row["startTime"] and row["endTime"]]
    assert sum(row["endTime"] <= row["startTime"] for row in both) >= 2


def test_arrival_and_scan_follow_the_status(rows: list[Record]) -> None:
    for row in rows:
        if row["status"] in NEVER_ARRIVED:
            assert row["arrivalDateTime"] is None
        elif row["startTime"] and row["status"] == "ARRIVED":
            assert row["arrivalDateTime"]
            assert row["scanStartDateTime"] is None
    done = [row for row in rows if row["scanEndDateTime"]]
    assert all(
        row["arrivalDateTime"] <= row["scanStartDateTime"] < row["scanEndDateTime"] for row in done
    )


def test_most_lean_appointments_lead_to_their_patient_by_comments(
    acme: DomainWorld, rows: list[Record]
) -> None:
    lean = [row for row in rows if acme.lean(row["scheduledSite"])]
    linked = [
        row
        for row in lean
        if any(item["patientId"] == row["patientId"] for item in acme.comments(row))
    ]
    assert len(lean) * 0.75 < len(linked) < len(lean)
    for row in linked:
        assert {item["patientId"] for item in acme.comments(row)} <= {row["patientId"], None}


def test_comments_cover_every_type_and_patient_level_ones_are_shared(
    acme: DomainWorld, rows: list[Record]
) -> None:
    found = [item for row in rows for item in acme.comments(row)]
    assert {item["commentType"] for item in found} == {"AC", "AA", "PC", "PA"}
    for item in found:
        assert item["isAlert"] == (item["commentType"] in ("AA", "PA"))
        assert (item["appointmentId"] == "") == (item["commentType"] in ("PC", "PA"))
    own = [item["guid"] for item in found if item["appointmentId"]]
    assert len(own) == len(set(own))


def test_attachments_are_small_pdfs(acme: DomainWorld, rows: list[Record]) -> None:
    found = [item for row in rows for item in acme.attachments(row)]
    assert {item["category"] for item in found} == {"Referral", "Worksheet", "report"}
    assert any(not item["stored"] for item in found)
    content = attachment_content(found[0])
    assert content == attachment_content(found[0])
    assert content.startswith(b"%PDF-1.4")
    assert content.endswith(b"%%EOF\n")
    start = int(content.rsplit(b"startxref\n", 1)[1].split()[0])
    assert content[start:].startswith(b"xref\n0 6\n")
    for number, line in enumerate(content[start:].splitlines()[3:8], start=1):
        offset = int(line.split()[0])
        assert content[offset:].startswith(b"%d 0 obj" % number)


def test_the_skill_grid_has_holes(acme: DomainWorld) -> None:
    for site in acme.sites.values():
        rows = site.skills["employees"]
        assert {} in rows
        assert any(row and "employeeName" not in row for row in rows)
        assert any(row and "skills" not in row for row in rows)
        assert set(site.skills["examDisplay"]) < set(site.skills["examKeys"])
        assert set(site.skills["examKeys"]) < {code["key"] for code in site.exam_codes.values()}


@given(st.integers(0, 3_000_000), st.integers(0, 2_999_999))
def test_identifiers_go_both_ways(count: int, index: int) -> None:
    ids = AppointmentIds(count)
    if index < count:
        assert ids.index(ids.identifier(index)) == index


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A",
        "A1",
        "123456",
        "a123456",
        "A12345x",
        "A1234567890",
        "A\u0661\u0662\u0663\u0661\u0662\u0663",
    ],
)
def test_foreign_identifiers_lead_nowhere(acme: DomainWorld, text: str) -> None:
    assert acme.appointment(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "219999",
        "220300",
        "0220000",
        "-1",
        "9" * 5000,
        "\u0662\u0662\u0660\u0660\u0660\u0660",
    ],
)
def test_foreign_patients_lead_nowhere(acme: DomainWorld, text: str) -> None:
    assert acme.patient(text) is None


def test_a_wrong_size_is_refused() -> None:
    with pytest.raises(ValueError, match="patients"):
        DomainSpec("x", (SiteSpec("a", "Australia/Perth"),), patients=0, appointments=5)
    with pytest.raises(ValueError, match="sites"):
        DomainSpec("x", (), patients=1, appointments=5)


@pytest.mark.parametrize("count", [0, 1, 7, 9, 43, 44, 45])
def test_tiny_worlds_hold(count: int) -> None:
    domain = World(world_settings(REFERENCE, appointments=count, patients=1)).domains["acme"]
    assert len(domain.page(Selection(), 0, 100)[0]) == count
    assert sum(len(domain.page(Selection(status=s), 0, 100)[0]) for s in STATUSES) == count


def test_a_million_appointments_take_little_room() -> None:
    code = (
        "import datetime as dt, json, pathlib, re\n"
        "from sandbox.qubs.settings import world_settings\n"
        "from sandbox.qubs.world import World\n"
        "from sandbox.qubs.selection import Selection\n"
        "s = world_settings(dt.date(2026, 11, 21), appointments=1_000_000, patients=200_000,\n"
        "                   days_back=700, days_ahead=60)\n"
        "d = World(s).domains['acme']\n"
        "late = d.page(Selection(status='FINALISED'), 500_000, 500)[0]\n"
        "day = d.page(Selection(date=dt.date(2026, 11, 20), site='Central Clinic'), 0, 500)[0]\n"
        "one = [d.appointment(r['appointmentId']) == r for r in late]\n"
        "status = pathlib.Path('/proc/self/status').read_text()\n"
        "rss = int(re.search(r'VmHWM:\\s+(\\d+)', status)[1]) / 1024\n"
        "print(json.dumps([rss, len(late), len(day), all(one),\n"
        "                  sum(len(x) for x in d.columns.by_status)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT, text=True
    )
    megabytes, late, day, same, total = json.loads(done.stdout)
    assert total == 1_000_000
    assert (late, same) == (500, True)
    assert 200 < day < 500
    assert megabytes < 300
