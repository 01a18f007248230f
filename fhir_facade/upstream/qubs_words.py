"""The words of QUBS: statuses, the names of its views, and fields that may be spelled in more than
one way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_facade.upstream.pulled import present

STATUSES: tuple[str, ...] = (
    "NOT ARRIVED",
    "ARRIVED",
    "DID NOT ATTEND",
    "APPPOINTMENT CANCELLED",
    "CANCELLATION LIST",
    "DICTATION INPROGRESS",
    "DICTATED",
    "TYPED",
    "AUTHORISING",
    "AUTHORISED",
    "TYPING INPROGRESS",
    "PENDING REPORTING",
    "STUDY INPROGRESS",
    "SECOND REVIEW",
    "FINALISED",
    "REVIEW TYPED",
    "PEER REVIEW",
    "SECOND OPINION",
)
"""All statuses the documents list, byte for byte: three P's, INPROGRESS in one word. Readers meet
others too.
"""

PENDING_REPORTING = "PENDING REPORTING"

ALIASES: Mapping[str, tuple[str, ...]] = {
    "dateOfBirth": ("dateOfBirth", "patientDateOfBirth"),
    "reportingDeadline": ("reportingDeadline", "deadline", "reportingDeadlineUtc"),
    "radiologist": ("radiologist", "assignedRadiologist"),
}
"""Fields whose spelling is not certain: every name a reader accepts, the likeliest first."""

TEXT_MEMBERS = frozenset(
    {
        "domain",
        "siteName",
        "timeZone",
        "appointmentId",
        "scheduledSite",
        "status",
        "appointmentDate",
        "startTime",
        "endTime",
        "modality",
        "studyDescription",
        "room",
        "priority",
        "billingStatus",
        "billingType",
        "arrivalDateTime",
        "scanStartDateTime",
        "scanEndDateTime",
        "patientId",
        "patientName",
        "firstName",
        "lastName",
        "clinicalInfo",
        "gender",
        "lastModifiedDateTime",
        *ALIASES["dateOfBirth"],
        *ALIASES["reportingDeadline"],
    }
)
"""Members that the documents type as text in every view that has them."""

OPERATIONAL = "operational"
TELE_REPORTING = "tele-reporting"
COMMENTS = "comments"
PATIENTS = "patients"
SITES = "sites"
SITE_SETTINGS = "site-settings"
EXAM_CODES = "exam-codes"
STAFF_SKILLS = "staff-skills"
ATTACHMENTS = "attachments"
HAS_CONTENT = "hasContent"
"""Member of a stored attachment: whether the upstream offered an address of its content."""
BILLING = "billing"
REFERRER = "referrer"
REFERRER_OPERATIONAL = "referrer-operational"


def value_of(body: Mapping[str, Any], name: str) -> Any:
    """A field by any of its spellings (`ALIASES`); None when absent in any form."""
    return present(dict(body), *ALIASES.get(name, (name,)))
