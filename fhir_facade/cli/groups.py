"""`group`: groups of patients, for exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import click

from fhir_facade.cli.inputs import read_instant
from fhir_facade.cli.operator import TENANT, Operator, operator
from fhir_facade.cli.printing import JSON, instant, print_list, print_one
from fhir_facade.errors import Conflict, NotFound
from fhir_facade.mirror.groups import GroupDefinition, GroupMember, listed

Rule = Literal["tenant", "site", "listed"]
RULES: dict[str, Rule] = {"everyone": "tenant", "site": "site", "members": "listed"}
"""Options that say who is in a group, with the rules they stand for."""
MOST = 1_000_000
ALL = click.option("--all", "everyone", is_flag=True, help="All patients of the tenant.")
SITE = click.option("--site", help="Patients with an appointment at this Location (its id).")
FILE = click.option(
    "--from-file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of patients' ids, one a line.",
)


@click.group("group")
def groups() -> None:
    """Groups of patients, for exports."""


@groups.command("add")
@TENANT
@click.argument("group_id")
@click.option("--name", required=True)
@ALL
@SITE
@click.option("--member", "members", multiple=True, help="Id of a patient; repeatable.")
@FILE
def add_group(
    tenant: str | None,
    group_id: str,
    name: str,
    members: tuple[str, ...],
    file: Path | None,
    **who: Any,
) -> None:
    """Make or change a group: exactly one of --all, --site and --member (or --from-file) says who
    is in it.
    """
    members += _ids_in(file)
    rule, value = _rule(who | {"members": members})
    with operator(tenant) as at:
        definition = GroupDefinition(group_id, name, rule, value, listed(members))
        at.parts.groups.define(at.tenant, definition)
        _refresh(at, "group defined", group_id)
    click.echo(group_id)


@groups.command("list")
@TENANT
@JSON
def list_groups(tenant: str | None, as_json: bool) -> None:
    """List groups: id, name, rule, state, members."""
    with operator(tenant) as at:
        counts = at.parts.groups.counts(at.tenant)
        defined = at.parts.groups.list(at.tenant, members=False)
        found = [_described(group, counts) for group in defined]
    print_list(found, ("group_id", "name", "rule", "state", "members"), as_json)


@groups.command("show")
@TENANT
@click.argument("group_id")
@JSON
def show_group(tenant: str | None, group_id: str, as_json: bool) -> None:
    """Show a group, how many members it has, and which apps may export it."""
    with operator(tenant) as at:
        shown = _described(_group(at, group_id), at.parts.groups.counts(at.tenant))
        shown["apps"] = _exporters(at, group_id)
    print_one(shown, as_json)


@groups.command("set")
@TENANT
@click.argument("group_id")
@click.option("--name")
@ALL
@SITE
@click.option("--listed", "members", is_flag=True, help="The patients on its list.")
def set_group(tenant: str | None, group_id: str, name: str | None, **who: Any) -> None:
    """Change the name of a group, or the rule that says who is in it; its list stays."""
    if name is None and not any(who.values()):
        raise click.UsageError("Say what to change.")
    with operator(tenant) as at:
        group = _group(at, group_id)
        if any(who.values()):
            rule, value = _rule(who)
            group = replace(group, rule=rule, rule_value=value)
        group = replace(group, name=group.name if name is None else name)
        at.parts.groups.change(at.tenant, group, as_of=group.version)
        _refresh(at, "group changed", group_id)


@groups.command("activate")
@TENANT
@click.argument("group_id")
def activate(tenant: str | None, group_id: str) -> None:
    """Let a group have members again."""
    with operator(tenant) as at:
        group = replace(_group(at, group_id), active=True)
        at.parts.groups.change(at.tenant, group, as_of=group.version)
        _refresh(at, "group made active", group_id)


@groups.command("deactivate")
@TENANT
@click.argument("group_id")
def deactivate(tenant: str | None, group_id: str) -> None:
    """Keep a group, without members."""
    with operator(tenant) as at:
        at.parts.groups.deactivate(at.tenant, group_id)
        at.acts.record_group("group made inactive", group_id)


@groups.command("remove")
@TENANT
@click.argument("group_id")
@click.confirmation_option(prompt="Remove the group?")
def remove(tenant: str | None, group_id: str) -> None:
    """Remove a group, unless an app may export it."""
    with operator(tenant) as at:
        if _exporters(at, group_id):
            raise Conflict("Take the group from the apps that may export it first.")
        at.parts.groups.remove(at.tenant, group_id)
        at.acts.record_group("group removed", group_id)


@groups.command("refresh")
@TENANT
def refresh(tenant: str | None) -> None:
    """Find the members of every group now, instead of within a minute."""
    with operator(tenant) as at:
        at.parts.groups.refresh(at.tenant)


@groups.command("members")
@TENANT
@click.argument("group_id")
@click.option("--now", "present", is_flag=True, help="Who is in it now, by whatever rule.")
@JSON
def members(tenant: str | None, group_id: str, present: bool, as_json: bool) -> None:
    """List whom an operator put on a group's list: patient, from when, until when, state."""
    with operator(tenant) as at:
        _group(at, group_id)
        if present:
            found = [{"patient": one} for one in _present(at, group_id)]
            columns: tuple[str, ...] = ("patient",)
        else:
            on_list = at.parts.groups.listed(at.tenant, group_id, limit=MOST)
            found = [_member(at, one) for one in on_list]
            columns = ("patient", "start", "end", "state")
    print_list(found, columns, as_json)


@groups.command("put")
@TENANT
@click.argument("group_id")
@click.argument("patients", nargs=-1, metavar="PATIENT...")
@FILE
@click.option("--from", "start", help="First day or instant of the membership.")
@click.option("--to", "end", help="Last day of it, or the instant at which it ends.")
@click.option("--inactive", is_flag=True, help="On the list, but no longer in the group.")
def put(
    tenant: str | None,
    group_id: str,
    patients: tuple[str, ...],
    file: Path | None,
    start: str | None,
    end: str | None,
    inactive: bool,
) -> None:
    """Put patients on a group's list, or change their periods."""
    patients += _ids_in(file)
    if not patients:
        raise click.UsageError("Name patients, or give --from-file.")
    with operator(tenant) as at:
        at.known_patients(patients)
        start_us = None if start is None else read_instant(start, at.zone)
        end_us = None if end is None else read_instant(end, at.zone, "end")
        rows = [GroupMember(one, start_us, end_us, inactive) for one in dict.fromkeys(patients)]
        at.parts.groups.change_members(at.tenant, group_id, put=rows)
        _refresh(at, "group members changed", group_id, patients)


@groups.command("take")
@TENANT
@click.argument("group_id")
@click.argument("patients", nargs=-1, required=True, metavar="PATIENT...")
def take(tenant: str | None, group_id: str, patients: tuple[str, ...]) -> None:
    """Take patients from a group's list."""
    with operator(tenant) as at:
        at.parts.groups.change_members(at.tenant, group_id, take=patients)
        _refresh(at, "group members changed", group_id, patients)


def _ids_in(file: Path | None) -> tuple[str, ...]:
    if file is None:
        return ()
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    return tuple(line for line in lines if line)


def _rule(who: dict[str, Any]) -> tuple[Rule, str]:
    """The rule asked for, and its value."""
    given = [name for name in RULES if who[name]]
    if len(given) != 1:
        raise click.UsageError("Give exactly one of --all, --site and a list of members.")
    return RULES[given[0]], who["site"] or ""


def _refresh(at: Operator, act: str, group_id: str, patients: tuple[str, ...] = ()) -> None:
    """Let what changed take effect, and keep the act: once, or for each patient."""
    at.parts.groups.refresh_due(at.tenant)
    for patient in patients or (None,):
        at.acts.record_group(act, group_id, patient)


def _group(at: Operator, group_id: str) -> GroupDefinition:
    found = at.parts.groups.get(at.tenant, group_id, members=False)
    if found is None:
        raise NotFound("There is no group of that id.")
    return found


def _exporters(at: Operator, group_id: str) -> list[str]:
    """The client_ids of the apps that were given the group."""
    clients = at.store.clients.list(at.tenant)
    return [one.client_id for one in clients if group_id in one.groups]


def _present(at: Operator, group_id: str) -> list[str]:
    from fhir_facade.mirror.versions import current_revision

    with at.parts.database.read() as conn:
        revision, _ = current_revision(conn, at.tenant)
        return list(at.parts.groups.members(conn, at.tenant, group_id, revision, limit=MOST))


def _described(group: GroupDefinition, counts: dict[str, int]) -> dict[str, Any]:
    return {
        "group_id": group.group_id,
        "name": group.name,
        "rule": group.rule,
        "rule_value": group.rule_value,
        "state": "active" if group.active else "inactive",
        "members": counts.get(group.group_id, 0),
    }


def _member(at: Operator, member: GroupMember) -> dict[str, Any]:
    def shown(micros: int | None) -> str | None:
        return instant(None if micros is None else micros // 1_000_000, at.zone)

    return {
        "patient": member.patient_id,
        "start": shown(member.start_us),
        "end": shown(member.end_us),
        "state": "inactive" if member.inactive else "active",
    }
