"""What each type is made of: which facts of QUBS become which elements. The mapping functions do
it; tests hold these rows to the golden files, and `document` prints them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Made:
    """One row. `source` names members of QUBS records, `` ` `` quoted, or says where else the
    element comes from; `elements` are paths in the resource, an extension as `extension(name)`;
    `note` is Markdown.
    """

    source: str
    elements: tuple[str, ...]
    note: str = ""


def _row(source: str, elements: str, note: str = "") -> Made:
    return Made(source, tuple(elements.split()), note)


MADE_OF: Mapping[str, tuple[Made, ...]] = {
    "Appointment": (
        _row("`appointmentId`", "id identifier"),
        _row("`status`", "status extension(upstream-status)", "by `qubs-appointment-status`"),
        _row(
            "`appointmentDate`, `startTime`, `endTime`, the site's `timeZone`",
            "start end minutesDuration extension(local-schedule)",
            "see [Time](../qubs.md#time)",
        ),
        _row(
            "`scheduledSite`",
            "participant.actor",
            "the Location; for a site nobody lists `identifier` and `display` only "
            "(`unknown-site`)",
        ),
        _row("`patientId`", "participant.actor", "the Patient; lean sites: linked later"),
        _row("-", "participant.status", "`accepted`: QUBS holds no answers of participants"),
        _row("`studyDescription`", "description serviceType.text", "the latter without exam codes"),
        _row(
            "`examCodes` (`key`, `description`)",
            "serviceType.coding serviceType.text",
            "one for each; code system `[base]/sid/qubs-exam-code`",
        ),
        _row(
            "`modality`; the category of the exam code at the site",
            "serviceCategory",
            "as they are: QUBS publishes no list",
        ),
        _row("`clinicalInfo`", "reasonCode.text"),
        _row("`priority`", "extension(upstream-priority)", "text; FHIR's priority is a number"),
        _row("`room`", "extension(room)", "text without a stable id: no Location, no search"),
    ),
    "DiagnosticReport": (
        _row("`appointmentId`", "id identifier", "one for each appointment after imaging"),
        _row("`status`", "status extension(upstream-status)", "by `qubs-report-status`"),
        _row("-", "category", "LOINC `LP29684-5` and HL7 v2-0074 `RAD`"),
        _row("`studyDescription`, else the exam descriptions", "code.text"),
        _row("exam codes", "code.coding", "after LOINC `18748-4` (Diagnostic imaging study)"),
        _row(
            "the patient",
            "subject",
            "and the US Core report and note profile; unlinked: neither",
        ),
        _row(
            "`scanStartDateTime`, `scanEndDateTime`",
            "effectivePeriod effectiveDateTime",
            "the latter from one of them, else the scheduled start, else the local date, else "
            "`data-absent-reason`",
        ),
        _row("domain", "performer"),
        _row(
            "attachments of the category `report` with content",
            "presentedForm",
            "by the absolute URL of the Binary, as in the DocumentReference",
        ),
    ),
    "DocumentReference": (
        _row("`appointmentId`, `guid`", "id identifier", "the identifier is the `guid`"),
        _row(
            "`category`",
            "type category",
            "`type` by `qubs-attachment-category`: anything but the mapped ones is `UNK` and "
            "counted (`unknown-attachment-category`)",
        ),
        _row(
            "-",
            "category",
            "US Core `clinical-note`; of reports those of the DiagnosticReport too, so that "
            "granular scopes of the report open its document",
        ),
        _row("-", "status", "`current`"),
        _row(
            "`fileName`",
            "content.attachment.title content.attachment.contentType",
            "the latter by its ending, else `application/octet-stream`: QUBS tells no media type",
        ),
        _row("`addedDateTime`", "date"),
        _row("`lastModifiedDateTime`, else `addedDateTime`", "content.attachment.creation"),
        _row(
            "`url` is there",
            "content.attachment.url",
            "`[base]/Binary/{id}`, and the US Core profile; without content neither, and no Binary",
        ),
        _row("-", "content.format", "the media type says enough"),
        _row("the patient", "subject", "no document before the patient is known"),
        _row(
            "the appointment",
            "context.related context.period",
            "from the scan, else the scheduled times, else the local date",
        ),
        _row("domain", "custodian"),
    ),
    "Binary": (
        _row("`appointmentId`, `guid`", "id"),
        _row("`fileName`", "contentType", "as in the DocumentReference"),
        _row("the DiagnosticReport or DocumentReference", "securityContext"),
    ),
    "Patient": (
        _row("`patientId`", "id identifier", "type `PI`, use `usual`"),
        _row("`lastName`, `firstName`", "name.family name.given"),
        _row(
            "`patientName`",
            "name.text",
            "never split; without parts the name carries `data-absent-reason` (us-core-6)",
        ),
        _row(
            "`dateOfBirth` or `patientDateOfBirth`",
            "birthDate",
            "a year or month stays one; unreadable: absent and counted",
        ),
        _row("`gender`", "gender", "by `qubs-gender`"),
        _row("`email`, `country` (patient summary only)", "telecom address.country"),
        _row("domain", "managingOrganization"),
    ),
    "Organization": (
        _row("the domain of the tenant", "id identifier", "from settings: no Provenance"),
        _row("the tenant's name", "name"),
        _row("-", "active", "`true`"),
    ),
    "Location": (
        _row("the site's name", "id identifier name"),
        _row("-", "status mode", "`active`, `instance`"),
        _row("domain", "managingOrganization"),
        _row(
            "`timeZone`",
            "extension(site-time-zone)",
            "the IANA name as a code, an unknown name as text (`unknown-time-zone`)",
        ),
    ),
    "Practitioner": (
        _row("`employeeId` of a skill grid", "id identifier", "rows without one are left out"),
        _row("`employeeName`", "name.text", "`name._family` with `data-absent-reason`"),
    ),
    "Provenance": (
        _row("the resource", "id target", "`{Type}-{id}`"),
        _row("when the latest of its records was pulled", "recorded"),
        _row("domain", "agent", "author; the facade is assembler on its behalf"),
        _row(
            "each record it was made from",
            "entity entity.extension(source-record)",
            "role source; the hash is the SHA-256 of the stored body",
        ),
    ),
}
"""Type → rows, for the types that come from QUBS."""
