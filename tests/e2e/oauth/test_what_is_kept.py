"""Nothing is left lying about. The name of this module puts it last: it looks for whatever the
modules before it sent.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.support.demo import RunningDemo
from tests.support.oauth_checks import SEEN
from tests.support.oauth_flow import BackendFlow, OAuthFlow


@pytest.fixture(scope="module", autouse=True)
def _something_to_find(flow: OAuthFlow, backend: BackendFlow) -> None:
    """A launch, a refresh and an assertion, for when this module runs alone."""
    flow.refresh(flow.tokens()["refresh_token"])
    backend.ask(backend.assertion())
    assert len(SEEN) > 8


def test_no_secret_and_no_patient_in_logs(demo: RunningDemo) -> None:
    names = patient_names(demo)
    assert names
    users = [one["password"] for one in demo.demo["users"].values()]
    secret = [*SEEN, *users, demo.demo["clients"]["confidential"]["client_secret"], "wr0ng!"]
    for log in (demo.state / "logs").iterdir():
        text = log.read_text("utf-8", "replace")
        assert not [one for one in secret if one in text], log.name
        if log.name == "server.log":
            assert not [one for one in names if one in text], log.name


def patient_names(demo: RunningDemo) -> set[str]:
    """Family names that are no word of ours."""
    with closing(sqlite3.connect(demo.state / "mirror.db", timeout=20)) as mirror:
        tables = {row[0] for row in mirror.execute("SELECT name FROM sqlite_master")}
        assert "resource_version" in tables, tables
        bodies = mirror.execute(
            "SELECT body FROM resource_version WHERE type = 'Patient' AND body IS NOT NULL"
        ).fetchall()
    found = [json.loads(row[0]) for row in bodies]
    return {name["family"] for one in found for name in one.get("name", []) if "family" in name}


def test_secrets_are_kept_as_hashes(demo: RunningDemo) -> None:
    kept = b"".join(path.read_bytes() for path in demo.state.glob("auth.db*"))
    users = [one["password"] for one in demo.demo["users"].values()]
    secret = [*SEEN, *users, demo.demo["clients"]["confidential"]["client_secret"]]
    assert not [one for one in secret if one.encode() in kept]
