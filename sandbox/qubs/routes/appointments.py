"""Operational, referrer and billing views of appointments."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from sandbox.qubs import faults as faulting
from sandbox.qubs import paging, views
from sandbox.qubs.billing import billing_record
from sandbox.qubs.problems import Problem
from sandbox.qubs.records import Record
from sandbox.qubs.routes.access import (
    Access,
    answer,
    cursor_page,
    enter,
    known_status,
    selection,
    window,
)

blueprint = Blueprint("appointments", __name__)


def _offset_filters(access: Access) -> dict[str, Any]:
    return {
        "date": paging.date(request.args, "appointmentDate"),
        "site": request.args.get("scheduledSite"),
    }


def _page(access: Access, rows: list[dict[str, Any]], tail: dict[str, Any]) -> Response:
    return answer({"items": faulting.spoil(rows, access.faults), **tail})


@blueprint.get("/appointments/operational", endpoint="integrations_listappointments_operational")
def operational(domain: str) -> Response:
    """Bare array by skip and take."""
    access = enter(domain)
    records = window(access, selection(access, **_offset_filters(access)))
    return access.rows(access.operational(record) for record in records)


@blueprint.get(
    "/appointments/operational/by-status/<status>",
    endpoint="integrations_listappointmentsbystatus_operational",
)
def operational_by_status(domain: str, status: str) -> Response:
    """Cursor page."""
    access = enter(domain)
    records, tail = cursor_page(access, selection(access, status=known_status(status)))
    return _page(access, [access.operational(record) for record in records], tail)


@blueprint.get(
    "/appointments/operational/<appointment_id>",
    endpoint="integrations_getappointment_operational",
)
def operational_one(domain: str, appointment_id: str) -> Response:
    """One record."""
    access = enter(domain)
    with access.emulator.world.lock:
        return access.one(access.operational(access.appointment(appointment_id)))


def _referrer(domain: str) -> tuple[Access, frozenset[str]]:
    access = enter(domain)
    if not access.caller.provider_numbers:
        raise Problem(403, "The caller has no referrer or specialist grant.")
    return access, access.caller.provider_numbers


def _referrer_filters(access: Access) -> dict[str, Any]:
    """``startDate``, ``endDate`` and ``clientUtcOffsetMinutes`` are named by QUBS without a
    meaning, so they are checked for their type and change nothing."""
    paging.date(request.args, "startDate")
    paging.date(request.args, "endDate")
    paging.integer(request.args, "clientUtcOffsetMinutes", 0, -1440, 1440)
    return _offset_filters(access)


def _summary(access: Access, record: Record) -> dict[str, Any]:
    patient = access.domain.patient(record["patientId"]) if record["patientId"] else None
    full = {"patientName": (patient or {}).get("patientName")} | record
    return views.show(full, views.SUMMARY, record["appointmentId"], access.absent)


@blueprint.get("/appointments/referrer", endpoint="integrations_listappointments_referrer")
def referrer(domain: str) -> Response:
    """Bare array of summaries by skip and take."""
    access, providers = _referrer(domain)
    chosen = selection(access, providers=providers, **_referrer_filters(access))
    return access.rows(_summary(access, record) for record in window(access, chosen))


@blueprint.get(
    "/appointments/referrer/by-status/<status>",
    endpoint="integrations_listappointmentsbystatus_referrer",
)
def referrer_by_status(domain: str, status: str) -> Response:
    """Cursor page of summaries."""
    access, providers = _referrer(domain)
    chosen = selection(access, status=known_status(status), providers=providers)
    records, tail = cursor_page(access, chosen)
    return _page(access, [_summary(access, record) for record in records], tail)


@blueprint.get(
    "/appointments/referrer/operational",
    endpoint="integrations_listappointments_referreroperational",
)
def referrer_operational(domain: str) -> Response:
    """Bare array of the operational view by skip and take."""
    access, providers = _referrer(domain)
    chosen = selection(access, providers=providers, **_referrer_filters(access))
    return access.rows(access.operational(record) for record in window(access, chosen))


@blueprint.get(
    "/appointments/referrer/operational/by-status/<status>",
    endpoint="integrations_listappointmentsbystatus_referreroperational",
)
def referrer_operational_by_status(domain: str, status: str) -> Response:
    """Cursor page of the operational view."""
    access, providers = _referrer(domain)
    chosen = selection(access, status=known_status(status), providers=providers)
    records, tail = cursor_page(access, chosen)
    return _page(access, [access.operational(record) for record in records], tail)


@blueprint.get(
    "/appointments/<appointment_id>/billing", endpoint="integrations_getappointment_billing"
)
def billing(domain: str, appointment_id: str) -> Response:
    """One billing view; needs the billing grant."""
    access = enter(domain)
    if not access.caller.billing:
        raise Problem(403, "The caller lacks the grant appointments:read_billing.")
    with access.emulator.world.lock:
        record = access.appointment(appointment_id)
    shown = billing_record(record, access.domain.reference, access.domain.seed)
    return access.one(views.show(shown, views.BILLING, appointment_id, access.absent))
