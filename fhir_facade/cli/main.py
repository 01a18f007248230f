"""The top of the command line: the list of commands, and one place that turns errors into
sentences.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from fhir_facade.cli import app_changes, app_reach, app_tokens, identities
from fhir_facade.cli.apps import apps
from fhir_facade.cli.audit import audit
from fhir_facade.cli.data import purge, sync
from fhir_facade.cli.demo import demo
from fhir_facade.cli.doctor import doctor
from fhir_facade.cli.grants import grants, sessions
from fhir_facade.cli.groups import groups
from fhir_facade.cli.keys import keys
from fhir_facade.cli.patients import patients
from fhir_facade.cli.serve import database, serve, worker
from fhir_facade.cli.users import users
from fhir_facade.errors import FacadeError


class _Sentences(click.Group):
    """A group whose commands end with one sentence and status 1 on a domain error, without a
    traceback.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except FacadeError as error:
            click.echo(error.text, err=True)
            sys.exit(1)


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="fhir-facade")
def main() -> None:
    """A FHIR R4 and SMART front door for clinical systems that have none."""
    os.umask(0o077)  # databases and export files hold patients' data


_FURTHER = (app_changes, app_reach, app_tokens, identities)
"""Modules that add to `app` and `user` as they are loaded."""
_PROCESSES = (demo, serve, worker, sync, purge, doctor, database)
_PEOPLE = (users, patients, apps, groups, grants, sessions, keys, audit)
for _command in (*_PROCESSES, *_PEOPLE):
    main.add_command(_command)
