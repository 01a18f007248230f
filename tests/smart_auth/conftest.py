"""One authorization server for a test, on a SQLite file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from smart_auth import admin, migrate
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore, open_store
from tests.support.smart_auth import (
    SETTINGS,
    FakeFacade,
    Tab,
    add_apps,
    add_people,
    make_app,
    make_server,
)


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database with signing keys, to copy from."""
    path = tmp_path_factory.mktemp("auth") / "empty.db"
    url = f"sqlite:///{path}"
    migrate.upgrade(url)
    with closing(open_store(url)) as opened:
        for tenant in FakeFacade().slugs:
            admin.create_tenant_keys(opened, SETTINGS, tenant)
    return path


@pytest.fixture(scope="session")
def populated(
    empty: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, User]]:
    """The same with users and apps in tenant acme; passwords are hashed once for all tests."""
    path = tmp_path_factory.mktemp("auth") / "populated.db"
    path.write_bytes(empty.read_bytes())
    with closing(open_store(f"sqlite:///{path}")) as opened:
        add_apps(opened)
        people = add_people(opened)
    return path, people


@pytest.fixture
def url(
    empty: Path,
    populated: tuple[Path, dict[str, User]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> str:
    """The URL of a fresh database, with users and apps when the test asks for `people`."""
    source = populated[0] if "people" in request.fixturenames else empty
    copy = tmp_path / "auth.db"
    copy.write_bytes(source.read_bytes())
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
def people(populated: tuple[Path, dict[str, User]]) -> dict[str, User]:
    """Users of tenant acme by name; asking for them fills the database."""
    return populated[1]


@pytest.fixture
def tab(http: FlaskClient, people: dict[str, User]) -> Tab:
    """A fresh browser."""
    return Tab(http)
