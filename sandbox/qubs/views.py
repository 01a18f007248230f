"""What each view shows of a record, and which form an absent value takes.

QUBS leaves open whether "no value" is null, an empty text or a missing member; the emulator mixes
the forms that the schema of the field permits, always the same one for the same record. A record
may carry ``raw``: members put into every view as they are (for malformed records).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from zlib import crc32

from sandbox.qubs.records import Record

MISSING, NULL, EMPTY = "missing", "null", "empty"
ABSENT_FORMS = (MISSING, NULL, EMPTY)

Forms = tuple[str, ...]
Fields = dict[str, Forms]
TEXT: Forms = (MISSING, EMPTY)
"""``type: string``"""
NULLABLE: Forms = (MISSING, NULL, EMPTY)
"""``type: [string, null]`` without format"""
NULL_ONLY: Forms = (MISSING, NULL)
"""``type: [string, null]`` with a format or pattern, or a nullable object"""
OPTIONAL: Forms = (MISSING,)
"""numbers, booleans, arrays"""
ALWAYS: Forms = (NULL,)
"""required members; null here is a malformed record, made by an edit"""

OPERATIONAL: Fields = {
    "domain": ALWAYS,
    "appointmentId": ALWAYS,
    "scheduledSite": ALWAYS,
    "status": ALWAYS,
    "appointmentDate": NULL_ONLY,
    "startTime": NULL_ONLY,
    "endTime": NULL_ONLY,
    "modality": TEXT,
    "studyDescription": TEXT,
    "room": TEXT,
    "priority": TEXT,
    "billingStatus": TEXT,
    "billingType": TEXT,
    "arrivalDateTime": NULL_ONLY,
    "scanStartDateTime": NULL_ONLY,
    "scanEndDateTime": NULL_ONLY,
    "lastModifiedDateTime": NULL_ONLY,
}
OPERATIONAL_WITH_PATIENT: Fields = OPERATIONAL | {"patientId": NULLABLE}
SUMMARY: Fields = {
    "domain": ALWAYS,
    "appointmentId": ALWAYS,
    "scheduledSite": ALWAYS,
    "status": ALWAYS,
    "appointmentDate": NULL_ONLY,
    "startTime": NULL_ONLY,
    "endTime": NULL_ONLY,
    "modality": TEXT,
    "studyDescription": TEXT,
    "patientId": NULLABLE,
    "patientName": NULLABLE,
}
TELE_REPORTING: Fields = {
    "domain": ALWAYS,
    "appointmentId": ALWAYS,
    "status": ALWAYS,
    "scheduledSite": ALWAYS,
    "appointmentDate": NULL_ONLY,
    "startTime": NULL_ONLY,
    "endTime": NULL_ONLY,
    "patientId": TEXT,
    "patientName": TEXT,
    "dateOfBirth": NULL_ONLY,
    "studyDescription": NULLABLE,
    "clinicalInfo": NULLABLE,
    "priority": NULLABLE,
    "reportingDeadline": NULL_ONLY,
    "radiologist": NULL_ONLY,
    "modality": NULLABLE,
    "examCodes": OPTIONAL,
}
LEGACY: Fields = {
    "domain": ALWAYS,
    "key": ALWAYS,
    "appointmentId": ALWAYS,
    "appointmentDate": TEXT,
    "arrivalDateTime": NULL_ONLY,
    "billingStatus": TEXT,
    "billingType": TEXT,
    "clinicalInfo": TEXT,
    "dateOfBirth": TEXT,
    "gender": TEXT,
    "endTime": TEXT,
    "examCodes": OPTIONAL,
    "lastModifiedBy": NULL_ONLY,
    "modality": TEXT,
    "patientId": TEXT,
    "patientName": TEXT,
    "priority": TEXT,
    "scheduledSite": TEXT,
    "startTime": TEXT,
    "status": ALWAYS,
    "studyDescription": TEXT,
}
PATIENT: Fields = {
    "domain": ALWAYS,
    "patientId": OPTIONAL,
    "patientName": TEXT,
    "firstName": TEXT,
    "lastName": TEXT,
    "dateOfBirth": NULL_ONLY,
    "gender": TEXT,
    "email": TEXT,
    "country": TEXT,
    "lastModifiedDateTime": NULL_ONLY,
}
EXAM_CODE: Fields = {
    "examCodeId": ALWAYS,
    "key": ALWAYS,
    "site": ALWAYS,
    "description": ALWAYS,
    "category": TEXT,
    "modality": TEXT,
    "totalDuration": OPTIONAL,
    "showOnline": OPTIONAL,
    "lastModifiedDateTime": OPTIONAL,
}
COMMENT: Fields = {
    "guid": ALWAYS,
    "commentType": ALWAYS,
    "appointmentId": TEXT,
    "patientId": TEXT,
    "commentText": TEXT,
    "commentDateTime": NULL_ONLY,
    "isAlert": OPTIONAL,
    "commentBy": NULL_ONLY,
    "lastModifiedDateTime": NULL_ONLY,
    "lastModifiedBy": NULL_ONLY,
}
ATTACHMENT: Fields = {
    "guid": ALWAYS,
    "category": TEXT,
    "fileName": TEXT,
    "addedDateTime": NULL_ONLY,
    "addedBy": NULL_ONLY,
    "lastModifiedDateTime": NULL_ONLY,
    "lastModifiedBy": NULL_ONLY,
    "url": NULL_ONLY,
    "urlExpiresAtUtc": NULL_ONLY,
}
BILLING: Fields = {
    "domain": ALWAYS,
    "appointmentId": ALWAYS,
    "batchSk": TEXT,
    "billingStatus": TEXT,
    "billingType": TEXT,
    "invoiceCreationError": TEXT,
    "invoiceNumber": TEXT,
    "invoiceSk": TEXT,
    "isBillingsChecked": OPTIONAL,
    "medicareExpiryDate": NULL_ONLY,
    "medicareIrn": TEXT,
    "medicareNumber": TEXT,
    "providerNumber": TEXT,
    "serviceItemNumbers": TEXT,
    "serviceItems": OPTIONAL,
}


def show(record: Record, fields: Fields, key: str, absent: str | None = None) -> dict[str, Any]:
    """``record`` as a view shows it.

    ``key`` names the record, so that the form of an absent value is the same at every call;
    ``absent`` forces one form for every absent value that is not required.
    """
    shown: dict[str, Any] = {}
    for name, forms in fields.items():
        value = record.get(name)
        if value is None:
            form = forms[crc32(f"{key}/{name}".encode()) % len(forms)]
            if absent is not None and forms is not ALWAYS:
                form = absent
            if form == MISSING:
                continue
            value = None if form == NULL else ""
        shown[name] = value
    raw = record.get("raw")
    if raw:
        shown.update(raw)
    return shown


def show_all(
    records: Iterable[Record], fields: Fields, key: str, absent: str | None = None
) -> list[dict[str, Any]]:
    """Several records; ``key`` is the member that names each."""
    return [show(record, fields, str(record.get(key)), absent) for record in records]
