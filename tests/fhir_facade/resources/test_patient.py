"""Patient: precedence of the records, names that are never split, absent values."""

import pytest

from fhir_facade.fhir import systems
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.qubs import MappingWarning, SubjectRecords, map_subject
from fhir_facade.resources.subject import Subject
from tests.support.qubs_records import CONTEXT, DOMAIN, only, operational

SUMMARY = {
    "domain": DOMAIN,
    "patientId": "220000",
    "patientName": "Jane Mary Doe",
    "firstName": "Jane Mary",
    "lastName": "Doe",
    "dateOfBirth": "1980-02-29",
    "gender": "Female",
    "email": "jane@example.com",
    "country": "Australia",
}


def map_patient(own):
    return map_subject(Subject("patient", "220000"), SubjectRecords(own), CONTEXT)


def patient(own):
    mapped = only(map_patient(own), "Patient")
    assert deep_check(mapped) == []
    return mapped


def summary(**members):
    return {("patients", "220000"): {**SUMMARY, **members}}


def tele(key="A1", **members):
    body = operational(key, patientId="220000", patientName="J. Doe", **members)
    return {("tele-reporting", key): body}


def test_the_summary_is_mapped_whole():
    found = patient(summary())
    assert found["name"] == [{"text": "Jane Mary Doe", "family": "Doe", "given": ["Jane Mary"]}]
    assert found["birthDate"] == "1980-02-29"
    assert found["gender"] == "female"
    assert found["telecom"] == [{"system": "email", "value": "jane@example.com"}]
    assert found["address"] == [{"country": "Australia"}]
    assert found["meta"]["profile"] == [systems.US_CORE_PATIENT]
    (identifier,) = found["identifier"]
    assert identifier["value"] == "220000"
    assert identifier["system"] == f"{CONTEXT.fhir_base}/sid/qubs-patient-id"


def test_a_display_name_is_not_split_and_says_that_its_parts_are_unknown():
    found = patient(summary(firstName=None, lastName=""))
    assert found["name"] == [
        {
            "extension": [{"url": systems.DATA_ABSENT_REASON, "valueCode": "unknown"}],
            "text": "Jane Mary Doe",
        }
    ]


def test_the_summary_comes_first_then_the_latest_tele_reporting_view():
    own = summary(dateOfBirth=None, patientName="", firstName="", lastName="")
    own |= tele("A1", appointmentDate="2026-01-01", dateOfBirth="1970-01-01")
    own |= tele("A2", appointmentDate="2026-02-01", patientDateOfBirth="1980-02-28")
    found = patient(own)
    assert (found["name"][0]["text"], found["birthDate"]) == ("J. Doe", "1980-02-28")
    assert found["gender"] == "female"
    assert map_patient(own).sources == ((("patients", "220000"), ("tele-reporting", "A2")),)


def test_a_patient_that_is_only_named_exists_with_an_unknown_name():
    own = {("comments", "A1"): [{"patientId": "220000"}], ("operational", "A2"): operational("A2")}
    found = patient(own)
    assert found["name"][0]["extension"][0]["valueCode"] == "unknown"
    assert found["gender"] == "unknown"
    assert map_patient(own).sources == ((("comments", "A1"),),)


def test_no_record_means_no_patient():
    assert map_patient({}).resources == ()


@pytest.mark.parametrize("absent", [None, "", " \t"])
def test_every_form_of_no_value_is_absent(absent):
    own = summary(**{name: absent for name in SUMMARY if name not in ("domain", "patientId")})
    found = patient(own)
    assert found == patient({("patients", "220000"): {"domain": DOMAIN}})
    assert not {"telecom", "birthDate", "address"} & found.keys()
    assert map_patient(own).warnings == ()


def test_an_unknown_gender_is_unknown_and_counted():
    own = summary(gender="Martian")
    assert patient(own)["gender"] == "unknown"
    assert map_patient(own).warnings == (MappingWarning("unknown-gender", "Martian"),)


@pytest.mark.parametrize(
    ("said", "served"),
    [("1980-02-29T00:00:00", "1980-02-29"), ("1980", "1980"), ("1980-02", "1980-02")],
)
def test_birth_dates_keep_their_precision(said, served):
    assert patient(summary(dateOfBirth=said))["birthDate"] == served


@pytest.mark.parametrize("said", ["29/02/1980", "1981-02-29", "0000", "soon"])
def test_an_unreadable_birth_date_is_left_out_and_counted_without_its_value(said):
    own = summary(dateOfBirth=said)
    assert "birthDate" not in patient(own)
    assert map_patient(own).warnings == (MappingWarning("unreadable-date"),)


def test_text_that_fhir_cannot_hold_is_made_holdable():
    found = patient(summary(patientName="  Zoë\x00\u00a0Ng\x1b ", firstName="Zoë", lastName="Ng"))
    assert found["name"][0]["text"] == "Zoë \u00a0Ng"
