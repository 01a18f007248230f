"""`app set`, `app keys`, `app approve` and others: what an app is and whether it works."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

import click

from fhir_facade.cli.apps import apps, described, metadata_of, read_object
from fhir_facade.cli.inputs import read_instant
from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.cli.printing import JSON, print_one
from fhir_facade.errors import InvalidRequest

if TYPE_CHECKING:
    from smart_auth.records import Client

TEXTS = {
    "name": "client_name",
    "launch_uri": "launch_uri",
    "scope": "scope",
    "client_uri": "client_uri",
    "policy_uri": "policy_uri",
}
"""Options of `app set` by the metadata they change; '' takes the member away."""
FLAGS = ("whole_tenant", "may_introspect", "may_launch", "pkce_optional")


@apps.command("set")
@TENANT
@click.argument("client_id")
@click.option("--name", help="The name people see.")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="All of them; repeatable.")
@click.option("--launch-uri", help="Where an EHR opens the app; '' for none.")
@click.option("--scope", help="The scopes it may ask for.")
@click.option("--client-uri", help="Its home page; '' for none.")
@click.option("--policy-uri", help="Its privacy policy; '' for none.")
@click.option(
    "--contact", "contacts", multiple=True, help="E-mail or https address, or tel:; repeatable."
)
@click.option("--valid-from", help="First day or instant it works; '' for no bound.")
@click.option("--valid-to", help="Last day, or instant from which it does not; '' for no bound.")
@click.option("--whole-tenant/--no-whole-tenant", default=None, help="A backend's: all patients.")
@click.option("--may-introspect/--no-may-introspect", default=None, help="Look up tokens.")
@click.option("--may-launch/--no-may-launch", default=None, help="Make launches, as a host EHR.")
@click.option("--pkce-optional/--pkce", default=None, help="Whether a confidential app may omit it")
def set_app(tenant: str | None, client_id: str, **options: Any) -> None:
    """Change what is given of a registration; it holds for tokens that are already out."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    if not given:
        raise click.UsageError("Say what to change.")
    with operator(tenant) as at, sentences():
        client = at.app(client_id)
        if "scope" in given:
            given["scope"] = at.scopes(given["scope"])
        metadata = metadata_of(client)
        for name, value in given.items():
            metadata[TEXTS.get(name, name)] = list(value) if isinstance(value, tuple) else value
        if text := given.get("valid_from"):
            metadata["valid_from"] = read_instant(text, at.zone) // 1_000_000
        if text := given.get("valid_to"):
            metadata["valid_to"] = read_instant(text, at.zone, "end") // 1_000_000
        _register_anew(at, client, metadata)
        at.acts.record("app changed", client_id=client_id)


@apps.command("keys")
@TENANT
@click.argument("client_id")
@click.option("--jwks", type=click.File("r", encoding="utf-8"), help="A file of public keys.")
@click.option("--jwks-uri", help="The address they are read from.")
def set_keys(tenant: str | None, client_id: str, jwks: TextIO | None, jwks_uri: str | None) -> None:
    """Give an app that signs assertions other keys: exactly one of --jwks and --jwks-uri."""
    if (jwks is None) == (jwks_uri is None):
        raise click.UsageError("Give exactly one of --jwks and --jwks-uri.")
    keys = None if jwks is None else read_object(jwks, "The keys")
    with operator(tenant) as at, sentences():
        if jwks_uri is not None:
            _check_address(at, jwks_uri)
        client = at.app(client_id)
        metadata = metadata_of(client) | {"jwks": keys, "jwks_uri": jwks_uri}
        _register_anew(at, client, metadata)
        at.acts.record("app keys replaced", client_id=client_id)


@apps.command("rotate-secret")
@TENANT
@click.argument("client_id")
def rotate_secret(tenant: str | None, client_id: str) -> None:
    """Replace the secret of a confidential app; the new one is shown once, here."""
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        client = at.app(client_id)
        created = admin.new_client_secret(at.store, client, as_of=client.version)
        at.acts.record("app secret replaced", client_id=client_id)
    click.echo(json.dumps({"client_id": client_id, "client_secret": created.client_secret}))


@apps.command("approve")
@TENANT
@click.argument("client_id")
@click.option("--version", type=int, help="As `app show` gave it; refused if changed since.")
@JSON
def approve(tenant: str | None, client_id: str, version: int | None, as_json: bool) -> None:
    """Let others than its developer launch an app, and a backend get tokens; shows what was
    approved.
    """
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        client = at.app(client_id)
        if version not in (None, client.version):
            raise admin.ChangedSince
        approved = admin.approve_client(at.store, client, admin.OPERATOR)
        at.acts.record("app approved", client_id=client_id)
        shown = described(at, replace(approved, version=client.version + 1))
    print_one(shown, as_json)


@apps.command("withdraw")
@TENANT
@click.argument("client_id")
def withdraw(tenant: str | None, client_id: str) -> None:
    """Take the approval back; only its developer may launch the app then."""
    _change(tenant, client_id, "app approval withdrawn", approved_at=None, approved_by=None)


@apps.command("activate")
@TENANT
@click.argument("client_id")
def activate(tenant: str | None, client_id: str) -> None:
    """Let an app work again that was made inactive."""
    _change(tenant, client_id, "app made active", active=True)


@apps.command("deactivate")
@TENANT
@click.argument("client_id")
def deactivate(tenant: str | None, client_id: str) -> None:
    """Refuse an app and all its tokens from now on."""
    _change(tenant, client_id, "app made inactive", active=False)


def _change(tenant: str | None, client_id: str, act: str, **changes: Any) -> None:
    from smart_auth import admin

    with operator(tenant) as at, sentences():
        admin.change_client(at.store, at.app(client_id), **changes)
        at.acts.record(act, client_id=client_id)


def _register_anew(at: Operator, client: Client, metadata: dict[str, Any]) -> None:
    """Check changed metadata as at registration, and keep what they describe."""
    from smart_auth import admin
    from smart_auth.client_metadata import client_from_metadata

    given = {name: value for name, value in metadata.items() if value not in (None, "", [])}
    # A client without grant types is one that makes launches or looks up tokens, or did so once.
    needed = {} if client.grant_types else {"may_introspect": True}
    demo = at.parts.auth_settings.demo
    wanted, _ = client_from_metadata(at.tenant, given | needed, demo=demo)
    stay = {*given, admin.PAUSED_BY}
    kept = {name: value for name, value in client.details.items() if name in stay}
    admin.change_client(
        at.store,
        client,
        as_of=client.version,
        name=wanted.name,
        redirect_uris=wanted.redirect_uris,
        launch_uri=wanted.launch_uri,
        scope=wanted.scope,
        jwks=wanted.jwks,
        jwks_uri=wanted.jwks_uri,
        valid_from=wanted.valid_from,
        valid_to=wanted.valid_to,
        details={**kept, **wanted.details},
        **{name: bool(metadata[name]) for name in FLAGS},
    )


def _check_address(at: Operator, url: str) -> None:
    """Read the keys once, so that a wrong address is known now."""
    from smart_auth.client_metadata import check_jwks
    from smart_auth.oauth.jwks import fetch
    from smart_auth.outbound import Unreachable, network_of

    try:
        body = fetch(url, network=network_of(at.parts.auth_settings.demo)).body
    except Unreachable as error:
        raise InvalidRequest(f"The JWKS URL cannot be used: {error}.") from None
    check_jwks(json.loads(body))
