"""Edit scripts: add, change and remove every kind of record, all of a script or none."""

from __future__ import annotations

from typing import Any

import pytest

from sandbox.qubs.control import ControlError
from tests.support.qubs import QubsCaller, Running

EDIT: dict[str, Any] = {"op": "change", "kind": "appointment", "domain": "acme"}


def _operational(caller: QubsCaller, appointment: str) -> dict[str, Any]:
    row: dict[str, Any] = caller.api("acme", f"/appointments/operational/{appointment}").json()
    return row


def test_a_changed_appointment_moves_between_lists(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    emulator.control.change(
        "appointment",
        "acme",
        pending,
        status="TYPED",
        appointmentDate="2026-12-24",
        scheduledSite="Central Clinic",
        room=None,
    )
    row = _operational(caller, pending)
    assert (row["status"], row["appointmentDate"]) == ("TYPED", "2026-12-24")
    assert not row.get("room")
    for status, there in (("TYPED", True), ("PENDING REPORTING", False)):
        listed = [each["appointmentId"] for each in caller.all_by_status("acme", status)]
        assert listed.count(pending) == there
    day = {"appointmentDate": "2026-12-24", "scheduledSite": "Central Clinic"}
    listed = caller.api("acme", "/appointments/operational", params=day).json()
    assert [each["appointmentId"] for each in listed] == [pending]
    assert caller.api("acme", f"/reporting/appointments/{pending}").status_code == 404
    assert caller.api("zenith", f"/appointments/operational/{pending}").status_code in (200, 404)


def test_an_added_appointment_is_found_everywhere_and_can_go_again(
    emulator: Running, caller: QubsCaller
) -> None:
    emulator.control.add(
        "appointment",
        "acme",
        "NEW1",
        scheduledSite="Central Clinic",
        status="PENDING REPORTING",
        appointmentDate="2026-11-22",
        startTime="09:00:00",
        patientId="220001",
    )
    assert _operational(caller, "NEW1")["patientId"] == "220001"
    item = caller.api("acme", "/reporting/appointments/NEW1").json()
    assert item["patientName"] == caller.api("acme", "/patients/220001").json()["patientName"]
    assert caller.api("acme", "/appointments/NEW1/attachments").json() == []
    emulator.control.remove("appointment", "acme", "NEW1")
    assert caller.api("acme", "/appointments/operational/NEW1").status_code == 404


def test_a_removed_appointment_is_gone_from_every_path(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    emulator.control.remove("appointment", "acme", pending)
    for path in (
        f"/appointments/operational/{pending}",
        f"/appointments/{pending}/comments",
        f"/appointments/{pending}/attachments",
        f"/appointments/{pending}/billing",
        f"/reporting/appointments/{pending}",
    ):
        assert caller.api("acme", path).status_code == 404
    listed = caller.all_by_status("acme", "PENDING REPORTING")
    assert pending not in [row["appointmentId"] for row in listed]
    emulator.control.add(
        "appointment", "acme", pending, scheduledSite="Central Clinic", status="ARRIVED"
    )
    assert _operational(caller, pending)["status"] == "ARRIVED"


def test_patients_change_appear_and_go(emulator: Running, caller: QubsCaller) -> None:
    emulator.control.change("patient", "acme", "220005", lastName="Changed", dateOfBirth=None)
    changed = caller.api("acme", "/patients/220005").json()
    assert changed["lastName"] == "Changed"
    assert not changed.get("dateOfBirth")
    assert caller.api("zenith", "/patients/220005").json()["lastName"] != "Changed"
    emulator.control.add("patient", "acme", "990001", patientName="New Person")
    assert caller.api("acme", "/patients/990001").json()["patientName"] == "New Person"
    emulator.control.remove("patient", "acme", "220005")
    assert caller.api("acme", "/patients/220005").status_code == 404
    emulator.control.change_settings(patient_list=True)
    listed = caller.api("acme", "/patients", params={"take": 500}).json()
    ids = [row["patientId"] for row in listed]
    assert len(ids) == len(set(ids)) == 300
    assert "220005" not in ids
    assert ids[-1] == "990001"


def test_comments_change_appear_and_go(emulator: Running, caller: QubsCaller, pending: str) -> None:
    path = f"/appointments/{pending}/comments"
    before = caller.api("acme", path).json()
    control = emulator.control
    guid = control.add("comment", "acme", None, appointmentId=pending, commentText="hello")
    shared = control.add(
        "comment",
        "acme",
        None,
        commentType="PC",
        commentText="all",
        patientId=(control.record("acme", pending) or {})["patientId"],
    )
    listed = {item["guid"]: item for item in caller.api("acme", path).json()}
    assert listed[guid]["commentText"] == "hello"
    assert listed[shared]["appointmentId"] == ""
    control.change("comment", "acme", guid, appointmentId=pending, commentText="bye")
    assert caller.api("acme", f"{path}/{guid}").json()["commentText"] == "bye"
    control.remove("comment", "acme", guid, appointmentId=pending)
    control.remove("comment", "acme", shared, appointmentId=pending)
    assert caller.api("acme", path).json() == before


def test_attachments_change_appear_and_go(
    emulator: Running, caller: QubsCaller, pending: str
) -> None:
    path = f"/appointments/{pending}/attachments"
    control = emulator.control
    guid = control.add("attachment", "acme", None, appointmentId=pending, fileName="n.pdf")
    assert guid in [item["guid"] for item in caller.api("acme", path).json()]
    control.change("attachment", "acme", guid, appointmentId=pending, category="Worksheet")
    assert caller.api("acme", f"{path}/{guid}").json()["category"] == "Worksheet"
    control.remove("attachment", "acme", guid, appointmentId=pending)
    assert caller.api("acme", f"{path}/{guid}").status_code == 404


def test_exam_codes_and_sites_change_appear_and_go(emulator: Running, caller: QubsCaller) -> None:
    control = emulator.control
    path = "/sites/Central%20Clinic/exam-codes"
    code = caller.api("acme", path).json()[0]["examCodeId"]
    control.change("exam-code", "acme", code, site="Central Clinic", description="Renamed")
    assert caller.api("acme", path).json()[0]["description"] == "Renamed"
    control.remove("exam-code", "acme", code, site="Central Clinic")
    assert code not in [item["examCodeId"] for item in caller.api("acme", path).json()]
    control.add(
        "exam-code", "acme", "EC900", site="Central Clinic", key="NEW", description="New exam"
    )
    assert caller.api("acme", path).json()[-1]["key"] == "NEW"
    control.add("site", "acme", "Island Rooms", timeZone="AUS Eastern Standard Time")
    settings = caller.api("acme", "/sites/Island%20Rooms").json()
    assert settings["timeZone"] == "AUS Eastern Standard Time"
    assert caller.api("acme", "/sites/Island%20Rooms/exam-codes").json() == []
    control.change("site", "acme", "Northside Imaging", timeZone=None, patientIds=True)
    assert "timeZone" not in caller.api("acme", "/sites/Northside%20Imaging/settings").json()
    rows = caller.all_by_status("acme", "FINALISED", 500)
    north = [row for row in rows if row["scheduledSite"] == "Northside Imaging"]
    assert sum("patientId" in row for row in north) > len(north) // 2
    control.remove("site", "acme", "Island Rooms")
    assert caller.api("acme", "/sites/Island%20Rooms/settings").status_code == 404


def test_raw_members_pass_as_they_are(emulator: Running, caller: QubsCaller, pending: str) -> None:
    raw = {"status": None, "startTime": 900, "scheduledSite": {"odd": []}, "newMember": ""}
    emulator.control.change("appointment", "acme", pending, raw=raw)
    assert raw.items() <= _operational(caller, pending).items()
    emulator.control.change("appointment", "acme", pending, raw={}, scheduledSite={"odd": 1})
    with QubsCaller(emulator.url, "sandbox-site") as narrow:
        assert narrow.api("acme", f"/appointments/operational/{pending}").status_code == 403
        assert narrow.api("acme", "/appointments/operational").status_code == 200
    assert _operational(caller, pending)["scheduledSite"] == {"odd": 1}


@pytest.mark.parametrize(
    "wrong",
    [
        EDIT | {"id": "GHOST", "set": {"status": "TYPED"}},
        EDIT | {"id": "GHOST", "op": "remove"},
        EDIT | {"id": "NEW1", "op": "add", "set": {"status": "TYPED"}},
        EDIT | {"id": "A123456", "domain": "nowhere"},
        EDIT | {"id": "A123456", "op": "add", "set": {"status": "x", "scheduledSite": "y"}},
        EDIT | {"id": 5},
        EDIT | {"id": ""},
        EDIT | {"id": "A123456", "op": "destroy"},
        EDIT | {"id": "A123456", "kind": "ship"},
        EDIT | {"id": "A123456", "set": ["x"]},
        EDIT | {"id": "A123456", "extra": 1},
        {"op": "add", "kind": "comment", "domain": "acme", "id": None, "set": {}},
        {"op": "add", "kind": "exam-code", "domain": "acme", "id": "E", "set": {"site": "x"}},
        "not an edit",
    ],
)
def test_a_script_with_a_wrong_edit_changes_nothing(
    emulator: Running, caller: QubsCaller, pending: str, wrong: Any
) -> None:
    before = _operational(caller, pending)
    script = [
        EDIT | {"id": pending, "set": {"status": "TYPED"}},
        {"op": "remove", "kind": "patient", "domain": "acme", "id": "220001"},
        wrong,
    ]
    with pytest.raises(ControlError, match=r"400 .*edit 2"):
        emulator.control.edit(script)
    assert _operational(caller, pending) == before
    assert caller.api("acme", "/patients/220001").status_code == 200


def test_a_withdrawn_site_is_off_every_list_and_comes_back(
    emulator: Running, caller: QubsCaller
) -> None:
    rows = caller.all_by_status("acme", "FINALISED", 500)
    one = next(row for row in rows if row["scheduledSite"] == "Northside Imaging")
    path = f"/appointments/operational/{one['appointmentId']}"
    for status in (403, 404):
        emulator.control.withdraw_site("acme", "Northside Imaging", status)
        names = [site["siteName"] for site in caller.api("acme", "/sites").json()]
        assert "Northside Imaging" not in names
        assert caller.api("acme", path).status_code == status
        assert caller.api("acme", "/sites/Northside%20Imaging/settings").status_code == status
        left = caller.all_by_status("acme", "FINALISED", 500)
        assert "Northside Imaging" not in {row["scheduledSite"] for row in left}
        assert 0 < len(left) < len(rows)
    emulator.control.restore_site("acme", "Northside Imaging")
    assert caller.all_by_status("acme", "FINALISED", 500) == rows
    with pytest.raises(ControlError):
        emulator.control.withdraw_site("acme", "Nowhere")


def test_random_edits_apply_and_repeat(emulator: Running, caller: QubsCaller) -> None:
    first = emulator.control.edit_at_random("acme", seed=3, count=200)
    assert {edit["op"] for edit in first} == {"add", "change", "remove"}
    listed = caller.all_by_status("acme", "FINALISED", 500)
    emulator.control.reset()
    assert emulator.control.edit_at_random("acme", seed=3, count=200) == first
    again = caller.all_by_status("acme", "FINALISED", 500)
    assert [row["appointmentId"] for row in again] == [row["appointmentId"] for row in listed]
    second = emulator.control.edit_at_random("acme", seed=4, count=200)
    assert second != first
    removed = [edit["id"] for edit in first + second if edit["op"] == "remove"]
    assert len(removed) == len(set(removed))
    for appointment in removed[:5]:
        response = caller.api("acme", f"/appointments/operational/{appointment}")
        assert response.status_code == 404
    with pytest.raises(ControlError, match="count"):
        emulator.control.edit_at_random("acme", seed=3, count=0)


def test_reset_forgets_everything(emulator: Running, caller: QubsCaller, pending: str) -> None:
    before = _operational(caller, pending)
    control = emulator.control
    control.change("appointment", "acme", pending, status="TYPED")
    control.withdraw_site("acme", "Central Clinic")
    control.change_settings(patient_list=True, token_ttl_s=5)
    control.add_fault("drop")
    control.reset()
    assert _operational(caller, pending) == before
    assert control.settings()["patient_list"] is False
    assert control.settings()["token_ttl_s"] == 3600
    assert control.calls()["total"] == 1


@pytest.mark.parametrize(
    "wrong", [{"clients": []}, {"token_ttl_s": 0}, {"last_page": "x"}, {"patient_list": 1}]
)
def test_a_wrong_switch_is_refused_and_changes_nothing(
    emulator: Running, wrong: dict[str, Any]
) -> None:
    before = emulator.control.settings()
    with pytest.raises(ControlError, match="400"):
        emulator.control.change_settings(refresh_tokens=True, **wrong)
    assert emulator.control.settings() == before
