"""The audit tables on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.engine import Engine

from fhir_facade.audit import migrate
from smart_auth import migrate as auth_migrate
from smart_auth.store.database import Database
from tests.support.databases import database_url

__all__ = ["database_url"]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """The engine of the auth database, with the tables of both rooms."""
    auth_migrate.upgrade(database_url)
    database = Database(database_url)
    migrate.upgrade(database.engine)
    yield database.engine
    database.close()
