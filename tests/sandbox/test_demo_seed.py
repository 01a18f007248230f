"""DEMO_CLIENTS is checked as a whole before anything is stored; a restart takes nothing back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sandbox.demo.seed import put_client, read_clients
from smart_auth import migrate
from smart_auth.store import open_store


def given(folder: Path, content: str) -> Path:
    path = folder / "clients.json"
    path.write_text(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "Expecting property name"),
        ('{"client_id": "x"}', "list of objects"),
        ('["x"]', "list of objects"),
        ('[{"redirect_uris": ["https://app.example.org/"]}]', "entry 1 has no client_id"),
        ('[{"client_id": "a", "redirect_uris": ["http://a.example.org/"]}]', "entry 1: Each"),
        ('[{"client_id": "a", "redirect_uris": "https://a/"}]', "entry 1: redirect_uris"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_clients(given(tmp_path, content))


@pytest.mark.parametrize("name", ["launch_uri", "launch_url", "initiate_login_uri"])
def test_the_launch_address_goes_by_each_of_its_names(tmp_path: Path, name: str) -> None:
    launch = "http://localhost:1234/launch.html"
    content = f'[{{"client_id": "a", "redirect_uris": ["https://a.b/"], "{name}": "{launch}"}}]'
    assert read_clients(given(tmp_path, content))[0]["launch_uri"] == launch


def test_a_restart_brings_metadata_up_and_keeps_what_people_decided(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/auth.db"
    migrate.upgrade(url)
    store = open_store(url)
    facade: Any = SimpleNamespace(auth_store=store)
    metadata = {"client_id": "a", "client_name": "One", "redirect_uris": ["https://a.example/"]}
    put_client(facade, "acme", metadata)
    first = store.clients.get("acme", "a")
    assert first is not None
    assert first.approved_at is not None
    decided = {"active": False, "scope_limit": "patient/Patient.r", "patients": frozenset({"p1"})}
    store.clients.replace(replace(first, **decided))  # type: ignore[arg-type]
    put_client(facade, "acme", {**metadata, "client_name": "Two"})
    second = store.clients.get("acme", "a")
    assert second is not None
    assert second.name == "Two"
    assert (second.approved_at, second.approved_by) == (first.approved_at, first.approved_by)
    assert {name: getattr(second, name) for name in decided} == decided
    put_client(facade, "acme", {**metadata, "client_name": "Two"})
    assert store.clients.get("acme", "a") == second
    store.close()
