"""`sync` and `group`: what is in the mirror, and who may export what."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fhir_facade.bulk.expiry import withdraw
from fhir_facade.cli.wiring import facade, known_tenant
from fhir_facade.errors import NotFound
from fhir_facade.mirror.groups import GroupDefinition, listed
from fhir_facade.mirror.purge import purge_patient
from fhir_facade.mirror.reindex import reindex
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.sync import runner
from fhir_facade.sync.job import OnProgress
from fhir_facade.sync.job import Progress as Step

TENANT = click.option("--tenant", help="Which tenant; not needed when there is one.")


def bars(console: Console) -> tuple[Progress, OnProgress]:
    """A progress display, and the callback that feeds it: one line per tenant and stage."""
    display = Progress(
        TextColumn("{task.description:<24}"), BarColumn(), MofNCompleteColumn(), console=console
    )
    tasks: dict[tuple[str, str], Callable[[int, int | None], None]] = {}

    def show(step: Step) -> None:
        key = (step.tenant, step.stage)
        if key not in tasks:
            task = display.add_task(f"{step.tenant}: {step.stage}", total=step.total)
            tasks[key] = lambda done, total: display.update(task, completed=done, total=total)
        tasks[key](step.done, step.total)

    return display, show


@click.command()
@TENANT
@click.option("--full", is_flag=True, help="Read everything and complete a sweep.")
@click.option(
    "--remap", is_flag=True, help="Map and index what is stored again, without upstream calls."
)
def sync(tenant: str | None, full: bool, remap: bool) -> None:
    """Pull from the upstreams once, map, validate and publish; every tenant unless one is named."""
    failed = False
    with facade() as parts:
        wanted = known_tenant(parts, tenant) if tenant else None
        jobs = [job for job in parts.jobs if wanted in (None, job.tenant)]
        if not jobs:
            raise NotFound("There is no source to sync.")
        display, show = bars(Console(stderr=True))
        with display:
            for job in jobs:
                if remap:
                    reindex(parts.database, REGISTRY, job.tenant, job.zone)
                    report = runner.remap(parts.sync, job, progress=show)
                else:
                    report = runner.sync_once(parts.sync, job, full=full, progress=show)
                failed |= not report.ok
                click.echo(json.dumps({"tenant": job.tenant, **report.to_json()}))
    if failed:
        raise SystemExit(1)


@click.group("group")
def groups() -> None:
    """Groups of patients, for exports."""


@groups.command("add")
@TENANT
@click.argument("group_id")
@click.option("--name", required=True)
@click.option("--all", "everyone", is_flag=True, help="All patients of the tenant.")
@click.option("--site", help="Patients with an appointment at this Location (its id).")
@click.option("--member", "members", multiple=True, help="Id of a patient; repeatable.")
def add_group(
    tenant: str | None,
    group_id: str,
    name: str,
    everyone: bool,
    site: str | None,
    members: tuple[str, ...],
) -> None:
    """Make or change a group: exactly one of --all, --site and --member says who is in it."""
    if [everyone, site is not None, bool(members)].count(True) != 1:
        raise click.UsageError("Give exactly one of --all, --site and --member.")
    rule: Literal["tenant", "site", "listed"] = (
        "tenant" if everyone else "site" if site else "listed"
    )
    with facade() as parts:
        slug = known_tenant(parts, tenant)
        parts.groups.define(
            slug, GroupDefinition(group_id, name, rule, site or "", listed(members))
        )
        parts.groups.refresh(slug)
    click.echo(group_id)


@groups.command("list")
@TENANT
def list_groups(tenant: str | None) -> None:
    """List groups: id, name, rule."""
    with facade() as parts:
        for group in parts.groups.list(known_tenant(parts, tenant)):
            click.echo(f"{group.group_id}\t{group.name}\t{group.rule}")


@click.command()
@TENANT
@click.argument("patient_id")
@click.confirmation_option(prompt="This cannot be undone. Remove all that is held of the patient?")
def purge(tenant: str | None, patient_id: str) -> None:
    """Remove a patient: all versions, the index, stored records, and the exports of the tenant.

    Remove the patient at the upstream first, or the next sync brings it back.
    """
    with facade() as parts:
        slug = known_tenant(parts, tenant)
        exports = withdraw(parts.bulk, slug)
        removed = purge_patient(parts.database, slug, patient_id)
        # Groups that name the patient are written anew; then their old versions can go as well.
        parts.groups.refresh(slug)
        removed += purge_patient(parts.database, slug, patient_id)
    click.echo(json.dumps({"versions": removed, "exports": exports}))
