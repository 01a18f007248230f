"""`user`, `app` and `key`: people, apps and signing keys."""

from __future__ import annotations

import json
from typing import Any, TextIO

import click

from fhir_facade.cli.wiring import facade, known_tenant
from fhir_facade.errors import Conflict, InvalidRequest, NotFound

TENANT = click.option("--tenant", help="Which tenant; not needed when there is one.")


@click.group("user")
def users() -> None:
    """People who can log in."""


@users.command("add")
@TENANT
@click.argument("username")
@click.option("--role", type=click.Choice(["practitioner", "patient", "admin"]), required=True)
@click.option("--fhir-user", help="Relative reference, such as Practitioner/qubs-12.")
@click.option("--patient", "patients", multiple=True, help="Id of an assigned patient; repeatable.")
@click.option("--whole-tenant", is_flag=True, help="Reaches every patient of the tenant.")
@click.option("--scope", help="The most any grant of this user may hold.")
@click.password_option(help="Asked for when not given.")
def add_user(tenant: str | None, username: str, password: str, **options: Any) -> None:
    """Create a user."""
    from smart_auth import admin
    from smart_auth.store import AlreadyExists

    with facade() as parts:
        slug = known_tenant(parts, tenant)
        try:
            user = admin.create_user(
                parts.auth_store,
                slug,
                username,
                password,
                role=options["role"],
                fhir_user=options["fhir_user"],
                whole_tenant=options["whole_tenant"],
                patients=options["patients"],
                scopes=options["scope"],
            )
        except AlreadyExists:
            raise Conflict("There is a user of that name.") from None
        except ValueError as error:
            raise InvalidRequest(f"{error}.") from None
    click.echo(user.user_id)


@users.command("list")
@TENANT
def list_users(tenant: str | None) -> None:
    """List users: id, name, role, state."""
    from smart_auth import admin

    with facade() as parts:
        for user in admin.list_users(parts.auth_store, known_tenant(parts, tenant)):
            state = "active" if user.active else "inactive"
            click.echo(f"{user.user_id}\t{user.username}\t{user.role}\t{state}")


@click.group("app")
def apps() -> None:
    """Apps that may launch or export."""


@apps.command("add")
@TENANT
@click.argument("metadata", type=click.File("r", encoding="utf-8"))
def add_app(tenant: str | None, metadata: TextIO) -> None:
    """Register an app from a JSON file of RFC 7591 metadata (`-` for standard input).

    Beside the standard members: `launch_uri`, `groups`, `whole_tenant`, `valid_from`, `valid_to`,
    `pkce_optional`.
    The secret of a confidential app is shown once, here.
    """
    from smart_auth import admin
    from smart_auth.store import AlreadyExists

    try:
        document = json.load(metadata)
    except ValueError:
        raise InvalidRequest("The metadata are not valid JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequest("The metadata must be one JSON object.")
    with facade() as parts:
        try:
            created = admin.create_client(parts.auth_store, known_tenant(parts, tenant), document)
        except AlreadyExists:
            raise Conflict("There is an app with that client_id.") from None
        except admin.InvalidClientMetadata as error:
            raise InvalidRequest(f"{error}.") from None
    shown = {"client_id": created.client.client_id}
    if created.client_secret is not None:
        shown["client_secret"] = created.client_secret
    click.echo(json.dumps(shown))


@apps.command("list")
@TENANT
def list_apps(tenant: str | None) -> None:
    """List apps: client_id, name, authentication, state."""
    from smart_auth import admin

    with facade() as parts:
        for client in admin.list_clients(parts.auth_store, known_tenant(parts, tenant)):
            state = "active" if client.active else "inactive"
            click.echo(f"{client.client_id}\t{client.name}\t{client.auth_method}\t{state}")


@apps.command("deactivate")
@TENANT
@click.argument("client_id")
def deactivate_app(tenant: str | None, client_id: str) -> None:
    """Refuse an app and all its tokens from now on."""
    from smart_auth import admin

    with facade() as parts:
        try:
            admin.deactivate_client(parts.auth_store, known_tenant(parts, tenant), client_id)
        except LookupError:
            raise NotFound("There is no app with that client_id.") from None


@click.group("key")
def keys() -> None:
    """Signing keys."""


@keys.command("rotate")
@TENANT
def rotate(tenant: str | None) -> None:
    """Sign with new keys; the old ones verify until what they signed has expired."""
    from smart_auth import admin

    with facade() as parts:
        admin.rotate_keys(parts.auth_store, parts.auth_settings, known_tenant(parts, tenant))
    click.echo("New keys sign from now on.")
