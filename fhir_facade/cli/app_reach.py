"""`app limit`, `app export-types`, `app assign` and `app launch`: what an app may reach, and for
whom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from fhir_facade.cli.apps import apps
from fhir_facade.cli.operator import TENANT, Operator, operator, sentences
from fhir_facade.errors import InvalidRequest, NotFound

if TYPE_CHECKING:
    from smart_auth.host_launch import MadeLaunch
    from smart_auth.records import Client

GROUP = click.option("--group", "groups", multiple=True, help="Id of a group; repeatable.")
PATIENT = click.option("--patient", "patients", multiple=True, help="Id of a patient; repeatable.")


@apps.command("limit")
@TENANT
@click.argument("client_id")
@click.option("--scope", help="The resource scopes that may be granted at most.")
@click.option("--none", "unlimited", is_flag=True, help="No more than it registered for.")
def limit(tenant: str | None, client_id: str, scope: str | None, unlimited: bool) -> None:
    """Set the most an app may be granted: a wider request is narrowed, a grant given before too."""
    if (scope is None) != unlimited:
        raise click.UsageError("Give exactly one of --scope and --none.")
    with operator(tenant) as at:
        most = None if scope is None else at.scopes(scope)
        _change(at, at.app(client_id), scope_limit=most)
        at.acts.record("app scopes limited", client_id=client_id)


@apps.command("export-types")
@TENANT
@click.argument("client_id")
@click.argument("types", nargs=-1, metavar="TYPE...")
@click.option("--all", "everything", is_flag=True, help="Every type it registered for.")
def export_types(
    tenant: str | None, client_id: str, types: tuple[str, ...], everything: bool
) -> None:
    """Say which types a backend service may export and read."""
    if bool(types) == everything:
        raise click.UsageError("Name the types, or give --all.")
    with operator(tenant) as at:
        client = at.app(client_id)
        if not client.check_grant_type("client_credentials"):
            raise InvalidRequest("This app is no backend service.")
        served = at.parts.auth.ports.resource_types(at.tenant, "system")
        if unknown := sorted(set(types) - set(served)):
            raise InvalidRequest(f"Not served here: {', '.join(unknown)}.")
        most = " ".join(f"system/{name}.rs" for name in dict.fromkeys(types))
        _change(at, client, scope_limit=most or None)
        at.acts.record("app scopes limited", client_id=client_id)


@apps.command("assign")
@TENANT
@click.argument("client_id")
@GROUP
@PATIENT
def assign(
    tenant: str | None, client_id: str, groups: tuple[str, ...], patients: tuple[str, ...]
) -> None:
    """Give a backend groups to export, or name the patients an app may be used for.

    An app without a list of patients is launched for whomever its user may see; the first patient
    assigned begins such a list.
    """
    if not groups and not patients:
        raise click.UsageError("Give --group or --patient.")
    with operator(tenant) as at:
        client = at.app(client_id)
        known = {group.group_id for group in at.parts.groups.list(at.tenant)}
        if not set(groups) <= known:
            raise NotFound("There is no group of that id.")
        listed = client.patients
        if patients:
            listed = (listed or frozenset()) | at.known_patients(patients)
        _put_reach(at, client, client.groups | set(groups), listed)


@apps.command("unassign")
@TENANT
@click.argument("client_id")
@GROUP
@PATIENT
@click.option("--no-list", is_flag=True, help="End the list of patients altogether.")
def unassign(
    tenant: str | None,
    client_id: str,
    groups: tuple[str, ...],
    patients: tuple[str, ...],
    no_list: bool,
) -> None:
    """Take groups or patients from an app. A list of patients stays one when it is empty."""
    if not groups and not patients and not no_list:
        raise click.UsageError("Give --group, --patient or --no-list.")
    with operator(tenant) as at:
        client = at.app(client_id)
        listed = None if no_list or client.patients is None else client.patients - set(patients)
        _put_reach(at, client, client.groups - set(groups), listed)


@apps.command("launch")
@TENANT
@click.argument("client_id")
@click.option("--user", "username", required=True, help="Who launches it.")
@click.option("--patient", help="Id of the patient it is about.")
@click.option("--encounter", help="Id of the encounter.")
@click.option("--context", "references", multiple=True, help="Such as Appointment/1; repeatable.")
@click.option("--intent", help="What the app is to do, in words of its own.")
def launch(
    tenant: str | None, client_id: str, username: str, references: tuple[str, ...], **context: Any
) -> None:
    """Print the address that logs a user in and opens an app, as a host EHR would.

    It is good once, for five minutes, and for whoever opens it: give it to nobody else.
    """
    with operator(tenant) as at:
        document = {name: value for name, value in context.items() if value is not None}
        document |= {"client_id": at.app(client_id).client_id, "user": at.user(username).username}
        if references:
            document["fhirContext"] = [{"reference": one} for one in references]
        made = _order(at, document)
        at.acts.record(
            "launch made",
            client_id=client_id,
            user_id=made.user.user_id,
            patient_id=made.patient,
        )
    click.echo(made.open_url)


def _order(at: Operator, document: dict[str, Any]) -> MadeLaunch:
    """The launch, by the rules that hold for host EHRs."""
    from smart_auth.admin import OPERATOR
    from smart_auth.host_launch import order
    from smart_auth.oauth.errors import OAuthRefusal
    from smart_auth.records import Client

    caller = Client(at.tenant, OPERATOR, OPERATOR, "none", "", may_launch=True)
    try:
        return order(at.parts.auth.core, at.info, caller, document)
    except OAuthRefusal as refused:
        raise InvalidRequest(f"{refused.description}.") from None


def _change(at: Operator, client: Client, **changes: Any) -> None:
    from smart_auth import admin

    with sentences():
        admin.change_client(at.store, client, as_of=client.version, **changes)


def _put_reach(
    at: Operator, client: Client, groups: frozenset[str], patients: frozenset[str] | None
) -> None:
    """Give the app exactly these, with an act in the trail for each that was given or taken."""
    _change(at, client, groups=groups, patients=patients)
    name = client.client_id
    if groups != client.groups:
        at.acts.record("groups of an app changed", client_id=name)
    if (patients is None) != (client.patients is None):
        ended = patients is None
        at.acts.record(
            "list of patients ended" if ended else "list of patients begun", client_id=name
        )
    before, after = client.patients or frozenset(), patients or frozenset()
    for patient in sorted(after - before):
        at.acts.record("patient given to an app", client_id=name, patient_id=patient)
    for patient in sorted(before - after):
        at.acts.record("patient taken from an app", client_id=name, patient_id=patient)
