"""`sync` and `purge`: what is in the mirror."""

from __future__ import annotations

import json
from collections.abc import Callable

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from fhir_facade.bulk.expiry import withdraw
from fhir_facade.cli.operator import TENANT, operator
from fhir_facade.cli.wiring import facade, known_tenant
from fhir_facade.errors import NotFound
from fhir_facade.mirror.purge import purge_patient
from fhir_facade.mirror.reindex import reindex
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.sync import runner
from fhir_facade.sync.job import OnProgress
from fhir_facade.sync.job import Progress as Step


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


@click.command()
@TENANT
@click.argument("patient_id")
@click.confirmation_option(prompt="This cannot be undone. Remove all that is held of the patient?")
def purge(tenant: str | None, patient_id: str) -> None:
    """Remove a patient: all versions, the index, stored records, and the exports of the tenant.

    Remove the patient at the upstream first, or the next sync brings it back.
    """
    with operator(tenant) as at:
        parts, slug = at.parts, at.tenant
        exports = withdraw(parts.bulk, slug)
        removed = purge_patient(parts.database, slug, patient_id)
        # Groups that name the patient are written anew; then their old versions can go as well.
        parts.groups.refresh(slug)
        removed += purge_patient(parts.database, slug, patient_id)
        at.acts.record("patient purged", patient_id=patient_id)
    click.echo(json.dumps({"versions": removed, "exports": exports}))
