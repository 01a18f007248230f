"""The trail: who did what, when, to whose data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from urllib.parse import urlencode

from flask import Response, request

from fhir_facade.audit.query import (
    Among,
    AnyOf,
    AuditQuery,
    AuditRow,
    Condition,
    OfPatients,
    Recorded,
)
from fhir_facade.console.desk import Desk, Reception
from fhir_facade.console.periods import ENDS_EARLY, SECOND_US, WRITE_ONE, read_end, read_start
from fhir_facade.fhir.dates import InvalidDate
from fhir_facade.resources.audit_acts import INTERACTIONS, OTHERS, REST
from smart_auth.web.routes import FORM, Route
from smart_auth.web.times import moment

PAGE = 50
OUTCOMES = (("", "Any"), ("success", "Success"), ("refused", "Refused"), ("error", "Error"))
ACTIONS = (*OTHERS, *INTERACTIONS)
LONGEST = 200
GREATEST_KEY = 2**63 - 1


@dataclass(frozen=True)
class AuditForm:
    """What is asked for, each as text; '' asks for nothing."""

    start: str = ""
    end: str = ""
    client_id: str = ""
    user: str = ""
    patient: str = ""
    action: str = ""
    outcome: str = ""
    correlation_id: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> AuditForm:
        """From a form, or from the query of an address."""
        return cls(**{one.name: form.get(one.name, "").strip()[:LONGEST] for one in fields(cls)})

    @property
    def asked(self) -> dict[str, str]:
        """The fields that ask for something."""
        return {name: value for name, value in vars(self).items() if value}


class AuditViews:
    """One page."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """The page."""
        return [self._reception.route("/audit", self.audit, FORM)]

    def audit(self, desk: Desk) -> Response:
        """Newest first, page by page. A POST asks, and leads to an address that names a user by
        id."""
        if request.method == "POST":
            return self._ask(desk)
        form = AuditForm.of(request.args)
        conditions, errors = _conditions(desk, form)
        if errors:
            return _page(desk, form, 422, errors=errors)
        behind = _key(request.args.get("after", ""))
        query = AuditQuery(desk.slug, conditions, after=behind, limit=PAGE + 1)
        rows = desk.parts.audit.trail.find(query)
        known = form.patient and desk.ports.patient_exists(desk.slug, form.patient)
        desk.acts.record("audit trail read", patient_id=form.patient if known else None)
        more = {**form.asked, "after": str(rows[PAGE - 1].pk)} if len(rows) > PAGE else None
        return _page(
            desk,
            form,
            rows=rows[:PAGE],
            more=None if more is None else urlencode(more),
            first=behind is None,
        )

    def _ask(self, desk: Desk) -> Response:
        written = AuditForm.of(request.form)
        _, errors = _conditions(desk, written)
        asked = written.asked
        if written.user:
            user = desk.store.users.by_username(desk.slug, written.user)
            user = user or desk.store.users.get(desk.slug, written.user)
            known = user or desk.store.users.former(desk.slug, written.user)
            if known is None:
                errors["user"] = "There is no user of this name, nor was there one."
            else:
                asked["user"] = known.user_id
        if written.patient and not _is_patient(desk, written.patient):
            # What is in the address must be an id, whatever was written into the field.
            errors["patient"] = "There is no patient of this account, nor was there one."
        if errors:
            return _page(desk, written, 422, errors=errors)
        return desk.to(f"/audit?{urlencode(asked)}" if asked else "/audit")


def _is_patient(desk: Desk, patient: str) -> bool:
    """Whether this is the id of a patient, or of one the trail still knows."""
    if desk.ports.patient_exists(desk.slug, patient):
        return True
    return bool(
        desk.parts.audit.trail.find(AuditQuery(desk.slug, (OfPatients((patient,)),), limit=1))
    )


def _key(text: str) -> int | None:
    """The key of a row; None for what is none."""
    key = int(text) if text.isascii() and text.isdecimal() and len(text) < 20 else GREATEST_KEY + 1
    return key if key <= GREATEST_KEY else None


def _conditions(desk: Desk, form: AuditForm) -> tuple[tuple[Condition, ...], dict[str, str]]:
    """What rows must meet, and which fields cannot be understood."""
    found: list[Condition] = []
    errors: dict[str, str] = {}
    bounds: dict[str, int | None] = {"start": None, "end": None}
    for name, read in (("start", read_start), ("end", read_end)):
        try:
            bounds[name] = read(getattr(form, name), desk.zone)
        except InvalidDate:
            errors[name] = WRITE_ONE
    start, end = bounds["start"], bounds["end"]
    if start is not None and end is not None and end <= start:
        errors["end"] = ENDS_EARLY
    if start is not None or end is not None:
        found.append(Recorded(start, end))
    if form.client_id:
        found.append(Among("client_id", (form.client_id,)))
    if form.user:
        found.append(AnyOf((Among("user_id", (form.user,)), Among("actor", (form.user,)))))
    if form.patient:
        found.append(OfPatients((form.patient,)))
    if form.action in INTERACTIONS:
        found += [Among("action", (REST,)), Among("interaction", (form.action,))]
    elif form.action:
        found.append(Among("action", (form.action,)))
    if form.outcome:
        found.append(Among("outcome", (form.outcome,)))
    if form.correlation_id:
        found.append(Among("correlation_id", (form.correlation_id,)))
    return tuple(found), errors


def _page(
    desk: Desk,
    form: AuditForm,
    status: int = 200,
    *,
    rows: Sequence[AuditRow] = (),
    errors: dict[str, str] | None = None,
    more: str | None = None,
    first: bool = True,
) -> Response:
    people = {name for row in rows for name in (row.user_id, row.actor)}
    asked_user = {form.user} if form.user else set()
    names = desk.store.oversight.names(desk.slug, people | asked_user)
    return desk.page(
        "audit",
        status,
        rows=[(row, moment(desk.tenant, row.recorded_us // SECOND_US)) for row in rows],
        names=names,
        form=form,
        username=names.get(form.user, form.user),
        errors=errors or {},
        more=more,
        first=first,
        filters=urlencode(form.asked),
        actions=[("", "Any"), *((action, action) for action in ACTIONS)],
        outcomes=OUTCOMES,
    )
