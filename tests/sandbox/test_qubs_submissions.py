"""Comments, upload links and reports: what they change, and idempotency."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from sandbox.qubs.clock import Clock
from sandbox.qubs.idempotency import IdempotencyStore
from sandbox.qubs.problems import Problem
from tests.support.qubs import QubsCaller, Running

REPORT = {"reportText": "Line one\r\n\tNaïve ✓\n", "reportStatus": "Final"}


def _post(
    caller: QubsCaller, appointment: str, tail: str, body: object, key: str | None = None
) -> requests.Response:
    headers = {"Idempotency-Key": key} if key else {}
    path = f"/reporting/appointments/{appointment}/{tail}"
    return caller.api("acme", path, "POST", json=body, headers=headers)


def test_a_report_is_kept_unchanged_and_overwritten(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    first = _post(caller, pending, "report", REPORT | {"reportStatus": "PRELIMINARY"}).json()
    assert first["reportStatus"] == "preliminary"
    sent = REPORT | {"reportedAtUtc": "2026-11-20T10:00:00+11:00"}
    second = _post(caller, pending, "report", sent).json()
    assert second["reportGuid"] != first["reportGuid"]
    assert second["reportedAtUtc"] == "2026-11-19T23:00:00Z"
    kept = emulator.control.report("acme", pending)
    assert kept is not None
    assert kept["reportText"] == REPORT["reportText"]
    assert kept["reportStatus"] == "final"
    assert emulator.control.report("zenith", pending) is None


def test_a_final_report_moves_the_appointment_only_by_the_switch(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    key = uuid.uuid4().hex
    path = f"/reporting/appointments/{pending}"
    assert _post(caller, pending, "report", REPORT).status_code == 200
    assert caller.api("acme", path).status_code == 200
    emulator.control.change_settings(status_after_final="FINALISED")
    done = _post(caller, pending, "report", REPORT, key)
    for tail in ("", "/comments", "/attachments"):
        assert caller.api("acme", path + tail).status_code == 404
    assert caller.api("acme", f"/appointments/{pending}/comments").status_code == 200
    row = caller.api("acme", f"/appointments/operational/{pending}").json()
    assert row["status"] == "FINALISED"
    assert _post(caller, pending, "report", REPORT).status_code == 404
    replay = _post(caller, pending, "report", REPORT, key)
    assert (replay.status_code, replay.content) == (200, done.content)


def test_the_limit_of_the_text_counts_bytes(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    body = REPORT | {"reportText": "é" * 1_048_576}
    assert _post(caller, pending, "report", body).status_code == 200
    body = REPORT | {"reportText": "é" * 1_048_576 + "x"}
    assert _post(caller, pending, "report", body).status_code == 400


def test_comments_get_their_default_types_and_places(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    plain = _post(caller, pending, "comments", {"commentText": "a"}).json()
    alert = _post(caller, pending, "comments", {"commentText": "b", "isAlert": True}).json()
    shared = _post(caller, pending, "comments", {"commentText": "c", "commentType": "PA"}).json()
    assert (plain["commentType"], plain["isAlert"]) == ("AC", False)
    assert alert["commentType"] == "AA"
    assert (shared["appointmentId"], shared["isAlert"]) == ("", True)
    listed = caller.api("acme", f"/appointments/{pending}/comments").json()
    assert {plain["guid"], alert["guid"], shared["guid"]} <= {item["guid"] for item in listed}
    one = f"/reporting/appointments/{pending}/comments/{alert['guid'].upper()}"
    assert caller.api("acme", one).json()["commentText"] == "b"
    other = emulator.control.add(
        "appointment",
        "acme",
        "OTHER",
        scheduledSite="Central Clinic",
        status="ARRIVED",
        patientId=shared["patientId"],
    )
    seen = caller.api("acme", f"/appointments/{other}/comments").json()
    assert shared["guid"] in {item["guid"] for item in seen}
    assert plain["guid"] not in {item["guid"] for item in seen}


def test_a_key_replays_and_without_one_it_doubles(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    body, key = {"commentText": "once"}, uuid.uuid4().hex
    first = _post(caller, pending, "comments", body, key)
    assert _post(caller, pending, "comments", body, key).content == first.content
    reordered = {"isAlert": None, "commentText": "once"}
    assert _post(caller, pending, "comments", reordered, key).status_code == 409
    assert _post(caller, pending, "comments", body).json()["guid"] != first.json()["guid"]
    listed = caller.api("acme", f"/appointments/{pending}/comments").json()
    assert sum(item.get("commentText") == "once" for item in listed) == 2


def test_a_key_belongs_to_client_and_path(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    key = uuid.uuid4().hex
    first = _post(caller, pending, "comments", {"commentText": "x"}, key).json()
    with QubsCaller(emulator.url, "sandbox-acme") as other:
        assert _post(other, pending, "comments", {"commentText": "y"}, key).status_code == 200
    assert _post(caller, pending, "report", REPORT, key).status_code == 200
    again = _post(caller, pending, "comments", {"commentText": "x"}, key).json()
    assert again == first


@pytest.mark.parametrize(
    ("tail", "body", "other", "hold_s"),
    [
        ("comments", {"commentText": "x"}, {"commentText": "y"}, 24 * 3600),
        ("report", REPORT, REPORT | {"reportText": "z"}, 24 * 3600),
        ("report/attachments", {"items": [{"fileName": "a"}]}, {"items": [{"fileName": "b"}]}, 900),
    ],
)
def test_a_key_is_kept_for_its_time(
    emulator: Running,
    caller: QubsCaller,
    pending: str,
    tail: str,
    body: dict[str, object],
    other: dict[str, object],
    hold_s: int,
) -> None:
    emulator.control.change_settings(token_ttl_s=100 * 3600)
    with QubsCaller(emulator.url) as lasting:
        caller.headers.update(lasting.headers)
    key = uuid.uuid4().hex
    first = _post(caller, pending, tail, body, key)
    emulator.control.advance_clock(hold_s - 5)
    assert _post(caller, pending, tail, body, key).content == first.content
    assert _post(caller, pending, tail, other, key).status_code == 409
    emulator.control.advance_clock(6)
    assert _post(caller, pending, tail, other, key).status_code == 200


def test_a_failed_call_frees_its_key(emulator: Running, caller: QubsCaller, pending: str) -> None:
    key = uuid.uuid4().hex
    assert _post(caller, pending, "comments", {"commentText": " "}, key).status_code == 400
    assert _post(caller, pending, "comments", {"commentText": "x"}, key).status_code == 200


def test_calls_at_once_with_one_key_do_the_work_once(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    key, body = uuid.uuid4().hex, {"commentText": "parallel"}

    def send(_number: int) -> bytes:
        with QubsCaller(emulator.url) as own:
            return _post(own, pending, "comments", body, key).content

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(send, range(8)))
    assert len(answers) == 1
    listed = caller.api("acme", f"/appointments/{pending}/comments").json()
    assert sum(item.get("commentText") == "parallel" for item in listed) == 1


@pytest.fixture
def store() -> IdempotencyStore:
    return IdempotencyStore(Clock())


def test_a_second_call_waits_for_the_first(store: IdempotencyStore) -> None:
    scope = ("client", "acme", "/x", "key")
    running, release = threading.Event(), threading.Event()

    def slow() -> dict[str, int]:
        running.set()
        assert release.wait(10)
        return {"n": 1}

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.run, scope, {"a": 1}, 60, slow)
        assert running.wait(10)
        with pytest.raises(Problem):
            store.run(scope, {"a": True}, 60, lambda: {"n": 2})
        second = pool.submit(store.run, scope, {"a": 1}, 60, lambda: {"n": 2})
        assert not second.done()
        release.set()
        assert first.result(10) == second.result(10) == {"n": 1}


def test_when_the_first_fails_the_waiting_call_does_the_work(store: IdempotencyStore) -> None:
    scope = ("client", "acme", "/x", "key")
    running, release = threading.Event(), threading.Event()

    def failing() -> dict[str, int]:
        running.set()
        assert release.wait(10)
        raise Problem(400, "no")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.run, scope, {}, 60, failing)
        assert running.wait(10)
        second = pool.submit(store.run, scope, {}, 60, lambda: {"n": 2})
        release.set()
        assert second.result(10) == {"n": 2}
        with pytest.raises(Problem):
            first.result(10)
