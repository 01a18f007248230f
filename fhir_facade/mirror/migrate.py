"""Bringing the mirror's database to the shape the code needs, and checking that it has it.

Alembic without a file of its own: settings come from the address. Several processes may upgrade at
once; one does it and the others find it done.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from fhir_facade.errors import SettingsError
from fhir_facade.mirror.database import POSTGRES_SCHEMA, Database, open_database

_LOCK = 0x4648_4952
"""Key of the advisory lock that serialises upgrades on PostgreSQL."""


def upgrade(url: str) -> None:
    """Create or migrate the tables. All of it happens, or nothing."""
    database = open_database(url)
    try:
        with database.write() as conn:
            if database.dialect == "postgresql":
                conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
                conn.execute(text(f"CREATE SCHEMA IF NOT EXISTS {POSTGRES_SCHEMA}"))
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
    except OperationalError as error:
        raise _unreachable() from error
    finally:
        database.close()


def current(url: str) -> str | None:
    """The revision the database is at; None when it holds no tables of ours."""
    database = open_database(url)
    try:
        return _current(database)
    except OperationalError as error:
        raise _unreachable() from error
    finally:
        database.close()


def check(url: str) -> None:
    """Raise SettingsError, in one sentence that says what to run, unless the tables are as the code
    needs them."""
    found, wanted = current(url), ScriptDirectory.from_config(_config()).get_current_head()
    if found == wanted:
        return
    state = "holds no tables yet" if found is None else f"is at revision {found}, not {wanted}"
    raise SettingsError(
        f"The database of FACADE_DATABASE_URL {state}: run `fhir-facade db upgrade` first."
    )


def _current(database: Database) -> str | None:
    with database.read() as conn:
        return MigrationContext.configure(conn).get_current_revision()


def _config() -> Config:
    config = Config()
    location: Any = Path(__file__).parent / "migrations"
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _unreachable() -> SettingsError:
    return SettingsError("The database of FACADE_DATABASE_URL cannot be opened.")
