"""`patient find`: the ids that other commands take."""

from __future__ import annotations

import click

from fhir_facade.cli.operator import TENANT, operator
from fhir_facade.cli.printing import JSON, print_list


@click.group("patient")
def patients() -> None:
    """Patients of a tenant."""


@patients.command("find")
@TENANT
@click.argument("text")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@JSON
def find(tenant: str | None, text: str, limit: int, as_json: bool) -> None:
    """Find patients by name, birth date (year-month-day), account number or id.

    Prints id, name, birth date and gender. The trail keeps that somebody looked, not for whom.
    """
    from smart_auth.patient_search import look_for_patients

    with operator(tenant) as at:
        found = look_for_patients(at.parts.auth.core, at.tenant, None, None, text, limit)
    columns = ("id", "name", "birth_date", "gender")
    print_list([vars(one) for one in found], columns, as_json)
