"""`app`: apps that may launch or export. What changes them is in `app_changes` and `app_reach`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TextIO

import click

from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.cli.printing import JSON, instant, print_list, print_one
from fhir_facade.errors import Conflict, InvalidRequest

if TYPE_CHECKING:
    from smart_auth.ports import RefusalShown
    from smart_auth.records import Client


@click.group("app")
def apps() -> None:
    """Apps that may launch or export."""


@apps.command("add")
@TENANT
@click.argument("metadata", type=click.File("r", encoding="utf-8"))
@click.option("--owner", help="User name of the developer who sees it in the portal.")
@click.option("--unapproved", is_flag=True, help="Leave it waiting for `app approve`.")
def add_app(tenant: str | None, metadata: TextIO, owner: str | None, unapproved: bool) -> None:
    """Register an app from a JSON file of RFC 7591 metadata (`-` for standard input).

    Beside the standard members: `launch_uri`, `groups`, `whole_tenant`, `valid_from`, `valid_to`,
    `pkce_optional`, `may_introspect`, `may_launch`.
    The secret of a confidential app is shown once, here.
    """
    from smart_auth import admin

    document = read_object(metadata, "The metadata")
    with operator(tenant) as at, sentences():
        if at.store.clients.get(at.tenant, str(document.get("client_id", ""))):
            raise Conflict("There is an app with that client_id.")
        created = admin.create_client(
            at.store,
            at.tenant,
            document,
            owner=None if owner is None else at.user(owner).user_id,
            approved_by=None if unapproved else admin.OPERATOR,
            demo=at.parts.auth_settings.demo,
        )
        at.acts.record("app registered", client_id=created.client.client_id)
    shown = {"client_id": created.client.client_id}
    if created.client_secret is not None:
        shown["client_secret"] = created.client_secret
    click.echo(json.dumps(shown))


@apps.command("list")
@TENANT
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
@click.option("--owner", help="Only those of this developer.")
@JSON
def list_apps(tenant: str | None, waiting: bool, owner: str | None, as_json: bool) -> None:
    """List apps: client_id, name, authentication, state, approval."""
    with operator(tenant) as at:
        clients = at.store.clients.list(at.tenant)
        if owner is not None:
            mine = at.user(owner).user_id
            clients = [client for client in clients if client.owner == mine]
        if waiting:
            clients = [client for client in clients if client.approved_at is None]
        found = [described(at, client) for client in clients]
    columns = ("client_id", "client_name", "token_endpoint_auth_method", "state", "approval")
    print_list(found, columns, as_json)


@apps.command("show")
@TENANT
@click.argument("client_id")
@JSON
def show_app(tenant: str | None, client_id: str, as_json: bool) -> None:
    """Show an app and the addresses its developer needs, without anything secret."""
    with operator(tenant) as at:
        client = at.app(client_id)
        base = at.info.issuer
        shown = described(at, client) | {
            "fhir_base": base,
            "discovery_url": f"{base}/.well-known/smart-configuration",
        }
    print_one(shown, as_json)


@apps.command("trace")
@TENANT
@click.argument("client_id")
@click.option("--correlation-id", help="Only the request with this id.")
@click.option("--limit", type=click.IntRange(1, 500), default=50, show_default=True)
@JSON
def trace(
    tenant: str | None, client_id: str, correlation_id: str | None, limit: int, as_json: bool
) -> None:
    """The app's last refused requests, newest first: when, where, which step, what was wrong."""
    with operator(tenant) as at:
        refusals = at.parts.auth.ports.refusals(
            at.tenant, at.app(client_id).client_id, correlation_id=correlation_id, limit=limit
        )
        found = [_refusal(at, one) for one in refusals]
    columns = ("at", "endpoint", "step", "error", "text", "expected", "received", "correlation_id")
    print_list(found, columns, as_json)


@apps.command("delete")
@TENANT
@click.argument("client_id")
@click.confirmation_option(prompt="Its tokens stop at once. Remove the app?")
def delete_app(tenant: str | None, client_id: str) -> None:
    """Remove an app; its tokens stop at once."""
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        ended = admin.delete_client(at.store, at.tenant, at.app(client_id).client_id)
        at.acts.record("app deleted", client_id=client_id)
        at.acts.record_ended(ended)


def read_object(file: TextIO, what: str) -> dict[str, Any]:
    """The JSON object in a file; InvalidRequest, which calls it `what`, when there is none."""
    try:
        document = json.load(file)
    except ValueError:
        raise InvalidRequest(f"{what} are not valid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequest(f"{what} must be one JSON object.")
    return document


def metadata_of(client: Client) -> dict[str, Any]:
    """The registration as `app add` would take it: RFC 7591 names and ours, without secrets."""
    from smart_auth.admin import PAUSED_BY

    return {
        "client_id": client.client_id,
        "client_name": client.name,
        "token_endpoint_auth_method": client.auth_method,
        "grant_types": list(client.grant_types),
        "redirect_uris": list(client.redirect_uris),
        "launch_uri": client.launch_uri,
        "scope": client.scope,
        "jwks": None if client.jwks is None else json.loads(client.jwks),
        "jwks_uri": client.jwks_uri,
        "groups": sorted(client.groups),
        "whole_tenant": client.whole_tenant,
        "pkce_optional": client.pkce_optional,
        "may_introspect": client.may_introspect,
        "may_launch": client.may_launch,
        "valid_from": client.valid_from,
        "valid_to": client.valid_to,
        **{name: value for name, value in client.details.items() if name != PAUSED_BY},
    }


def described(at: Operator, client: Client) -> dict[str, Any]:
    """What `app show` tells of an app, without anything secret."""
    zone = at.zone
    owner = None if client.owner is None else at.store.users.get(at.tenant, client.owner)
    return metadata_of(client) | {
        "valid_from": instant(client.valid_from, zone),
        "valid_to": instant(client.valid_to, zone),
        "version": client.version,
        "state": "active" if client.active else "inactive",
        "registered_at": instant(client.created_at, zone),
        "owner": None if owner is None else owner.username,
        "approval": "waits" if client.approved_at is None else "approved",
        "approved_at": instant(client.approved_at, zone),
        "approved_by": client.approved_by,
        "scope_limit": client.scope_limit,
        "patients": None if client.patients is None else sorted(client.patients),
    }


def _refusal(at: Operator, shown: RefusalShown) -> dict[str, Any]:
    return {
        "at": instant(shown.at, at.zone),
        "endpoint": shown.endpoint,
        "status": shown.status,
        "correlation_id": shown.correlation_id,
        **vars(shown.refusal),
    }
