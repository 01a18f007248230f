"""Every fault does what it says, where and as often as it was told to."""

from __future__ import annotations

import email.utils
import time
from typing import Any

import pytest
import requests

from sandbox.qubs.control import ControlError
from tests.support.qubs import CLIENT_ID, CLIENT_SECRET, QubsCaller, Running

LIST = "/appointments/operational/by-status/FINALISED"
OPERATIONAL = "/appointments/operational"


def _ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["appointmentId"] for row in rows]


def test_throttling_with_and_without_retry_after(emulator: Running, caller: QubsCaller) -> None:
    for form in ("7", "date:7", None):
        emulator.control.add_fault("status", status=429, retry_after=form, count=1)
    seconds, date, bare = (caller.api("acme", "/sites") for _ in range(3))
    assert [r.status_code for r in (seconds, date, bare)] == [429, 429, 429]
    assert seconds.headers["Retry-After"] == "7"
    moment = email.utils.parsedate_to_datetime(date.headers["Retry-After"])
    assert 3 < moment.timestamp() - time.time() < 9
    assert "Retry-After" not in bare.headers
    assert bare.json()["requestId"]
    assert caller.api("acme", "/sites").status_code == 200


@pytest.mark.parametrize("status", [500, 503])
def test_server_errors(emulator: Running, caller: QubsCaller, status: int) -> None:
    emulator.control.add_fault("status", status=status)
    response = caller.api("acme", "/sites")
    assert (response.status_code, response.json()["status"]) == (status, status)
    emulator.control.clear_faults()
    assert caller.api("acme", "/sites").status_code == 200


def test_a_gateway_page_is_no_json(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("html_error", status=502, count=1)
    response = caller.api("acme", "/sites")
    assert response.status_code == 502
    assert response.headers["Content-Type"].startswith("text/html")


def test_a_slow_answer_is_still_an_answer(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("slow", delay_ms=300, count=1)
    begun = time.monotonic()
    assert caller.api("acme", "/sites").status_code == 200
    assert time.monotonic() - begun >= 0.3


def test_dropped_before_nothing_is_done(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    path = f"/reporting/appointments/{pending}/comments"
    before = caller.api("acme", path).json()
    emulator.control.add_fault("drop", method="POST", count=1)
    with pytest.raises(requests.ConnectionError):
        caller.api("acme", path, "POST", json={"commentText": "lost"})
    assert caller.api("acme", path).json() == before


def test_dropped_after_the_work_is_done(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    path = f"/reporting/appointments/{pending}/comments"
    headers = {"Idempotency-Key": "after"}
    emulator.control.add_fault("drop_after", method="POST", count=1)
    with pytest.raises(requests.ConnectionError):
        caller.api("acme", path, "POST", json={"commentText": "kept"}, headers=headers)
    again = caller.api("acme", path, "POST", json={"commentText": "kept"}, headers=headers)
    assert again.status_code == 200
    texts = [item.get("commentText") for item in caller.api("acme", path).json()]
    assert texts.count("kept") == 1


def test_dropped_in_mid_body(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("drop_mid_body", path_prefix=f"/integrations/v1/acme{LIST}")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        caller.api("acme", LIST)
    assert caller.api("acme", "/sites").status_code == 200
    calls = emulator.control.calls(recent=2)["recent"]
    assert [call["dropped"] for call in calls] == [True, False]


def test_an_expired_token_in_the_middle(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("expired_token", after=2, count=1)
    statuses = [caller.api("acme", "/sites").status_code for _ in range(4)]
    assert statuses == [200, 200, 401, 200]


def test_a_domain_can_be_refused(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("status", status=403, path_prefix="/integrations/v1/zenith/")
    assert caller.api("zenith", "/sites").status_code == 403
    assert caller.api("acme", "/sites").status_code == 200


def test_the_token_service_fails_in_its_own_words(emulator: Running) -> None:
    emulator.control.add_fault("status", status=503, operation="oauth2_token", count=1)
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
    }
    response = requests.post(f"{emulator.url}/oauth2/token", data=form, timeout=30)
    assert (response.status_code, response.json()["error"]) == (503, "server_error")


def test_short_pages_lose_nothing(emulator: Running, caller: QubsCaller) -> None:
    whole = _ids(caller.all_by_status("acme", "AUTHORISED"))
    emulator.control.add_fault("short_pages", rows=7)
    assert _ids(caller.all_by_status("acme", "AUTHORISED", 100)) == whole
    assert len(caller.api("acme", LIST).json()["items"]) == 7


def test_empty_pages_carry_a_token_and_lose_nothing(emulator: Running, caller: QubsCaller) -> None:
    whole = _ids(caller.all_by_status("acme", "AUTHORISED", 50))
    emulator.control.add_fault("empty_pages", count=3)
    first = caller.api("acme", LIST).json()
    assert (first["items"], bool(first["nextToken"])) == ([], True)
    assert _ids(caller.all_by_status("acme", "AUTHORISED", 50)) == whole


def test_repeated_rows_between_cursor_pages(emulator: Running, caller: QubsCaller) -> None:
    whole = _ids(caller.all_by_status("acme", "AUTHORISED", 50))
    emulator.control.add_fault("repeat_rows", rows=4)
    rows = _ids(caller.all_by_status("acme", "AUTHORISED", 50))
    assert len(rows) == len(whole) + 4 * ((len(whole) - 1) // 50)
    assert list(dict.fromkeys(rows)) == whole


def _by_offset(caller: QubsCaller, take: int) -> list[str]:
    rows: list[str] = []
    for skip in range(0, 10_001, take):
        page = caller.api("acme", OPERATIONAL, params={"skip": skip, "take": take}).json()
        rows += _ids(page)
        if len(page) < take:
            return rows
    raise AssertionError("the list has no end")


def test_repeated_rows_between_offset_pages_lose_nothing(
    emulator: Running, caller: QubsCaller
) -> None:
    whole = _by_offset(caller, 500)
    emulator.control.add_fault("repeat_rows", rows=3)
    rows = _by_offset(caller, 400)
    assert len(rows) > len(whole)
    assert set(rows) == set(whole)


def test_an_unstable_offset_list_repeats_and_loses(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("unstable_order", rows=37)
    rows = _by_offset(caller, 100)
    assert len(set(rows)) < len(rows)


def test_shuffled_rows_are_the_same_rows(emulator: Running, caller: QubsCaller) -> None:
    straight = caller.api("acme", LIST).json()["items"]
    emulator.control.add_fault("shuffle_rows")
    first, second = (caller.api("acme", LIST).json()["items"] for _ in range(2))
    assert _ids(first) != _ids(second)
    assert sorted(_ids(first)) == sorted(_ids(second)) == sorted(_ids(straight))


@pytest.mark.parametrize(("form", "value"), [("missing", "gone"), ("null", None), ("empty", "")])
def test_absent_values_in_one_form(
    emulator: Running, caller: QubsCaller, form: str, value: str | None
) -> None:
    plain = caller.api("acme", OPERATIONAL, params={"take": 500}).json()
    emulator.control.add_fault("absent", form=form)
    rows = caller.api("acme", OPERATIONAL, params={"take": 500}).json()
    assert {row.get("startTime", "gone") for row in rows if not row.get("startTime")} == {value}
    assert {row.get("room", "gone") for row in rows if not row.get("room")} == {value}
    assert [row["status"] for row in rows] == [row["status"] for row in plain]


def test_unknown_statuses_and_sites(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.add_fault("unknown_status", every=10)
    emulator.control.add_fault("unknown_site", every=20)
    rows = caller.api("acme", OPERATIONAL).json()
    assert sum(row["status"] == "AWAITING TRANSPORT" for row in rows) == 10
    assert sum(row["scheduledSite"] == "Closed Annex" for row in rows) == 5


def test_malformed_rows_stand_among_good_ones(emulator: Running, caller: QubsCaller) -> None:
    good = caller.api("acme", LIST).json()["items"]
    emulator.control.add_fault("malformed", every=10)
    bad = caller.api("acme", LIST).json()["items"]
    assert len(bad) == 100
    assert sum(one != other for one, other in zip(good, bad, strict=True)) == 10
    assert "not an object" in bad
    assert None in bad
    assert any(isinstance(row, dict) and "appointmentId" not in row for row in bad)


def test_probability_is_seeded(emulator: Running, caller: QubsCaller) -> None:
    def statuses() -> list[int]:
        emulator.control.clear_faults()
        emulator.control.add_fault("status", status=500, probability=0.3, seed=5)
        return [caller.api("acme", "/sites").status_code for _ in range(40)]

    first = statuses()
    assert first == statuses()
    assert 2 < first.count(500) < 30


def test_a_fault_counts_and_can_be_taken_back(emulator: Running, caller: QubsCaller) -> None:
    fault = emulator.control.add_fault("slow", delay_ms=0, operation="integrations_listsites")
    caller.api("acme", "/sites")
    caller.api("acme", LIST)
    (listed,) = emulator.control.faults()
    assert (listed["id"], listed["hits"], listed["fired"]) == (fault, 1, 1)
    emulator.control.remove_fault(fault)
    assert emulator.control.faults() == []
    with pytest.raises(ControlError):
        emulator.control.remove_fault(fault)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "thunder"},
        {"kind": "status", "status": "500"},
        {"kind": "status", "status": 7},
        {"kind": "slow", "delay_ms": -1},
        {"kind": "slow", "wait": 5},
        {"kind": "absent", "form": "blank"},
        {"kind": "drop", "probability": 2},
        {"kind": "malformed", "every": 0},
        {"kind": "slow", "count": True},
    ],
)
def test_a_wrong_fault_is_refused(emulator: Running, wrong: dict[str, Any]) -> None:
    kind = wrong.pop("kind")
    with pytest.raises(ControlError, match="400"):
        emulator.control.add_fault(kind, **wrong)
    assert emulator.control.faults() == []


def test_calls_are_counted_per_operation(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.clear_calls()
    for _ in range(3):
        caller.api("acme", "/sites", headers={"X-Correlation-Id": "c-1"})
    caller.api("acme", "/patients/0")
    calls = emulator.control.calls(recent=1)
    assert calls["total"] == 4
    assert calls["operations"]["integrations_listsites"] == 3
    assert calls["statuses"] == {"200": 3, "404": 1}
    assert calls["recent"][0]["operation"] == "integrations_getpatient_summary"
