"""Groups: the list, new ones, what one is, and which apps may export it."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Response, request

from fhir_facade.console.desk import CHANGED, GROUP, Desk, Reception, is_current, key_of
from fhir_facade.console.group_forms import RULES, GroupForm, id_from
from fhir_facade.console.sites import sites_of
from fhir_facade.errors import Conflict, NotFound
from fhir_facade.mirror.groups import GroupDefinition
from smart_auth.records import Client
from smart_auth.web.routes import FORM, READ, Route

DONE = {
    "created": "The group was made.",
    "changed": "The changes are in force.",
    "removed": "The group was removed.",
}


class GroupViews:
    """The list and the page of a group, with its acts."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception

    def routes(self) -> list[Route]:
        """All that is about groups, but their members."""
        route = self._reception.route
        return [
            route("/groups", self.groups, READ),
            route("/groups/new", self.new),
            route("/groups/<key>", self.group, FORM, GROUP),
            route("/groups/<key>/remove", self.remove, FORM, GROUP),
        ]

    def groups(self, desk: Desk) -> Response:
        """All groups, with how many members they have."""
        return desk.page(
            "groups",
            groups=desk.parts.groups.list(desk.slug, members=False),
            counts=desk.parts.groups.counts(desk.slug),
            sites=dict(sites_of(desk.parts.database, desk.slug)),
            apps=desk.store.clients.list(desk.slug),
            told=_told(),
        )

    def new(self, desk: Desk) -> Response:
        """Make a group."""
        sites = sites_of(desk.parts.database, desk.slug)
        form = GroupForm.of(request.form) if request.method == "POST" else GroupForm()
        errors, status = {}, 200
        if request.method == "POST":
            errors, status = form.problems(sites), 422
            if not errors:
                group_id = form.group_id or id_from(form.name)
                group = form.applied(GroupDefinition(group_id, form.name, "listed"))
                try:
                    desk.parts.groups.define(desk.slug, group, as_of=0)
                except Conflict:
                    errors, status = {"group_id": "There is a group of this id."}, 409
                else:
                    desk.acts.record_group("group changed", group_id)
                    desk.parts.groups.refresh_due(desk.slug)
                    onward = "/members" if group.rule == "listed" else ""
                    return desk.to(f"/groups/{key_of(group_id)}{onward}?done=created")
        return desk.page("group_new", status, form=form, errors=errors, sites=sites, rules=_rules())

    def group(self, desk: Desk, group: GroupDefinition) -> Response:
        """What it is; a POST changes that."""
        if request.method != "POST":
            return show_group(desk, group)
        if not is_current(group):
            return show_group(desk, group, 409, problem=CHANGED)
        form = GroupForm.of(request.form)
        sites = [*sites_of(desk.parts.database, desk.slug), (group.rule_value, "")]
        errors = form.problems(sites)
        if errors:
            return show_group(desk, group, 422, form=form, errors=errors)
        try:
            desk.parts.groups.change(desk.slug, form.applied(group), as_of=group.version)
        except (Conflict, NotFound):
            return changed_since(desk, group)
        desk.acts.record_group("group changed", group.group_id)
        desk.parts.groups.refresh_due(desk.slug)
        return desk.to(f"/groups/{key_of(group.group_id)}?done=changed")

    def remove(self, desk: Desk, group: GroupDefinition) -> Response:
        """Ask whether to remove it; a POST does so, unless an app may export it."""
        if request.method != "POST":
            return desk.page("group_remove", group=group, apps=exporters(desk, group))
        if not is_current(group):
            return show_group(desk, group, 409, problem=CHANGED)
        if exporters(desk, group):
            text = "Take the group from the apps that may export it first."
            return show_group(desk, group, 409, problem=text)
        try:
            desk.parts.groups.remove(desk.slug, group.group_id)
        except NotFound:
            return desk.missing("group")
        desk.acts.record_group("group removed", group.group_id)
        return desk.to("/groups?done=removed")


def exporters(desk: Desk, group: GroupDefinition) -> Sequence[Client]:
    """The backend services that were given the group."""
    return [app for app in desk.store.clients.list(desk.slug) if group.group_id in app.groups]


def changed_since(desk: Desk, group: GroupDefinition) -> Response:
    """The group as it is now."""
    now = GROUP.find(desk, group.group_id)
    return desk.missing("group") if now is None else show_group(desk, now, 409, problem=CHANGED)


def show_group(
    desk: Desk,
    group: GroupDefinition,
    status: int = 200,
    *,
    form: GroupForm | None = None,
    errors: dict[str, str] | None = None,
    problem: str = "",
) -> Response:
    """The page of a group; with a `problem` as the group is now."""
    return desk.page(
        "group",
        status,
        group=group,
        form=form or GroupForm.from_group(group),
        errors=errors or {},
        problem=problem,
        told=_told(),
        count=desk.parts.groups.counts(desk.slug).get(group.group_id, 0),
        apps=exporters(desk, group),
        everywhere=[app for app in desk.store.clients.list(desk.slug) if app.whole_tenant],
        sites=sites_of(desk.parts.database, desk.slug),
        rules=_rules(),
    )


def _told() -> str:
    return DONE.get(request.args.get("done", ""), "")


def _rules() -> list[tuple[str, str, str]]:
    return [(rule, label, hint) for rule, (label, hint) in RULES.items()]
