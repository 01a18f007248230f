"""Who is in a group: the list with its periods, or whom its rule finds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from flask import Response, request

from fhir_facade import clock
from fhir_facade.console.desk import CHANGED, GROUP, Desk, Reception, is_current, key_of
from fhir_facade.console.group_forms import MemberForm
from fhir_facade.console.patient_views import (
    Search,
    chosen_patients,
    search_patients,
    shown_patients,
)
from fhir_facade.errors import Conflict, NotFound
from fhir_facade.mirror import versions
from fhir_facade.mirror.groups import GroupDefinition, GroupMember
from smart_auth.web import pages
from smart_auth.web.routes import FORM, Route

PAGE = 50


class MemberViews:
    """One page a group."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """The page."""
        return [self._reception.route("/groups/<key>/members", self.members, FORM, GROUP)]

    def members(self, desk: Desk, group: GroupDefinition) -> Response:
        """Page by page. Of a list, a POST searches patients, adds those ticked, changes periods or
        takes somebody away."""
        if group.rule != "listed":
            return _found(desk, group)
        if request.method != "POST":
            return _show(desk, group)
        action = pages.posted("action")
        if action == "search":
            return _show(desk, group, search=search_patients(desk, partial(_listed, desk, group)))
        if not is_current(group):
            return _show(desk, group, 409, problem=CHANGED)
        try:
            if action == "add":
                return _add(desk, group)
            if action == "save":
                return _save(desk, group)
        except (Conflict, NotFound):
            now = GROUP.find(desk, group.group_id)
            return desk.missing("group") if now is None else _show(desk, now, 409, problem=CHANGED)
        return _show(desk, group, 400, problem="The form does not say what to do.")


def _add(desk: Desk, group: GroupDefinition) -> Response:
    chosen = chosen_patients(desk)
    if not chosen:
        return _show(desk, group, 422, problem="Tick at least one patient to add.")
    text = MemberForm("", pages.posted("start").strip(), pages.posted("end").strip())
    member, errors = text.judged(desk.zone)
    if member is None:
        return _show(desk, group, 422, problem=" ".join(errors.values()))
    put = [GroupMember(one, member.start_us, member.end_us) for one in chosen]
    return _keep(desk, group, put, [])


def _save(desk: Desk, group: GroupDefinition) -> Response:
    """The rows of the form: those ticked to be taken away, and the periods of the others."""
    rows = [MemberForm.of(request.form, one) for one in request.form.getlist("row")[:PAGE]]
    take = set(request.form.getlist("take"))
    put: list[GroupMember] = []
    errors: dict[str, str] = {}
    for row in rows:
        if row.patient_id in take:
            continue
        member, problems = row.judged(desk.zone)
        if member is None:
            errors |= {f"{name}/{row.patient_id}": text for name, text in problems.items()}
        else:
            put.append(member)
    if errors:
        return _show(desk, group, 422, rows=rows, errors=errors)
    had = _listed(desk, group, [row.patient_id for row in rows] + sorted(take))
    changed = [one for one in put if one.patient_id in had and had[one.patient_id] != one]
    return _keep(desk, group, changed, sorted(take & had.keys()))


def _listed(desk: Desk, group: GroupDefinition, ids: Sequence[str]) -> dict[str, GroupMember]:
    """Those of the patients who are on the list."""
    return desk.parts.groups.listed_among(desk.slug, group.group_id, ids)


def _keep(
    desk: Desk, group: GroupDefinition, put: Sequence[GroupMember], take: Sequence[str]
) -> Response:
    name = group.group_id
    if put or take:
        desk.parts.groups.change_members(desk.slug, name, put=put, take=take, as_of=group.version)
        for patient in [*(one.patient_id for one in put), *take]:
            desk.acts.record_group("group members changed", name, patient)
        desk.parts.groups.refresh_due(desk.slug)
    return desk.to(f"/groups/{key_of(name)}/members?done=changed")


def _show(
    desk: Desk,
    group: GroupDefinition,
    status: int = 200,
    *,
    search: Search | None = None,
    rows: Sequence[MemberForm] | None = None,
    errors: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    behind = request.args.get("after", "")
    page = desk.parts.groups.listed(desk.slug, group.group_id, after=behind, limit=PAGE + 1)
    members, more = page[:PAGE], len(page) > PAGE
    now = clock.now_us()
    shown = rows or [MemberForm.from_member(one, desk.zone) for one in members]
    known = {one.id: one for one in shown_patients(desk, [row.patient_id for row in shown])}
    return desk.page(
        "group_members",
        status,
        group=group,
        rows=[(row, known[row.patient_id]) for row in shown],
        states={one.patient_id: _state(one, now) for one in members},
        count=desk.parts.groups.counts(desk.slug).get(group.group_id, 0),
        more=members[-1].patient_id if more else None,
        first=not behind,
        search=search or Search(),
        errors=errors or {},
        problem=problem,
        told="The list is in force." if request.args.get("done") else "",
    )


def _state(member: GroupMember, now_us: int) -> tuple[str, str]:
    """In a word, and the badge's kind."""
    if member.inactive:
        return "inactive", ""
    if member.over(now_us):
        return "left", ""
    return ("in the group", "good") if member.begun(now_us) else ("comes later", "warn")


def _found(desk: Desk, group: GroupDefinition) -> Response:
    """Whom a rule finds now; there is nothing to change."""
    behind = request.args.get("after", "")
    with desk.parts.database.read() as conn:
        revision = versions.current_revision(conn, desk.slug)[0]
        page = desk.parts.groups.members(
            conn, desk.slug, group.group_id, revision, after=behind, limit=PAGE + 1
        )
    return desk.page(
        "group_found",
        group=group,
        patients=shown_patients(desk, page[:PAGE]),
        count=desk.parts.groups.counts(desk.slug).get(group.group_id, 0),
        more=page[PAGE - 1] if len(page) > PAGE else None,
        first=not behind,
    )
