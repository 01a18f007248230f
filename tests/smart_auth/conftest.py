"""One authorization server for a test, on a SQLite file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from smart_auth import migrate
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore, open_store
from tests.support.smart_auth import FakeFacade, Tab, add_apps, add_people, make_app, make_server


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty migrated database to copy from."""
    path = tmp_path_factory.mktemp("auth") / "empty.db"
    migrate.upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def url(migrated: Path, tmp_path: Path) -> str:
    """The URL of a fresh database."""
    copy = tmp_path / "auth.db"
    copy.write_bytes(migrated.read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def store(url: str) -> Iterator[AuthStore]:
    opened = open_store(url)
    yield opened
    opened.close()


@pytest.fixture
def facade() -> FakeFacade:
    return FakeFacade()


@pytest.fixture
def server(store: AuthStore, facade: FakeFacade) -> AuthServer:
    return make_server(store, facade)


@pytest.fixture
def http(server: AuthServer) -> FlaskClient:
    return make_app(server).test_client()


@pytest.fixture
def people(store: AuthStore) -> dict[str, User]:
    """Users and apps of tenant acme; gives the users by name."""
    add_apps(store)
    return add_people(store)


@pytest.fixture
def tab(http: FlaskClient, people: dict[str, User]) -> Tab:
    """A fresh browser."""
    return Tab(http)
