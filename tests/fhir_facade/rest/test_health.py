"""Liveness asks nothing; readiness names what fails and fails only for what is required."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_facade.mirror import migrate
from fhir_facade.mirror.database import open_database
from fhir_facade.rest.parts import ReadinessCheck
from tests.support.rest_app import rest_app


def _raises() -> str | None:
    raise OSError("secret place")


OK = ReadinessCheck("mirror", lambda: None)
UPSTREAM = ReadinessCheck("source qubs", lambda: "It has not been synced yet.", required=False)
DOWN = ReadinessCheck("auth", _raises)


@pytest.mark.parametrize(
    ("checks", "status", "state"),
    [
        ([OK], 200, "ready"),
        ([OK, UPSTREAM], 200, "degraded"),
        ([OK, UPSTREAM, DOWN], 503, "not ready"),
    ],
)
def test_readiness(tmp_path: Path, checks: list[ReadinessCheck], status: int, state: str) -> None:
    url = f"sqlite:///{tmp_path}/mirror.sqlite"
    migrate.upgrade(url)
    database = open_database(url)
    built = rest_app(database, tmp_path, checks)
    try:
        assert built.client.get("/healthz").json == {"status": "ok"}
        answer = built.client.get("/readyz")
        assert answer.status_code == status
        assert answer.json is not None
        assert answer.json["status"] == state
        assert [check["name"] for check in answer.json["checks"]] == [c.name for c in checks]
        assert "secret" not in answer.text
    finally:
        built.close()
        database.close()
