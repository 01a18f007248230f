"""The room under gunicorn as deployed, over real sockets."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import pytest

from fhir_facade.app import build
from fhir_facade.settings import load

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with one tenant and no source, behind a path prefix."""
    folder = tmp_path_factory.mktemp("server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number = int(probe.getsockname()[1])
    env = {
        "FACADE_DEMO": "true",
        "FACADE_PUBLIC_URL": "http://localhost:9/outer/path",
        "FACADE_BIND": f"127.0.0.1:{number}",
        "FACADE_DATABASE_URL": f"sqlite:///{folder}/mirror.db",
        "FACADE_AUTH_DATABASE_URL": f"sqlite:///{folder}/auth.db",
        "FACADE_FILES_URL": f"file:{folder}/files",
        "FACADE_SECRET_KEYS": secrets.token_urlsafe(40),
        "FACADE_SYNC": "false",
        "FACADE_WEB_WORKERS": "1",
        "FACADE_TENANTS__ACME__NAME": "Acme",
        "FACADE_TENANTS__ACME__TIMEZONE": "Australia/Sydney",
    }
    parts = build(load(env), check=False)
    parts.upgrade()
    parts.close()
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **env}, stdout=log, stderr=log
        )
    try:
        _wait(number, process, folder / "log")
        yield number
    finally:
        process.terminate()
        process.wait(60)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if ask(port, "GET", "/healthz")[0].status == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(log.read_text()[-2000:])


def ask(
    port: int, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[HTTPResponse, bytes]:
    """One request on a connection of its own."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def test_describes_itself_under_its_public_address(port: int) -> None:
    response, body = ask(port, "GET", "/fhir/acme/metadata")
    assert response.status == 200
    assert json.loads(body)["implementation"]["url"] == "http://localhost:9/outer/path/fhir/acme"
    head, nothing = ask(port, "HEAD", "/fhir/acme/metadata")
    assert head.headers["Content-Length"] == str(len(body))
    assert nothing == b""
    same, nothing = ask(
        port, "GET", "/fhir/acme/metadata", **{"If-None-Match": str(head.headers["ETag"])}
    )
    assert (same.status, nothing) == (304, b"")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/fhir/acme/Patient/1", 401),
        ("GET", "/fhir/acme/Patient?name=x", 401),
        ("POST", "/fhir/acme/Patient/_search", 401),
        ("DELETE", "/fhir/acme/Patient/1", 401),
        ("PURGE", "/fhir/acme/Patient/1", 401),
        ("POST", "/fhir/acme/metadata", 405),
        ("GET", "/fhir/acme/a/b/c/d", 404),
        ("GET", "/fhir/nobody/metadata", 404),
        ("GET", "/fhir/acme/metadata?_format=xml", 406),
        ("GET", "/fhir/acme/%ff%00", 401),
        ("GET", "/fhir/acme/Patient?" + "a" * 7000, 401),
    ],
)
def test_failures_are_outcomes(port: int, method: str, path: str, status: int) -> None:
    response, body = ask(port, method, path, **{"X-Correlation-Id": "from-the-client"})
    assert response.status == status
    document = json.loads(body)
    assert document["resourceType"] == "OperationOutcome"
    assert response.headers["X-Correlation-Id"] == "from-the-client"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_preflights(port: int) -> None:
    response, body = ask(port, "OPTIONS", "/fhir/acme/Patient/1", Origin="https://app.example")
    assert (response.status, body) == (204, b"")
    assert "Authorization" in response.headers["Access-Control-Allow-Headers"]


def test_is_ready(port: int) -> None:
    response, body = ask(port, "GET", "/readyz")
    assert response.status == 200
    assert json.loads(body)["status"] == "ready"


def test_one_connection_takes_many_requests(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        for _ in range(20):
            connection.request("POST", "/fhir/acme/Patient/_search", b"name=" + b"x" * 5000)
            response = connection.getresponse()
            response.read()
            assert response.status == 401
    finally:
        connection.close()
