"""Both paging styles: every row once, tokens bound and mortal, order without meaning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.qubs import QubsCaller, Running

LIST = "/appointments/operational/by-status/FINALISED"


def _ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["appointmentId"] for row in rows]


@pytest.mark.parametrize("size", [1, 77, 500])
def test_cursor_pages_give_every_row_once(emulator: Running, caller: QubsCaller, size: int) -> None:
    status = "DICTATED" if size == 1 else "FINALISED"
    rows = _ids(caller.all_by_status("acme", status, size))
    assert len(rows) == len(set(rows))
    assert set(rows) == set(_ids(caller.all_by_status("acme", status, 333)))


def test_statuses_together_are_the_whole_list(emulator: Running, caller: QubsCaller) -> None:
    listed: list[str] = []
    for skip in range(0, 2500, 500):
        parameters = {"skip": skip, "take": 500}
        listed += _ids(caller.api("acme", "/appointments/operational", params=parameters).json())
    assert len(listed) == len(set(listed)) == 2000
    finalised = set(_ids(caller.all_by_status("acme", "FINALISED")))
    assert finalised < set(listed)


def test_order_is_steady_and_not_chronological(emulator: Running, caller: QubsCaller) -> None:
    first = caller.api("acme", LIST, params={"pageSize": 200}).json()["items"]
    again = caller.api("acme", LIST, params={"pageSize": 200}).json()["items"]
    assert first == again
    dates = [row["appointmentDate"] for row in first if row.get("appointmentDate")]
    assert dates != sorted(dates)
    assert dates != sorted(dates, reverse=True)
    assert _ids(first) != sorted(_ids(first))


def test_the_default_page_has_100_rows(emulator: Running, caller: QubsCaller) -> None:
    assert len(caller.api("acme", LIST).json()["items"]) == 100
    assert len(caller.api("acme", "/appointments/operational").json()) == 100


def test_date_and_site_filters_narrow_the_list(emulator: Running, caller: QubsCaller) -> None:
    wanted = {"appointmentDate": "2026-11-20", "scheduledSite": "Northside Imaging", "take": 500}
    rows = caller.api("acme", "/appointments/operational", params=wanted).json()
    assert rows
    assert {row["appointmentDate"] for row in rows} == {"2026-11-20"}
    assert {row["scheduledSite"] for row in rows} == {"Northside Imaging"}
    assert not any("patientId" in row for row in rows)
    for other in ({"scheduledSite": "nowhere"}, {"appointmentDate": "1990-01-01"}):
        assert caller.api("acme", "/appointments/operational", params=other).json() == []


def test_a_token_works_only_where_it_was_made(emulator: Running, caller: QubsCaller) -> None:
    token = caller.api("acme", LIST).json()["nextToken"]
    assert caller.api("acme", LIST, params={"nextToken": token}).status_code == 200
    for domain, path in (
        ("zenith", LIST),
        ("acme", LIST.replace("FINALISED", "AUTHORISED")),
        ("acme", LIST.replace("operational", "referrer")),
        ("acme", "/reporting/appointments/pending"),
    ):
        assert caller.api(domain, path, params={"nextToken": token}).status_code == 400
    with QubsCaller(emulator.url, "sandbox-acme") as other:
        assert other.api("acme", LIST, params={"nextToken": token}).status_code == 400


@pytest.mark.parametrize("token", ["x", "DDB_NEXT_TOKEN", "MC4xLmFiLmNk", "\u00e9", "===="])
def test_a_foreign_token_is_refused(emulator: Running, caller: QubsCaller, token: str) -> None:
    assert caller.api("acme", LIST, params={"nextToken": token}).status_code == 400


def test_a_torn_token_is_refused(emulator: Running, caller: QubsCaller) -> None:
    token = caller.api("acme", LIST).json()["nextToken"]
    for torn in (token[:-2], token[1:], token[:8] + "A" + token[9:] + "AAAA"):
        assert caller.api("acme", LIST, params={"nextToken": torn}).status_code == 400


def test_a_token_expires(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.change_settings(cursor_ttl_s=60)
    token = caller.api("acme", LIST).json()["nextToken"]
    emulator.control.advance_clock(62)
    assert caller.api("acme", LIST, params={"nextToken": token}).status_code == 400


@pytest.mark.parametrize(
    ("form", "tail"),
    [("missing", {}), ("null", {"nextToken": None}), ("empty", {"nextToken": ""})],
)
def test_the_last_page_says_so_in_each_form(
    emulator: Running, caller: QubsCaller, form: str, tail: dict[str, Any]
) -> None:
    emulator.control.change_settings(last_page=form)
    page = caller.api("acme", "/appointments/operational/by-status/ARRIVED").json()
    assert {name: value for name, value in page.items() if name != "items"} == tail


def test_the_last_pages_vary_by_default(emulator: Running, caller: QubsCaller) -> None:
    tails = set()
    for status in ("ARRIVED", "TYPED", "DICTATED", "PEER REVIEW", "AUTHORISING", "SECOND OPINION"):
        page = caller.api("acme", f"/appointments/operational/by-status/{status}").json()
        tails.add(str(page.get("nextToken", "missing")))
    assert tails == {"missing", "None", ""}


def test_offset_paging_has_a_far_end(emulator: Running, caller: QubsCaller) -> None:
    far = {"skip": 10_000, "take": 500}
    assert caller.api("acme", "/appointments/operational", params=far).json() == []


def test_edits_between_pages_lose_no_row_that_stayed(emulator: Running, caller: QubsCaller) -> None:
    before = set(_ids(caller.all_by_status("acme", "FINALISED")))
    page = caller.api("acme", LIST, params={"pageSize": 50}).json()
    rows = page["items"]
    moved, gone = sorted(before - set(_ids(rows)))[:2]
    emulator.control.change("appointment", "acme", moved, status="PEER REVIEW")
    emulator.control.remove("appointment", "acme", gone)
    emulator.control.add(
        "appointment", "acme", "NEW1", scheduledSite="Central Clinic", status="FINALISED"
    )
    while page.get("nextToken"):
        parameters = {"pageSize": 50, "nextToken": page["nextToken"]}
        page = caller.api("acme", LIST, params=parameters).json()
        rows += page["items"]
    assert len(rows) == len(set(_ids(rows)))
    assert set(_ids(rows)) == before - {moved, gone} | {"NEW1"}
    assert moved in _ids(caller.all_by_status("acme", "PEER REVIEW"))


def test_referrer_lists_hold_only_the_granted_provider_numbers(emulator: Running) -> None:
    with QubsCaller(emulator.url, "sandbox-referrer") as referrer:
        rows = referrer.api("acme", "/appointments/referrer", params={"take": 500}).json()
        assert 50 < len(rows) < 500
        for row in rows[:20]:
            record = emulator.control.record("acme", row["appointmentId"])
            assert record is not None
            assert record["providerNumber"] == "2147781A"
        page = referrer.api("acme", LIST.replace("operational", "referrer")).json()
        ids = {row["appointmentId"] for row in rows}
        assert {row["appointmentId"] for row in page["items"]} <= ids


def test_a_caller_with_some_sites_sees_only_those(emulator: Running) -> None:
    with QubsCaller(emulator.url, "sandbox-site") as narrow:
        sites = narrow.api("acme", "/sites").json()
        assert [site["siteName"] for site in sites] == ["Central Clinic"]
        assert narrow.api("acme", "/sites/Northside%20Imaging/settings").status_code == 403
        assert narrow.api("acme", "/sites/Nowhere/settings").status_code == 404
        assert {row["scheduledSite"] for row in narrow.all_by_status("acme", "FINALISED")} == {
            "Central Clinic"
        }
    with QubsCaller(emulator.url) as everyone, QubsCaller(emulator.url, "sandbox-site") as narrow:
        rows = everyone.all_by_status("acme", "FINALISED")
        other = next(row for row in rows if row["scheduledSite"] != "Central Clinic")
        path = f"/appointments/operational/{other['appointmentId']}"
        assert narrow.api("acme", path).status_code == 403
