"""Single steps of the mirror's migrations."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from sqlalchemy import text

from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import Database


def step(database: Database, way: Callable[[Config, str], None], revision: str) -> None:
    """Take the tables to a revision of the migrations."""
    config = Config()
    folder: Any = Path(migrate.__file__).parent / "migrations"
    config.set_main_option("script_location", str(folder))
    with database.write() as conn:
        if database.dialect == "postgresql":
            conn.execute(text("CREATE SCHEMA IF NOT EXISTS mirror"))
        config.attributes["connection"] = conn
        way(config, revision)
