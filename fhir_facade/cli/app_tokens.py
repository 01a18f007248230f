"""`app token`: initial access tokens, with which apps register themselves (RFC 7591)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from fhir_facade.cli.apps import apps
from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.cli.printing import JSON, instant, print_list

if TYPE_CHECKING:
    from smart_auth.records import InitialAccessToken


@apps.group("token")
def tokens() -> None:
    """Tokens with which apps register themselves."""


@tokens.command("add")
@TENANT
@click.argument("name")
@click.option("--days", type=int, default=7, show_default=True, help="How long it is good.")
@click.option("--uses", type=int, default=1, show_default=True, help="Apps it may register.")
@click.option("--unlimited", is_flag=True, help="Any number of apps.")
def add_token(tenant: str | None, name: str, days: int, uses: int, unlimited: bool) -> None:
    """Make a token; NAME says whom it is for. It is shown once, here."""
    from smart_auth import admin
    from smart_auth.admin.registration import make_initial_token

    with operator(tenant) as at, sentences():
        made = make_initial_token(
            at.store,
            at.tenant,
            name,
            admin.OPERATOR,
            days=days,
            uses=None if unlimited else uses,
        )
        at.acts.record("initial access token made")
    click.echo(json.dumps({"token_id": made.token.token_id, "initial_access_token": made.value}))


@tokens.command("list")
@TENANT
@JSON
def list_tokens(tenant: str | None, as_json: bool) -> None:
    """List tokens, newest first: id, whom for, until when, uses left."""
    from smart_auth.admin.registration import list_initial_tokens

    with operator(tenant) as at:
        found = [_described(at, one) for one in list_initial_tokens(at.store, at.tenant)]
    print_list(found, ("token_id", "name", "until", "uses_left", "revoked_at"), as_json)


@tokens.command("revoke")
@TENANT
@click.argument("token_id")
def revoke_token(tenant: str | None, token_id: str) -> None:
    """End a token; apps registered with it stay."""
    from smart_auth.admin.registration import revoke_initial_token

    with operator(tenant) as at, sentences():
        revoke_initial_token(at.store, at.tenant, token_id)
        at.acts.record("initial access token revoked")


def _described(at: Operator, token: InitialAccessToken) -> dict[str, Any]:
    return {
        "token_id": token.token_id,
        "name": token.name,
        "made_by": token.made_by,
        "made_at": instant(token.created_at, at.zone),
        "until": instant(token.expires_at, at.zone),
        "uses_left": token.uses_left,
        "revoked_at": instant(token.revoked_at, at.zone),
    }
