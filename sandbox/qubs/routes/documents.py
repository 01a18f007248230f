"""Attachments and comments of any appointment, and the shapes the reporting reads share."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, request

from sandbox.qubs import views
from sandbox.qubs.files import DEFAULT_TTL_S, clamped_ttl
from sandbox.qubs.paging import integer
from sandbox.qubs.problems import Problem, bad_request
from sandbox.qubs.records import Record
from sandbox.qubs.routes.access import Access, enter

blueprint = Blueprint("documents", __name__)
_ANY = 2**31 - 1


def link_options() -> tuple[int, str]:
    """``urlTtlSeconds`` (clamped to its bounds) and ``disposition``; raises Problem 400."""
    ttl = integer(request.args, "urlTtlSeconds", DEFAULT_TTL_S, -_ANY, _ANY)
    disposition = request.args.get("disposition", "inline")
    if disposition not in ("inline", "attachment"):
        raise bad_request("disposition", "disposition must be inline or attachment.")
    return clamped_ttl(ttl), disposition


def public_base(access: Access) -> str:
    """Where presigned links point."""
    return (access.settings.public_url or request.host_url).rstrip("/")


def attachments(access: Access, record: Record) -> list[dict[str, Any]]:
    """The attachments of an appointment with fresh links; ``url`` is null without content."""
    ttl, disposition = link_options()
    shown = []
    for item in access.domain.attachments(record):
        if item["stored"]:
            path = (access.domain.spec.name, record["appointmentId"], item["guid"])
            url, expires = access.emulator.files.download_url(
                public_base(access), path, ttl, disposition
            )
            item = item | {"url": url, "urlExpiresAtUtc": expires}
        shown.append(views.show(item, views.ATTACHMENT, item["guid"], access.absent))
    return shown


def comments(access: Access, record: Record) -> list[dict[str, Any]]:
    """The comments of an appointment and of its patient."""
    found = access.domain.comments(record)
    return views.show_all(found, views.COMMENT, "guid", access.absent)


def by_guid(items: list[dict[str, Any]], guid: str) -> dict[str, Any]:
    """The item with a GUID, in any letter case; raises Problem 404."""
    for item in items:
        if item["guid"].lower() == guid.lower():
            return item
    raise Problem(404, "There is no such item on this appointment.")


@blueprint.get(
    "/appointments/<appointment_id>/attachments", endpoint="integrations_listappointmentattachments"
)
def attachment_list(domain: str, appointment_id: str) -> Response:
    """All attachments."""
    access = enter(domain)
    with access.emulator.world.lock:
        return access.rows(attachments(access, access.appointment(appointment_id)))


@blueprint.get(
    "/appointments/<appointment_id>/attachments/<guid>",
    endpoint="integrations_getappointmentattachment",
)
def attachment(domain: str, appointment_id: str, guid: str) -> Response:
    """One attachment."""
    access = enter(domain)
    with access.emulator.world.lock:
        found = attachments(access, access.appointment(appointment_id))
    return access.one(by_guid(found, guid))


@blueprint.get(
    "/appointments/<appointment_id>/comments", endpoint="integrations_listappointmentcomments"
)
def comment_list(domain: str, appointment_id: str) -> Response:
    """All comments."""
    access = enter(domain)
    with access.emulator.world.lock:
        return access.rows(comments(access, access.appointment(appointment_id)))


@blueprint.get(
    "/appointments/<appointment_id>/comments/<guid>", endpoint="integrations_getappointmentcomment"
)
def comment(domain: str, appointment_id: str, guid: str) -> Response:
    """One comment."""
    access = enter(domain)
    with access.emulator.world.lock:
        found = comments(access, access.appointment(appointment_id))
    return access.one(by_guid(found, guid))
