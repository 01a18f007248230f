"""`user`: people who can log in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from fhir_facade.cli.inputs import STDIN, ask_secret
from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.cli.printing import JSON, print_list, print_one
from fhir_facade.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from smart_auth.records import User

ROLES = ("practitioner", "patient", "admin", "developer")
SERVICES = ("patient", "provider")
PROFILE = click.option(
    "--profile",
    multiple=True,
    metavar="NAME=VALUE",
    help="What a developer said at sign-up, such as email=dev@example.org; repeatable.",
)

OWN_PASSWORD = click.option(
    "--own-password",
    is_flag=True,
    help="The user chose it: do not ask for another at the next login.",
)


@click.group("user")
def users() -> None:
    """People who can log in."""


@users.command("add")
@TENANT
@click.argument("username")
@click.option("--role", type=click.Choice(ROLES), required=True)
@click.option("--name", default="", help="The person's name, as pages show it.")
@click.option("--service", type=click.Choice(SERVICES), help="For whom a developer builds apps.")
@click.option("--fhir-user", help="Relative reference, such as Practitioner/qubs-12.")
@click.option("--patient", "patients", multiple=True, help="Id of an assigned patient; repeatable.")
@click.option("--whole-tenant", is_flag=True, help="Reaches every patient of the tenant.")
@click.option("--scope", help="The most any grant of this user may hold.")
@PROFILE
@click.option("--password", hidden=True)
@OWN_PASSWORD
@STDIN
def add_user(
    tenant: str | None,
    username: str,
    password: str | None,
    own_password: bool,
    from_stdin: bool,
    **options: Any,
) -> None:
    """Create a user; the password is asked for, or read from standard input with --stdin. The user
    has to change it at the first login.
    """
    from smart_auth import admin
    from smart_auth.store import AlreadyExists

    secret = password or ask_secret("Password", from_stdin)
    with operator(tenant) as at, sentences():
        if at.store.users.by_username(at.tenant, username):
            raise AlreadyExists("There is a user of that name")
        wanted = _wanted(at, username, options)
        user = admin.create_user(
            at.store,
            at.tenant,
            username,
            secret,
            role=wanted.role,
            fhir_user=wanted.fhir_user,
            whole_tenant=wanted.whole_tenant,
            patients=wanted.patients,
            scopes=wanted.scope,
            name=wanted.name,
            service=wanted.service,
            profile=wanted.profile,
            password_temporary=not own_password,
        )
        at.acts.record("user created", user_id=user.user_id)
    click.echo(user.user_id)


@users.command("list")
@TENANT
@click.option("--role", type=click.Choice(ROLES))
@JSON
def list_users(tenant: str | None, role: str | None, as_json: bool) -> None:
    """List users: id, name, role, state."""
    with operator(tenant) as at:
        found = [_described(at, user) for user in at.store.users.list(at.tenant)]
    wanted = [user for user in found if role in (None, user["role"])]
    print_list(wanted, ("user_id", "username", "role", "state"), as_json)


@users.command("show")
@TENANT
@click.argument("username")
@JSON
def show_user(tenant: str | None, username: str, as_json: bool) -> None:
    """Show a user, without anything secret."""
    with operator(tenant) as at:
        print_one(_described(at, at.user(username)), as_json)


@users.command("set")
@TENANT
@click.argument("username")
@click.option("--name", help="The person's name, as pages show it.")
@click.option("--role", type=click.Choice(ROLES))
@click.option("--service", type=click.Choice(SERVICES), help="For whom a developer builds apps.")
@click.option("--fhir-user", help="Relative reference; '' for none.")
@click.option("--scope", help="The most any grant may hold; '' for no limit.")
@click.option("--whole-tenant/--assigned-only", default=None, help="Every patient, or those given.")
@click.option("--active/--inactive", default=None, help="Whether the user may log in.")
@PROFILE
def set_user(tenant: str | None, username: str, **options: Any) -> None:
    """Change what is given; it holds for tokens that are already out."""
    from smart_auth import admin

    changes = {name: value for name, value in options.items() if value not in (None, ())}
    if not changes:
        raise click.UsageError("Say what to change.")
    for name in ("fhir_user", "scope"):
        if changes.get(name) == "":
            changes[name] = None
    with operator(tenant) as at, sentences():
        user = at.user(username)
        if changes.get("scope"):
            changes["scope"] = at.scopes(changes["scope"])
        if "profile" in changes:
            both = {**user.profile, **_profile(changes["profile"])}
            changes["profile"] = {name: value for name, value in both.items() if value}
        if changes.get("role", "developer") != "developer":
            changes.setdefault("service", None)
        _check(replace(user, **changes))
        changed = admin.change_user(at.store, user, as_of=user.version, **changes)
        at.acts.record("user changed", user_id=user.user_id)
        if not changed.active:
            at.acts.record_ended(admin.end_sessions(at.store, user).grants)


@users.command("assign")
@TENANT
@click.argument("username")
@click.argument("patients", nargs=-1, required=True, metavar="PATIENT...")
def assign(tenant: str | None, username: str, patients: tuple[str, ...]) -> None:
    """Let a user see these patients too."""
    with operator(tenant) as at:
        user = at.user(username)
        _put_patients(at, user, user.patients | at.known_patients(patients))


@users.command("unassign")
@TENANT
@click.argument("username")
@click.argument("patients", nargs=-1, required=True, metavar="PATIENT...")
def unassign(tenant: str | None, username: str, patients: tuple[str, ...]) -> None:
    """Take patients from a user, and from the apps of a developer."""
    with operator(tenant) as at:
        user = at.user(username)
        _put_patients(at, user, user.patients - frozenset(patients))


@users.command("password")
@TENANT
@click.argument("username")
@OWN_PASSWORD
@click.option("--end-apps/--keep-apps", default=True, help="Whether the apps' access ends, too.")
@STDIN
def set_password(
    tenant: str | None, username: str, own_password: bool, end_apps: bool, from_stdin: bool
) -> None:
    """Give a user a new password, and end the user's sessions and what apps were given. The user
    has to change it at the next login.
    """
    from smart_auth import admin

    secret = ask_secret("New password", from_stdin)
    with operator(tenant) as at, sentences():
        user = at.user(username)
        admin.set_password(at.store, user, secret, temporary=not own_password)
        ended = list(admin.end_sessions(at.store, user).grants)
        if end_apps:
            ended += admin.end_grants(at.store, at.tenant, user_id=user.user_id)
        at.acts.record("password reset", user_id=user.user_id)
        at.acts.record_ended(ended)


@users.command("pin")
@TENANT
@click.argument("username")
@STDIN
def set_pin(tenant: str | None, username: str, from_stdin: bool) -> None:
    """Let a user log in with a PIN besides the password, instead of any second factor before."""
    from smart_auth import admin

    secret = ask_secret("PIN", from_stdin)
    with operator(tenant) as at, sentences():
        user = at.user(username)
        admin.give_pin(at.store, user, secret)
        at.acts.record("PIN given to a user", user_id=user.user_id)


@users.command("totp")
@TENANT
@click.argument("username")
def give_totp(tenant: str | None, username: str) -> None:
    """Let a user log in with one-time codes; prints the address for the authenticator, once."""
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        user = at.user(username)
        made = admin.give_totp(at.store, at.parts.auth_settings, user, at.info.name)
        at.acts.record("one-time codes given to a user", user_id=user.user_id)
    click.echo(made.uri)


@users.command("reset-factor")
@TENANT
@click.argument("username")
def reset_factor(tenant: str | None, username: str) -> None:
    """Forget a lost PIN or authenticator, and end the user's sessions."""
    from smart_auth import admin

    with operator(tenant) as at:
        user = at.user(username)
        ended = admin.reset_factor(at.store, user)
        if ended is None:
            raise NotFound("The user has no second factor.")
        at.acts.record("second factor reset", user_id=user.user_id)
        at.acts.record_ended(ended.grants)


@users.command("delete")
@TENANT
@click.argument("username")
@click.confirmation_option(prompt="This cannot be undone. Delete the user?")
def delete_user(tenant: str | None, username: str) -> None:
    """Delete a user: logins, access of apps and links end; the audit trail and the name stay."""
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        user = at.user(username)
        ended = admin.delete_user(at.store, user)
        at.acts.record("user deleted", user_id=user.user_id)
        at.acts.record_ended(ended.grants)


def _wanted(at: Operator, username: str, options: dict[str, Any]) -> User:
    """The user that the options of `user add` describe. A patient's own record is said once: as
    the patient assigned, or as the reference.
    """
    from smart_auth.records import User

    given = dict(options) | {"profile": _profile(options["profile"])}
    patients = at.known_patients(given.pop("patients"))
    scope = given.pop("scope")
    if given["role"] == "patient":
        own = (given["fhir_user"] or "").removeprefix("Patient/")
        patients = patients or at.known_patients((own,) if own else ())
        if len(patients) == 1:
            given["fhir_user"] = given["fhir_user"] or f"Patient/{next(iter(patients))}"
    user = User(
        at.tenant,
        "",
        username,
        patients=patients,
        scope=at.scopes(scope) if scope else None,
        **given,
    )
    _check(user)
    return user


def _profile(pairs: tuple[str, ...]) -> dict[str, str]:
    """The members of `NAME=VALUE` options, whose names are those of the sign-up form."""
    from smart_auth.portal.developers import PROFILE_FIELDS

    found = dict(pair.partition("=")[::2] for pair in pairs)
    if unknown := sorted(set(found) - set(PROFILE_FIELDS)):
        raise InvalidRequest(f"No part of a profile: {', '.join(unknown)}.")
    return found


def _check(user: User) -> None:
    """Raise InvalidRequest unless such a user may be."""
    from smart_auth.admin.user_rules import user_problems

    if problems := user_problems(user):
        raise InvalidRequest(" ".join(problems.values()))


def _put_patients(at: Operator, user: User, patients: frozenset[str]) -> None:
    """Assign exactly these, with an act in the trail for each patient given or taken."""
    from smart_auth import admin

    _check(replace(user, patients=patients))
    with sentences():
        admin.change_user(at.store, user, as_of=user.version, patients=patients)
    for patient in sorted(patients - user.patients):
        at.acts.record("patient assigned to a user", user_id=user.user_id, patient_id=patient)
    for patient in sorted(user.patients - patients):
        at.acts.record("patient taken from a user", user_id=user.user_id, patient_id=patient)


def _described(at: Operator, user: User) -> dict[str, Any]:
    from smart_auth import admin

    return {
        "user_id": user.user_id,
        "username": user.username,
        "name": user.name,
        "role": user.role,
        "state": "active" if user.active else "inactive",
        "service": user.service,
        "fhir_user": user.fhir_user,
        "whole_tenant": user.whole_tenant,
        "patients": sorted(user.patients),
        "scope": user.scope,
        "password": "temporary" if user.password_temporary else "own",
        "second_factor": admin.factor_of(at.store, user),
        "profile": dict(user.profile),
    }
