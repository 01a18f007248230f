"""The OpenAPI description, held to the running server by schemathesis: requests made from it, valid
and not, are answered as it says.

Not asked: that valid data is accepted and invalid data refused, for a schema cannot say which
values and combinations of search parameters mean something; and what needs links between writes.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.demo import RunningDemo
from tests.support.fhir_api import Api, api_of
from tests.support.soak import SOAK, examples

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
)
COVERED = ("Patient", "System", "Bulk export", "About this server")
"""Tags whose operations are tried value by value; those of other types differ by names only."""


@pytest.fixture(scope="module")
def api(demo: RunningDemo) -> Api:
    return api_of(demo)


def run(api: Api, folder: Path, token: str | None, seconds: int, *options: str) -> None:
    """Run schemathesis with these options, for so long at most (five times that in the long form);
    a failure shows what it found."""
    seconds *= 5 if SOAK else 1
    command = [sys.executable, "-m", "schemathesis.cli", "run", f"{api.base}/openapi.json"]
    command += ["--checks", ",".join(CHECKS), "--continue-on-failure", "--no-shrink"]
    command += ["--seed", "1", "--no-color", "--warnings", "off", "--workers", "1"]
    command += ["--suppress-health-check", "all", "--max-time", str(seconds), *options]
    if token is not None:
        command += ["-H", f"Authorization: Bearer {token}"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_every_operation_answers_as_described(api: Api, tmp_path: Path) -> None:
    token = api.token("practitioner")
    many = str(examples(1))
    run(api, tmp_path, token, 20, "--phases", "examples,fuzzing", "--max-examples", many)


def test_every_value_and_method_is_answered_as_described(api: Api, tmp_path: Path) -> None:
    tags = [option for tag in COVERED for option in ("--include-tag", tag)]
    token = api.token("backend")
    run(api, tmp_path, token, 12, "--phases", "coverage", *tags)


def test_nothing_is_given_without_a_token(api: Api, tmp_path: Path) -> None:
    run(api, tmp_path, None, 5, "--phases", "examples,fuzzing", "--max-examples", "1")
