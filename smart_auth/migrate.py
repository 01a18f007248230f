"""The auth database's schema: bring it to the newest version, or refuse to start on an old one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from smart_auth.store.database import POSTGRES_SCHEMA, Database

_SCRIPTS = Path(__file__).parent / "migrations"


class SchemaOutOfDate(RuntimeError):
    """The auth database is not at the schema version this release needs."""


def upgrade(url: str) -> None:
    """Create the schema or bring it to the newest version, in one transaction."""
    database = Database(url)
    try:
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {POSTGRES_SCHEMA}"))
                connection.execute(text("SELECT pg_advisory_xact_lock(7205261)"))
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        database.close()


def check(url: str) -> None:
    """Raise `SchemaOutOfDate` unless the schema is at the newest version."""
    database = Database(url)
    try:
        with database.read() as connection:
            found = _current(connection)
    finally:
        database.close()
    wanted = ScriptDirectory.from_config(_config()).get_current_head()
    if found != wanted:
        raise SchemaOutOfDate(
            f"The auth database is at schema version {found or 'none'}, "
            f"this release needs {wanted}: run `fhir-facade db upgrade`."
        )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    return config


def _current(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table": "auth_version"})
    return context.get_current_revision()
