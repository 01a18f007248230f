"""A developer's browser at the portal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from smart_auth import admin
from smart_auth.records import Client, User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore, open_store
from tests.support.portal import PortalBrowser, add_developer
from tests.support.smart_auth import REDIRECT, SETTINGS, FakeFacade, make_app

REQUIRED = replace(SETTINGS, approve_apps="required")


@pytest.fixture(scope="session")
def developed(
    populated: tuple[Path, dict[str, User]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, User]]:
    """The populated database with two developers of providers and one of patients."""
    path = tmp_path_factory.mktemp("portal") / "developed.db"
    path.write_bytes(populated[0].read_bytes())
    opened = open_store(f"sqlite:///{path}")
    people = {
        "dev": add_developer(opened, profile={"email": "dev@example.org"}),
        "rival": add_developer(opened, "rival"),
        "personal": add_developer(opened, "personal", service="patient", patients=["p1"]),
    }
    opened.close()
    return path, populated[1] | people


@pytest.fixture
def url(developed: tuple[Path, dict[str, User]], tmp_path: Path) -> str:
    copy = tmp_path / "auth.db"
    copy.write_bytes(developed[0].read_bytes())
    return f"sqlite:///{copy}"


@pytest.fixture
def people(developed: tuple[Path, dict[str, User]]) -> dict[str, User]:
    return developed[1]


@pytest.fixture
def server(store: AuthStore, facade: FakeFacade) -> AuthServer:
    """A server where the provider approves apps."""
    return AuthServer(store, facade, REQUIRED)


@pytest.fixture
def browser(server: AuthServer) -> PortalBrowser:
    """Nobody is logged in."""
    return PortalBrowser(make_app(server).test_client())


@pytest.fixture
def dev(browser: PortalBrowser) -> PortalBrowser:
    """A developer who builds for providers is logged in."""
    return browser.log_in("dev")


@pytest.fixture
def app_of(store: AuthStore, people: dict[str, User]) -> Callable[..., Client]:
    """Registers an app of a developer beside the portal; approved unless said otherwise."""

    def register(owner: str = "dev", approved: bool = True, **metadata: Any) -> Client:
        given = {"redirect_uris": [REDIRECT], "client_name": "Viewer"} | metadata
        given = {name: value for name, value in given.items() if value is not None}
        made = admin.create_client(
            store,
            "acme",
            given,
            owner=people[owner].user_id,
            approved_by=admin.OPERATOR if approved else None,
        )
        return made.client

    return register


@pytest.fixture
def stored(store: AuthStore) -> Callable[[str], Client]:
    """A client of tenant acme as it is in the database."""

    def get(client_id: str) -> Client:
        found = store.clients.get("acme", client_id)
        assert found is not None
        return found

    return get
