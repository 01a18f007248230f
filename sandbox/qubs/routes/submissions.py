"""The three POSTs of tele-reporting: comment, upload links, report."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, request

from sandbox.qubs import bodies, views
from sandbox.qubs.files import UploadSlot
from sandbox.qubs.idempotency import COMMENT_TTL_S, REPORT_TTL_S, UPLOAD_TTL_S, checked_key
from sandbox.qubs.problems import Problem
from sandbox.qubs.records import Record
from sandbox.qubs.routes.access import Access, answer, enter
from sandbox.qubs.routes.documents import public_base
from sandbox.qubs.routes.reporting import pending_appointment

blueprint = Blueprint("submissions", __name__)
_BASE = "/reporting/appointments/<appointment_id>"


def _once(
    access: Access, appointment_id: str, ttl_s: int, work: Callable[[Any, Record], dict[str, Any]]
) -> Response:
    """Do ``work`` once per idempotency key. A replay wins over the 404 of an appointment that
    has left the worklist since."""
    key = checked_key(request.headers.get("Idempotency-Key"))
    payload = bodies.parsed(request.mimetype, request.get_data())
    scope = (access.caller.client_id, access.domain.spec.name, request.path, key) if key else None

    def run() -> dict[str, Any]:
        with access.emulator.world.lock:
            return work(payload, pending_appointment(access, appointment_id))

    return answer(access.emulator.idempotency.run(scope, payload, ttl_s, run))


@blueprint.post(
    f"{_BASE}/comments", endpoint="integrations_creatependingreportingappointmentcomment"
)
def add_comment(domain: str, appointment_id: str) -> Response:
    """Add a comment or alert; PC and PA become patient-level."""
    access = enter(domain)

    def work(payload: Any, record: Record) -> dict[str, Any]:
        asked = bodies.comment(payload)
        patient_level = asked.type in ("PC", "PA")
        if patient_level and not record["patientId"]:
            raise Problem(400, "The appointment has no patient to hang the comment on.")
        now = access.emulator.clock.text()
        stored: Record = {
            "guid": str(uuid.uuid4()),
            "commentType": asked.type,
            "appointmentId": "" if patient_level else appointment_id,
            "patientId": record["patientId"],
            "commentText": asked.text,
            "commentDateTime": asked.written or now,
            "isAlert": asked.alert,
            "commentBy": {},
            "lastModifiedDateTime": now,
            "lastModifiedBy": {},
        }
        if patient_level:
            kept = access.domain.added_patient_comments.setdefault(record["patientId"], [])
        else:
            kept = access.domain.added_comments.setdefault(appointment_id, [])
        kept.append(stored)
        return views.show(stored, views.COMMENT, stored["guid"], access.absent)

    return _once(access, appointment_id, COMMENT_TTL_S, work)


@blueprint.post(
    f"{_BASE}/report/attachments",
    endpoint="integrations_creatependingreportingappointmentreportattachments",
)
def upload_links(domain: str, appointment_id: str) -> Response:
    """Hand out upload links; the attachments exist at once, their content after the PUT."""
    access = enter(domain)

    def work(payload: Any, _record: Record) -> dict[str, Any]:
        asked = bodies.upload_items(payload)
        base, now = public_base(access), access.emulator.clock.text()
        kept = access.domain.added_attachments.setdefault(appointment_id, [])
        items = []
        for item in asked:
            guid = str(uuid.uuid4())
            slot = UploadSlot(domain, item.content_type)
            url, expires = access.emulator.files.upload_url(base, guid, slot)
            kept.append(
                {
                    "guid": guid,
                    "category": "report",
                    "fileName": item.file_name,
                    "addedDateTime": now,
                    "addedBy": {},
                    "lastModifiedDateTime": now,
                    "lastModifiedBy": {},
                    "stored": False,
                }
            )
            items.append(
                {
                    "guid": guid,
                    "fileName": item.file_name,
                    "category": "report",
                    "uploadUrl": url,
                    "uploadUrlExpiresAtUtc": expires,
                }
            )
        return {"items": items}

    return _once(access, appointment_id, UPLOAD_TTL_S, work)


@blueprint.post(f"{_BASE}/report", endpoint="integrations_submitpendingreportingappointmentreport")
def submit_report(domain: str, appointment_id: str) -> Response:
    """Submit or replace the report. A final one moves the appointment on if the switch says so."""
    access = enter(domain)

    def work(payload: Any, record: Record) -> dict[str, Any]:
        asked = bodies.report(payload)
        receipt: Record = {
            "reportGuid": str(uuid.uuid4()),
            "reportStatus": asked.status,
            "reportedAtUtc": asked.reported_at or access.emulator.clock.text(),
        }
        access.domain.reports[appointment_id] = receipt | {
            "reportText": asked.text,
            "interpretingClinician": asked.clinician,
            "clientId": access.caller.client_id,
        }
        moved_to = access.settings.status_after_final
        if asked.status == "final" and moved_to is not None:
            access.domain.put_appointment(record | {"status": moved_to})
        return receipt

    return _once(access, appointment_id, REPORT_TTL_S, work)
