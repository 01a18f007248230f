"""`key`: the keys that sign tokens."""

from __future__ import annotations

import click

from fhir_facade.cli.operator import TENANT, operator
from fhir_facade.cli.printing import JSON, instant, print_list


@click.group("key")
def keys() -> None:
    """Signing keys."""


@keys.command("list")
@TENANT
@JSON
def list_keys(tenant: str | None, as_json: bool) -> None:
    """List the keys in the JWKS, newest first: id, algorithm, since when, what it does."""
    from smart_auth import clock

    with operator(tenant) as at:
        found = [
            {
                "kid": key.kid,
                "alg": key.alg,
                "created_at": instant(key.created_at, at.zone),
                "state": "signs" if key.retired_at is None else "verifies",
                "removed_at": instant(key.remove_at, at.zone),
            }
            for key in at.store.keys.list(at.tenant, clock.now())
        ]
    print_list(found, ("kid", "alg", "created_at", "state", "removed_at"), as_json)


@keys.command("rotate")
@TENANT
def rotate(tenant: str | None) -> None:
    """Sign with new keys; the old ones verify until what they signed has expired."""
    from smart_auth import admin

    with operator(tenant) as at:
        admin.rotate_keys(at.store, at.parts.auth_settings, at.tenant)
        at.acts.record("signing keys rotated")
    click.echo("New keys sign from now on.")
