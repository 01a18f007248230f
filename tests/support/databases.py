"""Both databases: a test that takes `database_url` runs on SQLite and on PostgreSQL.

Use it by naming the fixtures in a conftest: `from tests.support.databases import database_url`.
"""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import Database, open_database
from tests.support.postgres import fresh_postgres_url
from tests.support.soak import SOAK

BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
BOTH_IN_SOAK = BOTH if SOAK else ["sqlite"]
"""For what reaches the database only through stores that run on both."""


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an empty database; the tables are in it when the test asks for `database`."""
    if "database" in request.fixturenames:
        return copied_url(request.param, tmp_path, no_rows)
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/mirror.sqlite"
    return fresh_postgres_url()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The mirror's database, migrated and open."""
    opened = open_database(database_url)
    yield opened
    opened.close()


@contextmanager
def shared_database(kind: str, place: Path) -> Iterator[Database]:
    """A migrated database for several tests that only read it; `kind` as in BOTH."""
    opened = open_database(copied_url(kind, place, no_rows))
    try:
        yield opened
    finally:
        opened.close()


def no_rows(database: Database) -> None:
    """Fill for `copied_url`: the tables as migrated."""


_templates: dict[tuple[str, str], str] = {}


def copied_url(kind: str, place: Path, fill: Callable[[Database], None]) -> str:
    """The address of a mirror of its own for one test, filled by `fill`; see `copy_of`."""

    def make(url: str) -> None:
        migrate.upgrade(url)
        opened = open_database(url)
        try:
            fill(opened)
        finally:
            opened.close()

    return copy_of(kind, place, f"{fill.__module__}.{fill.__qualname__}", make)


def copy_of(kind: str, place: Path, name: str, make: Callable[[str], None]) -> str:
    """The address of a database of its own for one test: made by `make`, which gets the address of
    an empty one, when a test of this process first asks for this name, and copied for all of them.
    """
    key = (kind, name)
    if key not in _templates:
        _templates[key] = _empty_url(kind)
        make(_templates[key])
    template = _templates[key]
    if kind != "sqlite":
        return fresh_postgres_url(copy_of=str(make_url(template).database))
    copy = place / "mirror.sqlite"
    shutil.copyfile(template.removeprefix("sqlite:///"), copy)
    return f"sqlite:///{copy}"


def _empty_url(kind: str) -> str:
    if kind != "sqlite":
        return fresh_postgres_url()
    folder = tempfile.mkdtemp(prefix="template")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return f"sqlite:///{folder}/template.sqlite"
