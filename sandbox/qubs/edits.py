"""Edit scripts: change, add and remove records, all of a script or none of it.

An edit is ``{"op", "kind", "domain", "id", "set"}``; ``set`` holds fields of the record, null for
"no value", and may hold ``raw``: members put into the views exactly as given. What ``id`` means and
what an added record needs depends on the kind:

=============  ==============================  =======================================
kind           id                              needed to add
=============  ==============================  =======================================
appointment    appointmentId                   scheduledSite, status
patient        patientId                       nothing
comment        guid (null: a new one)          commentText; appointmentId or patientId
attachment     guid (null: a new one)          appointmentId, fileName
exam-code      examCodeId                      site, key, description
site           siteName                        timeZone
=============  ==============================  =======================================

To change or remove a comment or attachment, ``set`` names the appointmentId it is listed under; an
exam code is named by its ``site`` as well.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.qubs.clock import Clock
from sandbox.qubs.directory import Site
from sandbox.qubs.records import Record
from sandbox.qubs.views import COMMENT, PATIENT
from sandbox.qubs.world import DomainWorld, World

OPS = ("add", "change", "remove")


class EditError(ValueError):
    """The script cannot be applied; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One edit of a script."""

    op: str
    kind: str
    domain: str
    id: str
    set: Mapping[str, Any]


def parse_script(script: Any) -> list[Edit]:
    """The edits of a JSON script; raises EditError."""
    if not isinstance(script, list):
        raise EditError("an edit script is a list of edits")
    return [_parse(item, number) for number, item in enumerate(script)]


def _parse(item: Any, number: int) -> Edit:
    where = f"edit {number}"
    if not isinstance(item, dict) or not set(item) <= {"op", "kind", "domain", "id", "set"}:
        raise EditError(f"{where}: an edit has op, kind, domain, id and set")
    if item.get("op") not in OPS:
        raise EditError(f"{where}: op must be add, change or remove")
    if item.get("kind") not in _APPLY:
        raise EditError(f"{where}: kind must be one of {', '.join(_APPLY)}")
    values = item.get("set") or {}
    key = item.get("id")
    made = key is None and item["op"] == "add" and item["kind"] in ("comment", "attachment")
    if not isinstance(values, dict) or not (made or (isinstance(key, str) and key)):
        raise EditError(f"{where}: id must be a text and set an object")
    identifier = str(uuid.uuid4()) if made else str(key)
    return Edit(item["op"], item["kind"], str(item.get("domain")), identifier, values)


def apply_script(world: World, edits: list[Edit], clock: Clock) -> list[str]:
    """Apply all edits; returns the id of each. Raises EditError with nothing changed."""
    with world.lock:
        saved = {name: domain.overlay() for name, domain in world.domains.items()}
        try:
            for number, edit in enumerate(edits):
                domain = world.domains.get(edit.domain)
                if domain is None:
                    raise EditError(f"edit {number}: there is no such domain")
                try:
                    _APPLY[edit.kind](domain, edit, clock.text())
                except EditError as error:
                    raise EditError(f"edit {number}: {error}") from None
        except BaseException:
            for name, overlay in saved.items():
                world.domains[name].restore(overlay)
            raise
    return [edit.id for edit in edits]


def _known(edit: Edit, found: object | None) -> None:
    if edit.op == "add" and found is not None:
        raise EditError(f"there is already such a {edit.kind}")
    if edit.op != "add" and found is None:
        raise EditError(f"there is no such {edit.kind}")


def _needs(edit: Edit, *names: str) -> None:
    for name in names:
        if edit.op == "add" and edit.set.get(name) is None:
            raise EditError(f"{name} is needed to add a {edit.kind}")


def _appointment(domain: DomainWorld, edit: Edit, now: str) -> None:
    found = domain.appointment(edit.id)
    _known(edit, found)
    _needs(edit, "scheduledSite", "status")
    if edit.op == "remove":
        domain.remove_appointment(edit.id)
        return
    start = found if found is not None else dict.fromkeys(_APPOINTMENT_FIELDS)
    own: Record = {"domain": domain.spec.name, "appointmentId": edit.id}
    domain.put_appointment({**start, "lastModifiedDateTime": now, **edit.set, **own})


def _patient(domain: DomainWorld, edit: Edit, now: str) -> None:
    found = domain.patient(edit.id)
    _known(edit, found)
    if edit.op == "remove":
        domain.edited_patients[edit.id] = None
        return
    own: Record = {"domain": domain.spec.name, "patientId": edit.id}
    start = found if found is not None else dict.fromkeys(PATIENT)
    domain.edited_patients[edit.id] = {**start, "lastModifiedDateTime": now, **edit.set, **own}


def _listed_under(domain: DomainWorld, edit: Edit) -> Record:
    record = domain.appointment(str(edit.set.get("appointmentId")))
    if record is None:
        raise EditError("set must name an existing appointmentId")
    return record


def _comment(domain: DomainWorld, edit: Edit, now: str) -> None:
    if edit.op != "add":
        listed = domain.comments(_listed_under(domain, edit))
        _known(edit, next((item for item in listed if item["guid"] == edit.id), None))
        patch = {name: value for name, value in edit.set.items() if name != "appointmentId"}
        old = domain.edited_comments.get(edit.id) or {}
        changed = {"lastModifiedDateTime": now, **patch}
        domain.edited_comments[edit.id] = None if edit.op == "remove" else {**old, **changed}
        return
    _needs(edit, "commentText")
    kind = edit.set.get("commentType") or "AC"
    stored: Record = {
        **dict.fromkeys(COMMENT),
        "commentType": kind,
        "isAlert": kind in ("AA", "PA"),
        "commentDateTime": now,
        **edit.set,
        "guid": edit.id,
    }
    if kind in ("PC", "PA"):
        _needs(edit, "patientId")
        stored["appointmentId"] = ""
        domain.added_patient_comments.setdefault(str(edit.set["patientId"]), []).append(stored)
        return
    record = _listed_under(domain, edit)
    if "patientId" not in edit.set:
        stored["patientId"] = record["patientId"]
    domain.added_comments.setdefault(record["appointmentId"], []).append(stored)


def _attachment(domain: DomainWorld, edit: Edit, now: str) -> None:
    record = _listed_under(domain, edit)
    if edit.op != "add":
        listed = domain.attachments(record)
        _known(edit, next((item for item in listed if item["guid"] == edit.id), None))
        patch = {name: value for name, value in edit.set.items() if name != "appointmentId"}
        old = domain.edited_attachments.get(edit.id) or {}
        changed = {"lastModifiedDateTime": now, **patch}
        domain.edited_attachments[edit.id] = None if edit.op == "remove" else {**old, **changed}
        return
    _needs(edit, "fileName")
    patch = {name: value for name, value in edit.set.items() if name != "appointmentId"}
    stored = {"category": "Referral", "addedDateTime": now, "stored": True, **patch}
    kept = domain.added_attachments.setdefault(record["appointmentId"], [])
    kept.append({**stored, "guid": edit.id})


def _exam_code(domain: DomainWorld, edit: Edit, now: str) -> None:
    site = domain.sites.get(str(edit.set.get("site")))
    if site is None:
        raise EditError("set must name an existing site")
    found = site.exam_codes.get(edit.id)
    _known(edit, found)
    _needs(edit, "key", "description")
    if edit.op == "remove":
        del site.exam_codes[edit.id]
        return
    changed = {**(found or {}), "lastModifiedDateTime": now, **edit.set, "examCodeId": edit.id}
    site.exam_codes[edit.id] = changed


def _site(domain: DomainWorld, edit: Edit, _now: str) -> None:
    found = domain.sites.get(edit.id)
    _known(edit, found)
    _needs(edit, "timeZone")
    if edit.op == "remove":
        del domain.sites[edit.id]
        return
    values = dict(edit.set)
    carrying = values.pop("patientIds", None)
    if carrying is not None and not isinstance(carrying, bool):
        raise EditError("patientIds must be true or false")
    own: Record = {"domain": domain.spec.name, "siteName": edit.id}
    grid: Record = {"examKeys": [], "employees": []}
    site = copy.deepcopy(found) or Site(edit.id, {}, False, {}, grid)
    site.settings = {**site.settings, **values, **own}
    site.patient_ids = site.patient_ids if carrying is None else carrying
    domain.sites[edit.id] = site


_APPOINTMENT_FIELDS = (
    "domain appointmentId scheduledSite status appointmentDate startTime endTime modality "
    "studyDescription room priority billingStatus billingType arrivalDateTime scanStartDateTime "
    "scanEndDateTime patientId lastModifiedDateTime clinicalInfo reportingDeadline radiologist "
    "examCodes providerNumber"
).split()

_APPLY: dict[str, Callable[[DomainWorld, Edit, str], None]] = {
    "appointment": _appointment,
    "patient": _patient,
    "comment": _comment,
    "attachment": _attachment,
    "exam-code": _exam_code,
    "site": _site,
}
