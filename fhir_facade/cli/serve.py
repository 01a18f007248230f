"""`serve`, `worker` and `db`: the processes of a deployment, and its tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fhir_facade.cli.wiring import facade


@click.command()
@click.option("--app", "application", default="wsgi:application", hidden=True)
def serve(application: str) -> None:
    """Serve over HTTP with gunicorn; its master keeps the worker process alive."""
    root = Path(__file__).parents[2]
    os.chdir(root)
    command = [sys.executable, "-m", "gunicorn", "-c", str(root / "gunicorn.conf.py"), application]
    os.execv(sys.executable, command)  # noqa: S606  ourselves


@click.command()
@click.option("--parent", type=int, help="End when this process is gone.")
def worker(parent: int | None) -> None:
    """Run exports and syncs until told to stop (gunicorn starts this by itself)."""
    from fhir_facade.worker import run

    run(parent)


@click.group("db")
def database() -> None:
    """The tables."""


@database.command()
def upgrade() -> None:
    """Create the tables, or bring them to this release's shape."""
    with facade(check=False) as parts:
        parts.upgrade()
    click.echo("The tables are current.")


@database.command()
def check() -> None:
    """Say whether the tables have this release's shape."""
    with facade():
        click.echo("The tables are current.")
