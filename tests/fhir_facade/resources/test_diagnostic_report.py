"""DiagnosticReport: one for each imaged appointment, none before."""

import pytest

from fhir_facade.fhir import systems
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.qubs import MappingWarning
from fhir_facade.upstream.qubs_words import STATUSES
from tests.support.qubs_records import map_appointment, only, operational, types_of

REPORTS = {
    "PENDING REPORTING": "registered",
    "DICTATION INPROGRESS": "registered",
    "DICTATED": "partial",
    "TYPING INPROGRESS": "partial",
    "TYPED": "partial",
    "REVIEW TYPED": "partial",
    "AUTHORISING": "partial",
    "SECOND REVIEW": "preliminary",
    "PEER REVIEW": "preliminary",
    "SECOND OPINION": "preliminary",
    "AUTHORISED": "final",
    "FINALISED": "final",
}
SCANNED = {
    "scanStartDateTime": "2026-11-20T03:00:00Z",
    "scanEndDateTime": "2026-11-20T03:10:00Z",
}


@pytest.mark.parametrize("status", STATUSES)
def test_there_is_exactly_one_report_once_imaging_is_done(status):
    mapped = map_appointment(operational(status=status, patientId="1"))
    if status not in REPORTS:
        assert types_of(mapped) == ["Appointment"]
        return
    assert types_of(mapped) == ["Appointment", "DiagnosticReport"]
    report = only(mapped, "DiagnosticReport")
    assert (report["id"], report["status"]) == ("qubs-A1", REPORTS[status])
    assert deep_check(report) == []


def test_a_linked_report_claims_the_us_core_profile_and_an_unlinked_one_does_not():
    linked = only(
        map_appointment(operational(status="FINALISED", patientId="7")), "DiagnosticReport"
    )
    assert linked["meta"]["profile"] == [systems.US_CORE_DIAGNOSTIC_REPORT_NOTE]
    assert linked["subject"] == {"reference": "Patient/qubs-7"}
    unlinked = only(map_appointment(operational(status="FINALISED")), "DiagnosticReport")
    assert not {"meta", "subject"} & unlinked.keys()


def test_it_is_in_both_radiology_categories():
    report = only(map_appointment(operational(status="FINALISED")), "DiagnosticReport")
    codings = [c["coding"][0] for c in report["category"]]
    assert [(c["system"], c["code"]) for c in codings] == [
        (systems.LOINC, "LP29684-5"),
        (systems.V2_0074, "RAD"),
    ]


def test_the_code_has_the_study_as_text():
    report = only(map_appointment(operational(status="DICTATED")), "DiagnosticReport")
    assert report["code"]["text"] == "CT Chest"
    assert report["code"]["coding"][0]["code"] == "18748-4"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            SCANNED,
            {
                "effectivePeriod": {
                    "start": "2026-11-20T03:00:00Z",
                    "end": "2026-11-20T03:10:00Z",
                }
            },
        ),
        (
            {"scanStartDateTime": "2026-11-20T03:00:00Z"},
            {"effectiveDateTime": "2026-11-20T03:00:00Z"},
        ),
        # A scan that ends before it starts is no period: its start is what is told.
        (
            {
                "scanStartDateTime": "2026-11-20T03:10:00Z",
                "scanEndDateTime": "2026-11-20T03:00:00Z",
            },
            {"effectiveDateTime": "2026-11-20T03:10:00Z"},
        ),
        ({}, {"effectiveDateTime": "2026-11-20T13:45:00+11:00"}),
        ({"startTime": None}, {"effectiveDateTime": "2026-11-20"}),
    ],
)
def test_effective_is_the_scan_then_the_start_then_the_day(members, expected):
    report = only(map_appointment(operational(status="FINALISED", **members)), "DiagnosticReport")
    found = {k: v for k, v in report.items() if k.lstrip("_").startswith("effective")}
    assert found == expected


def test_an_unknown_time_is_said_to_be_unknown():
    body = operational(status="FINALISED", appointmentDate=None, patientId="1")
    report = only(map_appointment(body), "DiagnosticReport")
    assert report["_effectiveDateTime"]["extension"][0]["valueCode"] == "unknown"
    assert deep_check(report) == []


def test_an_unknown_status_keeps_the_report_of_a_finished_scan():
    mapped = map_appointment(operational(status="IN ORBIT", **SCANNED))
    assert only(mapped, "DiagnosticReport")["status"] == "unknown"
    assert mapped.warnings == (MappingWarning("unknown-status", "IN ORBIT"),)
    assert types_of(map_appointment(operational(status="IN ORBIT"))) == ["Appointment"]


def test_issued_is_never_invented():
    report = only(map_appointment(operational(status="FINALISED", **SCANNED)), "DiagnosticReport")
    assert "issued" not in report
    assert report["performer"] == [{"reference": "Organization/qubs-acme"}]
