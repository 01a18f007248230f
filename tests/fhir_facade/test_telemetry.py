"""Log lines: where they go."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from fhir_facade import telemetry


@pytest.fixture(autouse=True)
def former_configuration() -> Iterator[None]:
    former = structlog.get_config()
    yield
    structlog.configure(**former)


def test_lines_go_to_the_stderr_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who replaces the stream after `configure`, or closes the former one, loses no line."""
    former, now = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", former)
    telemetry.configure()
    logger = telemetry.log("rest")
    former.close()
    monkeypatch.setattr(sys, "stderr", now)
    with telemetry.bind_correlation("a-correlation-id"):
        logger.info("started", count=2)
    line = json.loads(now.getvalue())
    assert (
        line.items()
        >= {
            "area": "rest",
            "event": "started",
            "level": "info",
            "count": 2,
            "correlation_id": "a-correlation-id",
        }.items()
    )


def test_lines_below_the_level_are_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    telemetry.configure("warning")
    telemetry.log("rest").info("started")
    telemetry.log("rest").warning("slow")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["slow"]
