"""`fhir-facade demo`: the emulators, the facade and some data, on this machine."""

from __future__ import annotations

import sys

import click


@click.command()
@click.option("--port", type=int, envvar="PORT", default=8000, show_default=True)
@click.option("--state", default="var/demo", show_default=True, help="Where its state is kept.")
@click.option("--scale", type=float, default=1.0, hidden=True, help="Size of the data, 1 is all.")
@click.option("--clients", envvar="DEMO_CLIENTS", help="JSON file with more clients to register.")
def demo(port: int, state: str, scale: float, clients: str | None) -> None:
    """Run two practices on an emulated QUBS behind the facade; Ctrl-C stops everything."""
    from sandbox.demo.run import run

    sys.exit(run(port=port, state=state, scale=scale, clients=clients))
