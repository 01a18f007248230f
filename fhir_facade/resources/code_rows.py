"""The rows of the code tables: QUBS codes and the FHIR codes they become, with the reasons.

Equivalence reads from source to target (R4 valueset-concept-map-equivalence.html): `wider` means
the FHIR code says less than the QUBS one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from fhir_facade.fhir.systems import (
    ADMINISTRATIVE_GENDER,
    DIAGNOSTIC_REPORT_STATUS,
    LOINC,
    QUBS_APPOINTMENT_STATUS,
    QUBS_ATTACHMENT_CATEGORY,
    QUBS_SEX,
    VS_ADMINISTRATIVE_GENDER,
    VS_APPOINTMENT_STATUS,
    VS_DIAGNOSTIC_REPORT_STATUS,
    VS_US_CORE_DOCUMENT_TYPE,
)
from fhir_facade.fhir.systems import (
    APPOINTMENT_STATUS as FHIR_APPOINTMENT_STATUS,
)


class Row(NamedTuple):
    """`target` None: nothing corresponds (`unmatched`)."""

    target: str | None
    equivalence: str = "equivalent"
    comment: str = ""


_IMAGED = Row("fulfilled", "wider", "The patient was imaged; the rest is work on the report.")
_NO_REPORT = Row(None, "unmatched", "Before imaging: there is no report.")
_UNVERIFIED = "There is content, incomplete or not verified."
_SECOND_READ = "A first reading exists and is read again; nothing is final yet."

APPOINTMENT_STATUS: dict[str, Any] = {
    "id": "qubs-appointment-status",
    "name": "QubsAppointmentStatus",
    "title": "QUBS appointment status to Appointment.status",
    "description": "The 18 workflow states of a QUBS appointment. An unknown state is pending: "
    "it confirms nothing. The original stays on the Appointment as an extension.",
    "source_system": QUBS_APPOINTMENT_STATUS,
    "target_system": FHIR_APPOINTMENT_STATUS,
    "target_value_set": VS_APPOINTMENT_STATUS,
    "default": "pending",
    "targets": frozenset(
        "proposed pending booked arrived fulfilled cancelled noshow entered-in-error "
        "checked-in waitlist".split()
    ),
    "rows": {
        "NOT ARRIVED": Row("booked"),
        "ARRIVED": Row("arrived"),
        "DID NOT ATTEND": Row("noshow"),
        "APPPOINTMENT CANCELLED": Row("cancelled"),
        "CANCELLATION LIST": Row("waitlist"),
        "STUDY INPROGRESS": Row(
            "fulfilled", "wider", "Planning is complete, the encounter is under way."
        ),
        "PENDING REPORTING": _IMAGED,
        "DICTATION INPROGRESS": _IMAGED,
        "DICTATED": _IMAGED,
        "TYPING INPROGRESS": _IMAGED,
        "TYPED": _IMAGED,
        "REVIEW TYPED": _IMAGED,
        "AUTHORISING": _IMAGED,
        "AUTHORISED": _IMAGED,
        "SECOND REVIEW": _IMAGED,
        "PEER REVIEW": _IMAGED,
        "SECOND OPINION": _IMAGED,
        "FINALISED": _IMAGED,
    },
}

REPORT_STATUS: dict[str, Any] = {
    "id": "qubs-report-status",
    "name": "QubsReportStatus",
    "title": "QUBS appointment status to DiagnosticReport.status",
    "description": "The report of an appointment exists once imaging is done. An unknown state "
    "with a known end of scan gives a report of status unknown; without one, no report.",
    "source_system": QUBS_APPOINTMENT_STATUS,
    "target_system": DIAGNOSTIC_REPORT_STATUS,
    "target_value_set": VS_DIAGNOSTIC_REPORT_STATUS,
    "default": None,
    "targets": frozenset(
        "registered partial preliminary final amended corrected appended cancelled "
        "entered-in-error unknown".split()
    ),
    "rows": {
        "NOT ARRIVED": _NO_REPORT,
        "ARRIVED": _NO_REPORT,
        "DID NOT ATTEND": _NO_REPORT,
        "APPPOINTMENT CANCELLED": _NO_REPORT,
        "CANCELLATION LIST": _NO_REPORT,
        "STUDY INPROGRESS": _NO_REPORT,
        "PENDING REPORTING": Row("registered", "wider", "Due, nothing is available yet."),
        "DICTATION INPROGRESS": Row("registered", "wider", "Begun, nothing is available yet."),
        "DICTATED": Row("partial", "wider", _UNVERIFIED),
        "TYPING INPROGRESS": Row("partial", "wider", _UNVERIFIED),
        "TYPED": Row("partial", "wider", _UNVERIFIED),
        "REVIEW TYPED": Row("partial", "wider", _UNVERIFIED),
        "AUTHORISING": Row("partial", "wider", _UNVERIFIED),
        "SECOND REVIEW": Row("preliminary", "inexact", _SECOND_READ),
        "PEER REVIEW": Row("preliminary", "inexact", _SECOND_READ),
        "SECOND OPINION": Row("preliminary", "inexact", _SECOND_READ),
        "AUTHORISED": Row("final"),
        "FINALISED": Row("final"),
    },
}

GENDER: dict[str, Any] = {
    "id": "qubs-gender",
    "name": "QubsGender",
    "title": "QUBS gender text to administrative gender",
    "description": "QUBS publishes no list of values; the common English ones are mapped whatever "
    "their case, anything else is unknown.",
    "source_system": QUBS_SEX,
    "target_system": ADMINISTRATIVE_GENDER,
    "target_value_set": VS_ADMINISTRATIVE_GENDER,
    "default": "unknown",
    "folded": True,
    "targets": frozenset({"male", "female", "other", "unknown"}),
    "rows": {
        "Male": Row("male"),
        "M": Row("male"),
        "Female": Row("female"),
        "F": Row("female"),
        "Other": Row("other"),
        "O": Row("other"),
        "Indeterminate": Row("other", "wider"),
        "Intersex": Row("other", "wider"),
        "I": Row("other", "wider"),
        "Non-binary": Row("other", "wider"),
        "X": Row("other", "wider"),
        "Unknown": Row("unknown"),
        "U": Row("unknown"),
        "Not stated": Row("unknown", "wider"),
    },
}

ATTACHMENT_CATEGORY: dict[str, Any] = {
    "id": "qubs-attachment-category",
    "name": "QubsAttachmentCategory",
    "title": "QUBS attachment category to DocumentReference.type",
    "description": "QUBS publishes no list of values; those that were seen are mapped whatever "
    "their case. A document of any other category is of unknown type.",
    "source_system": QUBS_ATTACHMENT_CATEGORY,
    "target_system": LOINC,
    "target_value_set": VS_US_CORE_DOCUMENT_TYPE,
    "default": None,
    "folded": True,
    "targets": frozenset(
        "57133-1 18748-4 11488-4 11506-3 18842-5 34111-5 34117-2 34133-9 51851-4".split()
    ),
    "rows": {
        "Referral": Row("57133-1"),
        "Worksheet": Row(None, "unmatched", "LOINC has no document type for it."),
        "report": Row("18748-4"),
    },
}
