"""Appointment: statuses, participants, codes and what is kept of the original."""

import pytest

from fhir_facade.fhir import systems
from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.resources.qubs import MappingWarning
from fhir_facade.resources.subject import Subject
from fhir_facade.upstream.qubs_words import STATUSES
from tests.support.qubs_records import SITE, map_appointment, only, operational

EXPECTED = {
    "NOT ARRIVED": "booked",
    "ARRIVED": "arrived",
    "DID NOT ATTEND": "noshow",
    "APPPOINTMENT CANCELLED": "cancelled",
    "CANCELLATION LIST": "waitlist",
}


def extension(resource, url):
    found = [e for e in resource.get("extension", []) if e["url"] == url]
    return found[0] if found else None


@pytest.mark.parametrize("status", STATUSES)
def test_each_status_is_mapped_and_the_original_kept(status):
    mapped = map_appointment(operational(status=status))
    appointment = only(mapped, "Appointment")
    assert appointment["status"] == EXPECTED.get(status, "fulfilled")
    kept = extension(appointment, systems.UPSTREAM_STATUS)
    assert kept["valueCoding"] == {"system": systems.QUBS_APPOINTMENT_STATUS, "code": status}
    assert mapped.warnings == ()
    assert deep_check(appointment) == []


def test_an_unknown_status_is_pending_and_counted():
    mapped = map_appointment(operational(status="IN ORBIT"))
    appointment = only(mapped, "Appointment")
    assert appointment["status"] == "pending"
    assert extension(appointment, systems.UPSTREAM_STATUS)["valueCoding"]["code"] == "IN ORBIT"
    assert mapped.warnings == (MappingWarning("unknown-status", "IN ORBIT"),)


@pytest.mark.parametrize("absent", [None, "", "  "])
def test_a_missing_status_is_pending_and_counted(absent):
    mapped = map_appointment(operational(status=absent))
    assert only(mapped, "Appointment")["status"] == "pending"
    assert mapped.warnings == (MappingWarning("missing-status"),)


def test_a_lean_appointment_has_its_site_as_only_participant():
    appointment = only(map_appointment(operational()), "Appointment")
    assert appointment["participant"] == [
        {
            "actor": {"reference": "Location/qubs-Central.20Clinic", "display": SITE},
            "status": "accepted",
        }
    ]
    assert "meta" not in appointment


def test_an_unknown_site_is_named_but_not_referenced():
    mapped = map_appointment(operational(), site={})
    (participant,) = only(mapped, "Appointment")["participant"]
    assert "reference" not in participant["actor"]
    assert participant["actor"]["display"] == SITE
    assert mapped.warnings == (MappingWarning("unknown-site", SITE),)
    assert mapped.dependencies == (Subject("site", SITE),)


def test_an_appointment_without_site_says_that_nobody_is_known():
    mapped = map_appointment(operational(scheduledSite=None))
    assert fast_check(only(mapped, "Appointment")) == []
    assert mapped.dependencies == ()


def test_the_operational_patient_comes_first_in_the_reference():
    appointment = only(map_appointment(operational(patientId="220000")), "Appointment")
    assert appointment["participant"][0]["actor"] == {"reference": "Patient/qubs-220000"}


@pytest.mark.parametrize(
    ("tele", "comments", "linked"),
    [
        ("1", ["2"], "Patient/qubs-1"),
        (None, ["2", "2", ""], "Patient/qubs-2"),
        (None, ["2", "3"], None),
        (None, [], None),
    ],
)
def test_a_lean_appointment_is_linked_by_tele_reporting_then_by_comments(tele, comments, linked):
    more = {("comments", "A1"): [{"guid": str(n), "patientId": p} for n, p in enumerate(comments)]}
    if tele:
        more["tele-reporting", "A1"] = operational(patientId=tele)
    mapped = map_appointment(operational(), more=more)
    references = [
        p["actor"].get("reference", "") for p in only(mapped, "Appointment")["participant"]
    ]
    patients = [r for r in references if r.startswith("Patient/")]
    assert patients == ([linked] if linked else [])


def test_views_that_name_different_patients_link_to_none():
    more = {("tele-reporting", "A1"): operational(patientId="2")}
    mapped = map_appointment(operational(patientId="1"), more=more)
    assert len(only(mapped, "Appointment")["participant"]) == 1
    assert mapped.warnings == (MappingWarning("patient-conflict"),)


def test_the_operational_view_comes_first_field_by_field():
    tele = operational(status="PENDING REPORTING", studyDescription="Older", clinicalInfo="Cough")
    appointment = only(
        map_appointment(operational(status="FINALISED"), more={("tele-reporting", "A1"): tele}),
        "Appointment",
    )
    status = extension(appointment, systems.UPSTREAM_STATUS)["valueCoding"]["code"]
    assert (status, appointment["description"]) == ("FINALISED", "CT Chest")
    assert appointment["reasonCode"] == [{"text": "Cough"}]


def test_the_tele_reporting_view_alone_makes_an_appointment():
    tele = operational(status="PENDING REPORTING", patientId="5")
    mapped = map_appointment(None, more={("tele-reporting", "A1"): tele})
    assert only(mapped, "Appointment")["status"] == "fulfilled"
    assert mapped.sources[0] == (("tele-reporting", "A1"), ("site-settings", SITE))


def test_comments_alone_make_no_appointment():
    mapped = map_appointment(None, more={("comments", "A1"): [{"patientId": "1"}]})
    assert mapped.resources == ()


def test_exam_codes_become_coded_service_types_with_the_category_of_the_site():
    tele = operational(examCodes=[{"key": "CT_CHEST", "description": "CT Chest"}, {}, {"key": "X"}])
    appointment = only(
        map_appointment(operational(), more={("tele-reporting", "A1"): tele}), "Appointment"
    )
    codes = [concept["coding"][0]["code"] for concept in appointment["serviceType"]]
    assert codes == ["CT_CHEST", "X"]
    categories = [c["coding"][0]["system"] for c in appointment["serviceCategory"]]
    assert categories == [systems.QUBS_MODALITY, systems.QUBS_EXAM_CATEGORY]


def test_priority_and_room_are_kept_as_they_are():
    appointment = only(map_appointment(operational(priority="Urgent", room="CT 2")), "Appointment")
    priority = extension(appointment, systems.UPSTREAM_PRIORITY)["valueCoding"]
    assert priority == {"system": systems.QUBS_PRIORITY, "code": "Urgent"}
    assert extension(appointment, systems.ROOM)["valueString"] == "CT 2"
    assert "priority" not in appointment


def test_billing_is_not_mapped():
    body = operational(billingStatus="SECRET-A", billingType="SECRET-B")
    assert "SECRET" not in str(map_appointment(body).resources)


@pytest.mark.parametrize("status", ["APPPOINTMENT CANCELLED", "CANCELLATION LIST"])
def test_states_that_need_no_time_have_none_when_none_is_said(status):
    body = operational(status=status, appointmentDate=None, startTime="", endTime=None)
    appointment = only(map_appointment(body), "Appointment")
    assert not {"start", "end", "_start", "_end"} & appointment.keys()
    assert fast_check(appointment) == []
