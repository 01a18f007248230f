"""The audit tables on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import Engine

from fhir_facade.audit import migrate
from smart_auth import migrate as auth_migrate
from smart_auth.store.database import Database
from tests.support.databases import BOTH, copy_of, database_url

__all__ = ["database_url"]


@pytest.fixture(params=BOTH)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """The engine of the auth database, with the tables of both rooms."""
    database = Database(copy_of(request.param, tmp_path, "audit", _make))
    yield database.engine
    database.close()


def _make(url: str) -> None:
    auth_migrate.upgrade(url)
    database = Database(url)
    migrate.upgrade(database.engine)
    database.close()
