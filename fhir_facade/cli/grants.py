"""`grant` and `session`: what people and backends hold now, and how to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fhir_facade.cli.operator import TENANT, Operator, operator
from fhir_facade.cli.printing import JSON, instant, print_list
from fhir_facade.errors import NotFound

if TYPE_CHECKING:
    from smart_auth.records import Grant, Session

USER = click.option("--user", "username", help="Of this user.")
APP = click.option("--app", "client_id", help="Of this app.")


@click.group("grant")
def grants() -> None:
    """What apps were given: each grant is one consent, or one backend's token."""


@grants.command("list")
@TENANT
@USER
@APP
@click.option("--patient", help="About this patient.")
@JSON
def list_grants(
    tenant: str | None,
    username: str | None,
    client_id: str | None,
    patient: str | None,
    as_json: bool,
) -> None:
    """List grants in force, newest first: id, app, user, patient, until when."""
    with operator(tenant) as at:
        live = _live(at, username, client_id)
        found = [
            _described(at, one) for one in live if patient is None or patient == one.context.patient
        ]
    print_list(found, ("grant_id", "client_id", "username", "patient", "until"), as_json)


@grants.command("end")
@TENANT
@click.argument("grant_ids", nargs=-1, metavar="[GRANT_ID]...")
@USER
@APP
def end_grants(
    tenant: str | None, grant_ids: tuple[str, ...], username: str | None, client_id: str | None
) -> None:
    """End grants by id, or all of a user, of an app, or of a user with an app; prints how many.

    Every token of a grant stops at once.
    """
    if bool(grant_ids) == bool(username or client_id):
        raise click.UsageError("Name grants, or give --user or --app.")
    with operator(tenant) as at:
        if grant_ids:
            wanted = [at.store.grants.get(at.tenant, one) for one in grant_ids]
        else:
            wanted = list(_live(at, username, client_id))
        if None in wanted:
            raise NotFound("There is no grant of that id.")
        ended = sum(_end(at, grant) for grant in wanted if grant is not None)
    click.echo(ended)


@click.group("session")
def sessions() -> None:
    """Logins of people in browsers."""


@sessions.command("list")
@TENANT
@click.argument("username")
@JSON
def list_sessions(tenant: str | None, username: str, as_json: bool) -> None:
    """List a user's sessions, newest first: id, by whom and how the person was checked, when."""
    with operator(tenant) as at:
        user = at.user(username)
        live = at.store.sessions.list(at.tenant, user.user_id, _now())
        found = [_session(at, one) for one in live]
    print_list(found, ("session_id", "origin", "methods", "since", "until"), as_json)


@sessions.command("end")
@TENANT
@click.argument("username")
@click.option("--id", "session_id", help="Only this one.")
def end_sessions(tenant: str | None, username: str, session_id: str | None) -> None:
    """End a user's sessions, and the online access of apps with them; prints how many ended."""
    from smart_auth import admin

    with operator(tenant) as at:
        user = at.user(username)
        if session_id is None:
            ended = admin.end_sessions(at.store, user)
        else:
            mine = at.store.sessions.list(at.tenant, user.user_id, _now())
            if session_id not in {one.session_hash for one in mine}:
                raise NotFound("There is no session of that id.")
            ended = at.store.sessions.end(at.tenant, session_id, _now())
        at.acts.record("sessions ended", user_id=user.user_id)
        at.acts.record_ended(ended.grants)
    click.echo(ended.sessions)


def _now() -> int:
    from smart_auth import clock

    return clock.now()


def _live(at: Operator, username: str | None, client_id: str | None) -> list[Grant]:
    user_id = None if username is None else at.user(username).user_id
    app = None if client_id is None else at.app(client_id).client_id
    return list(at.store.grants.live(at.tenant, _now(), user_id=user_id, client_id=app))


def _end(at: Operator, grant: Grant) -> bool:
    from smart_auth.admin.grants import end_grant

    ended = end_grant(at.store, at.tenant, grant.grant_id)
    if ended:
        at.acts.record(
            "grant ended",
            client_id=grant.client_id,
            user_id=grant.user_id,
            patient_id=grant.context.patient,
        )
    return ended


def _described(at: Operator, grant: Grant) -> dict[str, Any]:
    user = None if grant.user_id is None else at.store.users.get(at.tenant, grant.user_id)
    return {
        "grant_id": grant.grant_id,
        "kind": grant.kind,
        "client_id": grant.client_id,
        "username": None if user is None else user.username,
        "patient": grant.context.patient,
        "scope": grant.scope,
        "since": instant(grant.created_at, at.zone),
        "last_used": instant(grant.last_used_at, at.zone),
        "until": instant(grant.expires_at, at.zone),
    }


def _session(at: Operator, session: Session) -> dict[str, Any]:
    return {
        "session_id": session.session_hash,
        "origin": session.origin,
        "methods": session.methods,
        "since": instant(session.auth_time, at.zone),
        "until": instant(session.expires_at, at.zone),
    }
