"""`user link` and `user unlink`: accounts at external OpenID providers that log in as a user."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.cli.printing import JSON, instant, print_list
from fhir_facade.cli.users import users
from fhir_facade.errors import NotFound

if TYPE_CHECKING:
    from smart_auth.store import FederatedIdentity

SUBJECT = click.option("--subject", required=True, help="The account's `sub` there.")
PROVIDER = click.option("--provider", required=True, help="Name of the provider in the settings.")


@users.command("link")
@TENANT
@click.argument("username")
@PROVIDER
@SUBJECT
def link(tenant: str | None, username: str, provider: str, subject: str) -> None:
    """Let an account at a provider log in as this user."""
    from smart_auth.admin.federation import link_identity

    with operator(tenant) as at, sentences():
        user = at.user(username)
        found = at.parts.auth_settings.provider(at.tenant, provider)
        if found is None:
            raise NotFound("There is no login provider of that name.")
        link_identity(at.store, user, found, subject)
        at.acts.record("identity linked", user_id=user.user_id)


@users.command("unlink")
@TENANT
@click.argument("username")
@click.option("--issuer", help="Only of this issuer.")
@click.option("--subject", help="Only this `sub`.")
def unlink(tenant: str | None, username: str, issuer: str | None, subject: str | None) -> None:
    """Take links away, all of a user or those named, and end the user's sessions."""
    from smart_auth import admin
    from smart_auth.admin.federation import unlink_identity

    with operator(tenant) as at:
        user = at.user(username)
        wanted = [
            one
            for one in _links(at, user.user_id)
            if issuer in (None, one.issuer) and subject in (None, one.subject)
        ]
        if not wanted:
            raise NotFound("The user has no such link.")
        for one in wanted:
            unlink_identity(at.store, at.tenant, one.issuer, one.subject)
            at.acts.record("identity unlinked", user_id=user.user_id)
        at.acts.record_ended(admin.end_sessions(at.store, user).grants)


@users.command("links")
@TENANT
@click.argument("username")
@JSON
def links(tenant: str | None, username: str, as_json: bool) -> None:
    """List a user's accounts elsewhere: issuer, subject, since when."""
    with operator(tenant) as at:
        found = [
            {
                "issuer": one.issuer,
                "subject": one.subject,
                "linked_at": instant(one.linked_at, at.zone),
            }
            for one in _links(at, at.user(username).user_id)
        ]
    print_list(found, ("issuer", "subject", "linked_at"), as_json)


def _links(at: Operator, user_id: str) -> list[FederatedIdentity]:
    from smart_auth.admin.federation import list_identities

    return list(list_identities(at.store, at.tenant, user_id))
