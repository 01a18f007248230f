"""Tele-reporting: the worklist and its reads. Everything here is 404 unless the appointment is
``PENDING REPORTING``."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response

from sandbox.qubs import faults as faulting
from sandbox.qubs import views
from sandbox.qubs.problems import Problem
from sandbox.qubs.records import Record
from sandbox.qubs.routes.access import Access, answer, cursor_page, enter, selection
from sandbox.qubs.routes.documents import attachments, by_guid, comments
from sandbox.qubs.vocabulary import PENDING

blueprint = Blueprint("reporting", __name__)


def pending_appointment(access: Access, appointment_id: str) -> Record:
    """An appointment that waits for a report; raises Problem 404 for any other."""
    record = access.appointment(appointment_id)
    if record["status"] != PENDING:
        raise Problem(404, "There is no such appointment waiting for a report.")
    return record


def _tele_reporting(access: Access, record: Record) -> dict[str, Any]:
    patient_id = record["patientId"]
    patient = access.domain.patient(patient_id) if isinstance(patient_id, str) else None
    known = patient or {}
    full = {name: known.get(name) for name in ("patientName", "dateOfBirth", "gender")} | record
    fields = views.TELE_REPORTING
    if access.settings.legacy_pending:
        fields = views.LEGACY
        full["key"] = f"{record['domain']}#{record['appointmentId']}"
    return views.show(full, fields, record["appointmentId"], access.absent)


@blueprint.get(
    "/reporting/appointments/pending", endpoint="integrations_listpendingreportingappointments"
)
def pending(domain: str) -> Response:
    """Cursor page of the worklist."""
    access = enter(domain)
    records, tail = cursor_page(access, selection(access, status=PENDING))
    rows = [_tele_reporting(access, record) for record in records]
    return answer({"items": faulting.spoil(rows, access.faults), **tail})


@blueprint.get(
    "/reporting/appointments/<appointment_id>",
    endpoint="integrations_getpendingreportingappointment",
)
def pending_one(domain: str, appointment_id: str) -> Response:
    """One item of the worklist."""
    access = enter(domain)
    with access.emulator.world.lock:
        record = pending_appointment(access, appointment_id)
        return access.one(_tele_reporting(access, record))


@blueprint.get(
    "/reporting/appointments/<appointment_id>/attachments",
    endpoint="integrations_listpendingreportingappointmentattachments",
)
def attachment_list(domain: str, appointment_id: str) -> Response:
    """All attachments."""
    access = enter(domain)
    with access.emulator.world.lock:
        return access.rows(attachments(access, pending_appointment(access, appointment_id)))


@blueprint.get(
    "/reporting/appointments/<appointment_id>/attachments/<guid>",
    endpoint="integrations_getpendingreportingappointmentattachment",
)
def attachment(domain: str, appointment_id: str, guid: str) -> Response:
    """One attachment."""
    access = enter(domain)
    with access.emulator.world.lock:
        found = attachments(access, pending_appointment(access, appointment_id))
    return access.one(by_guid(found, guid))


@blueprint.get(
    "/reporting/appointments/<appointment_id>/comments",
    endpoint="integrations_listpendingreportingappointmentcomments",
)
def comment_list(domain: str, appointment_id: str) -> Response:
    """All comments."""
    access = enter(domain)
    with access.emulator.world.lock:
        return access.rows(comments(access, pending_appointment(access, appointment_id)))


@blueprint.get(
    "/reporting/appointments/<appointment_id>/comments/<guid>",
    endpoint="integrations_getpendingreportingappointmentcomment",
)
def comment(domain: str, appointment_id: str, guid: str) -> Response:
    """One comment."""
    access = enter(domain)
    with access.emulator.world.lock:
        found = comments(access, pending_appointment(access, appointment_id))
    return access.one(by_guid(found, guid))
