"""Groups at the console: who is in them and from when until when."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade import clock
from fhir_facade.mirror import versions
from fhir_facade.mirror.groups import GroupMember
from tests.support.console import Browser, House, backend_token


def members(house: House, group_id: str) -> list[str]:
    with house.facade.database.read() as conn:
        revision = versions.current_revision(conn, "acme")[0]
        return list(house.facade.groups.members(conn, "acme", group_id, revision))


def make(browser: Browser, **fields: Any) -> Any:
    browser.open("/groups/new")
    return browser.send("/groups/new", **{"name": "Trial A", **fields})


def add(browser: Browser, *patients: str, **period: str) -> Any:
    path = "/groups/trial-a/members"
    browser.open(path)
    browser.send(path, action="search", q="")
    return browser.send(path, action="add", patient=list(patients), **period)


def group_acts(house: House) -> list[tuple[str | None, str | None, str]]:
    rows = [row for row in house.acts() if row.type == "Group"]
    return [(row.reason, row.resource_id, row.patients) for row in reversed(rows)]


def test_made_of_a_name_and_filled(house: House, chief: Browser) -> None:
    assert make(chief).title == "Members of Trial A"
    page = add(chief, "p1", "p3")
    assert page.said == ["The list is in force."]
    assert members(house, "trial-a") == ["p1", "p3"]
    assert group_acts(house) == [
        ("group changed", "trial-a", ""),
        ("group members changed", "trial-a", "p1"),
        ("group members changed", "trial-a", "p3"),
    ]
    text = chief.open("/groups").text
    assert "/groups/trial-a/members" in text
    assert ">2</a>" in text


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"rule": "tenant"}, ["p1", "p2", "p3", "p4"]), ({"rule": "site", "site": "l1"}, [])],
)
def test_by_rule(house: House, chief: Browser, fields: dict[str, str], expected: list[str]) -> None:
    make(chief, **fields)
    assert members(house, "trial-a") == expected
    page = chief.open("/groups/trial-a/members")
    assert f"{len(expected)} now, found by the rule" in page.text
    assert ("Adams" in page.text) == bool(expected)


@pytest.mark.parametrize(
    ("fields", "status", "problem"),
    [
        ({"name": ""}, 422, "Write a name"),
        ({"name": "***"}, 422, "Write an id"),
        ({"group_id": "a b"}, 422, "Use letters, digits"),
        ({"rule": "all"}, 422, "Say who is in the group"),
        ({"rule": "site"}, 422, "Choose the site"),
        ({"rule": "site", "site": "elsewhere"}, 422, "Choose the site"),
        ({"group_id": "taken"}, 409, "There is a group of this id"),
    ],
)
def test_what_cannot_be_is_refused(
    house: House, chief: Browser, fields: dict[str, str], status: int, problem: str
) -> None:
    make(chief, group_id="taken", rule="tenant")
    page = make(chief, **fields)
    assert page.status == status
    assert problem in page.text
    assert [group.group_id for group in house.facade.groups.list("acme")] == ["taken"]


def test_a_change_takes_effect_at_once(house: House, chief: Browser) -> None:
    make(chief)
    add(chief, "p1")
    chief.open("/groups/trial-a")
    chief.send("/groups/trial-a", name="Trial B", rule="tenant")
    assert len(members(house, "trial-a")) == 4
    chief.send("/groups/trial-a", active=None)
    assert members(house, "trial-a") == []
    chief.send("/groups/trial-a", active="yes", rule="listed")
    assert members(house, "trial-a") == ["p1"]


def test_a_period_in_days_of_the_tenant(house: House, chief: Browser) -> None:
    make(chief)
    add(chief, "p1", start="2026-01-01", end="2026-01-31")
    add(chief, "p2", start="2999-01-01")
    add(chief, "p3", end="2999-01-01T12:00")
    assert members(house, "trial-a") == ["p3"]
    listed = {one.patient_id: one for one in house.facade.groups.listed("acme", "trial-a")}
    first = listed["p1"]
    assert (first.start_us, first.end_us) == (1767186000_000_000, 1769864400_000_000)
    text = chief.page.text
    assert 'name="start/p1" type="text"' in text
    assert 'value="2026-01-31"' in text
    assert text.index("left<") < text.index("comes later<") < text.index("in the group<")


def test_periods_are_changed_and_patients_taken(house: House, chief: Browser) -> None:
    make(chief)
    add(chief, "p1", "p2", "p3", "p4")
    path = "/groups/trial-a/members"
    rows = ["p1", "p2", "p3", "p4"]
    changes = {"end/p1": "2026-01-31", "inactive/p2": "yes"}
    page = chief.send(path, row=rows, take="p4", **changes)
    assert page.said == ["The list is in force."]
    assert members(house, "trial-a") == ["p3"]
    listed = house.facade.groups.listed("acme", "trial-a")
    assert [one.patient_id for one in listed] == ["p1", "p2", "p3"]
    assert [row[2] for row in group_acts(house)][-3:] == ["p1", "p2", "p4"]
    version = house.facade.groups.get("acme", "trial-a")
    chief.send(path, row=["p1", "p2", "p3"])
    assert house.facade.groups.get("acme", "trial-a") == version


def test_a_wrong_period_changes_nothing_and_says_where(house: House, chief: Browser) -> None:
    make(chief)
    add(chief, "p1", "p2")
    path = "/groups/trial-a/members"
    wrong = {"start/p1": "soon", "start/p2": "2026-02-01", "end/p2": "2026-01-01"}
    page = chief.send(path, row=["p1", "p2"], **wrong)
    assert page.status == 422
    assert 'id="start/p1-error">Write a day' in page.text
    assert 'id="end/p2-error">The end must be after' in page.text
    assert 'value="soon"' in page.text
    assert members(house, "trial-a") == ["p1", "p2"]
    page = add(chief, "p3", end="2026-13-01")
    assert page.status == 422
    page = add(chief)
    assert (page.status, page.said) == (422, ["Tick at least one patient to add."])


def test_an_export_follows_the_end_of_a_period(
    house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(chief)
    chief.open("/apps/backend")
    chief.send("/apps/backend", group=["trial-a"])
    end = clock.now_us() + 3_600_000_000
    house.facade.groups.change_members("acme", "trial-a", put=[GroupMember("p1", end_us=end)])
    house.facade.groups.refresh_due("acme")
    token = backend_token(house)["access_token"]
    assert house.fhir("Patient/p1", token).status_code == 200
    monkeypatch.setattr(house.facade.groups, "_now_us", lambda: end)
    house.facade.groups.refresh_due("acme")
    assert house.fhir("Patient/p1", token).status_code == 404
    group = house.fhir("Group/trial-a", token).get_json()
    assert group["quantity"] == 0
    assert group["member"][0]["inactive"] is True


def test_removed_when_no_app_may_export_it(house: House, chief: Browser) -> None:
    make(chief)
    chief.open("/apps/backend")
    chief.send("/apps/backend", group=["trial-a"])
    page = chief.open("/groups/trial-a/remove")
    assert "Take it from them first" in page.text
    assert not [form for form in page.forms() if form["action"].endswith("/remove")]
    assert "Exporter" in chief.open("/groups/trial-a").text
    chief.open("/apps/backend")
    chief.send("/apps/backend", group=None)
    chief.open("/groups/trial-a/remove")
    page = chief.send("/groups/trial-a/remove")
    assert page.said == ["The group was removed."]
    assert house.facade.groups.list("acme") == []
    assert group_acts(house)[-1] == ("group removed", "trial-a", "")


@pytest.mark.parametrize("page", ["", "/members", "/remove"])
def test_a_stale_form_changes_nothing(house: House, chief: Browser, page: str) -> None:
    make(chief)
    add(chief, "p1")
    other, path = house.browser("deputy"), f"/groups/trial-a{page}"
    other.open(path)
    add(chief, "p2")
    before = house.facade.groups.get("acme", "trial-a")
    fields = {"row": ["p1"], "inactive/p1": "yes"} if page == "/members" else {}
    answer = other.send(path, **fields)
    assert answer.status == 409
    assert "changed meanwhile" in answer.text
    assert house.facade.groups.get("acme", "trial-a") == before
