"""gunicorn with `FACADE_` settings alone: nothing of the sandbox, one sentence when it cannot
start, health, draining, several workers, a path in front.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smart_auth import admin
from tests.support.processes import alive, descendants, wait_for, wait_gone
from tests.support.serving import Server

PUBLIC = "https://fhir.example.org/imaging"
BASE = f"{PUBLIC}/fhir/acme"
TENANT = "TENANTS__ACME__"
PRODUCTION = {
    "PUBLIC_URL": PUBLIC,
    # Nobody listens on the discard port, so this upstream never answers.
    f"{TENANT}QUBS__DOMAIN": "acme",
    f"{TENANT}QUBS__CLIENT_ID": "facade",
    f"{TENANT}QUBS__CLIENT_SECRET": "a-secret-of-the-test-run",
    f"{TENANT}QUBS__BASE_URL": "https://127.0.0.1:9",
    f"{TENANT}QUBS__TOKEN_URL": "https://127.0.0.1:9/oauth2/token",
    "WEB_WORKERS": "3",
    "TRUSTED_PROXIES": "1",
}
PROXIED = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
REDIRECT = "https://app.example.org/callback"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(Path(tmp_path_factory.mktemp("production")), PRODUCTION)
    done = server.run("-m", "fhir_facade.cli", "db", "upgrade")
    assert done.returncode == 0, done.stderr
    facade = server.facade()
    app = {"client_id": "app", "redirect_uris": [REDIRECT]}
    admin.create_client(facade.auth_store, "acme", app)
    facade.close()
    server.start(PYTHONPROFILEIMPORTTIME="1")
    try:
        yield server
    finally:
        server.stop()


def test_nothing_of_the_sandbox_is_loaded(server: Server) -> None:
    imported = {
        match.group(1)
        for match in re.finditer(r"^import time:.*\|\s+(\S+)$", server.log.read_text(), re.M)
    }
    assert {"fhir_facade.rest.blueprint", "smart_auth.server"} <= imported
    assert not [name for name in imported if name.split(".")[0] in ("sandbox", "tests")]
    for path in ("/", "/demo/ehr", "/demo/app/launch.html"):
        assert server.http.get(f"{server.url}{path}", timeout=10).status_code == 404


def test_health_needs_nothing_and_readiness_names_the_upstream(server: Server) -> None:
    alive_ = server.http.get(f"{server.url}/healthz", timeout=10)
    assert (alive_.status_code, alive_.json()) == (200, {"status": "ok"})

    def ready() -> Any:
        answer = server.http.get(f"{server.url}/readyz", timeout=10)
        assert answer.status_code == 200
        return {one["name"]: one for one in answer.json()["checks"]}

    failing = "The upstream did not answer in time, or failed"
    wait_for(
        lambda: failing in ready()["source qubs of acme"].get("detail", ""),
        90,
        "the failing upstream is not named",
    )
    checks = ready()
    assert {name for name, one in checks.items() if one["status"] == "ok"} == {
        "mirror database",
        "auth database",
    }


def test_every_address_carries_the_path_in_front(server: Server) -> None:
    """The proxy in front strips the path of the public address."""

    def get(path: str) -> Any:
        return server.http.get(f"{server.url}/fhir/acme{path}", headers=PROXIED, timeout=10)

    discovery = get("/.well-known/smart-configuration").json()
    assert discovery["issuer"] == BASE
    endpoints = [value for name, value in discovery.items() if name.endswith(("_endpoint", "_uri"))]
    assert len(endpoints) >= 5
    assert all(one.startswith(f"{BASE}/") for one in endpoints), endpoints
    assert get("/.well-known/openid-configuration").json()["issuer"] == BASE
    statement = get("/metadata")
    assert statement.json()["implementation"]["url"] == BASE
    assert str(server.port) not in statement.text
    refused = get("/Patient")
    assert refused.status_code == 401
    assert str(server.port) not in refused.headers["WWW-Authenticate"]
    page = server.http.get(
        f"{server.url}/fhir/acme/auth/authorize",
        params={
            "response_type": "code",
            "client_id": "app",
            "redirect_uri": REDIRECT,
            "scope": "launch/patient patient/*.rs",
            "state": "s" * 32,
            "aud": BASE,
            "code_challenge": "A" * 43,
            "code_challenge_method": "S256",
        },
        headers=PROXIED,
        timeout=10,
        allow_redirects=False,
    )
    assert page.status_code in (200, 302, 303)
    assert page.headers.get("Location", BASE).startswith(BASE)
    local = [
        link
        for link in re.findall(r'(?:href|src|action)="([^"]+)"', page.text)
        if not link.startswith((f"{BASE}/", "/imaging/fhir/acme/", "#", "data:"))
    ]
    assert local == []
    for cookie in page.headers.get("Set-Cookie", "").split(", __"):
        assert not cookie or "Secure" in cookie
        assert not cookie or "Path=/imaging/" in cookie or "Path=/" not in cookie


def test_a_dead_web_worker_is_replaced(server: Server) -> None:
    workers = server.web_workers()
    assert len(workers) == 3
    os.kill(workers[0], signal.SIGKILL)
    wait_for(
        lambda: len(server.web_workers()) == 3 and workers[0] not in server.web_workers(),
        20,
        "no new web worker",
    )
    assert server.http.get(f"{server.url}/healthz", timeout=10).status_code == 200


def test_doctor_names_what_is_wrong(server: Server) -> None:
    done = server.run("-m", "fhir_facade.cli", "doctor")
    assert done.returncode == 1
    assert "acme: qubs: The upstream did not answer in time, or failed" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_requests_in_flight_are_answered_before_the_end(tmp_path: Path) -> None:
    server = Server(tmp_path, {**PRODUCTION, "SYNC": "false", "WEB_WORKERS": "2"})
    assert server.run("-m", "fhir_facade.cli", "db", "upgrade").returncode == 0
    server.start()
    try:
        wait_for(server.worker, 20, "no worker")
        below = descendants(server.master)
        body = b"grant_type=refresh_token&refresh_token=unknown&client_id=app"
        head = (
            "POST /fhir/acme/auth/token HTTP/1.1\r\nHost: fhir.example.org\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as slow:
            slow.sendall(head + body[:10])
            time.sleep(1)
            ended = threading.Thread(target=server.stop)
            ended.start()
            time.sleep(1.5)
            assert alive(server.master), "it did not wait"
            slow.sendall(body[10:])
            answer = b""
            while part := slow.recv(65536):
                answer += part
        ended.join(30)
        assert answer.startswith(b"HTTP/1.1 400"), answer[:200]
        assert b'"invalid_' in answer
        assert server.process is not None
        assert server.process.returncode == 0
        assert wait_gone(below, 10) == []
    finally:
        server.stop()


START = ("-m", "gunicorn", "-c", "gunicorn.conf.py", "wsgi:application")


def sentences(text: str) -> list[str]:
    """Lines but gunicorn's own."""
    return [line for line in text.splitlines() if line and not line.startswith("[20")]


def test_without_tables_the_start_ends_with_one_sentence(tmp_path: Path) -> None:
    done = Server(tmp_path, PRODUCTION).run(*START)
    assert done.returncode not in (0, None)
    said = sentences(done.stdout + done.stderr)
    assert said, done
    assert set(said) == {said[0]}
    assert "fhir-facade db upgrade" in said[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", "http://fhir.example.org"),
        ("PUBLIC_URL", "fhir.example.org"),
        ("SECRET_KEYS", "short"),
        ("SECRET_KEYS", ""),
        ("DATABASE_URL", "mysql://db/facade"),
        ("AUTH_DATABASE_URL", "nonsense"),
        ("FILES_URL", "ftp://files"),
        ("WEB_WORKERS", "none"),
        ("TENANTS__ACME__TIMEZONE", "Mars/Olympus"),
        ("TENANTS__ACME__QUBS__BASE_URL", "http://partners.example.org"),
        ("TENANTS__ACME__QUBS__CLIENT_SECRET", ""),
        ("NO_SUCH_THING", "1"),
    ],
)
def test_a_wrong_setting_ends_the_start_with_a_sentence_that_names_it(
    tmp_path: Path, name: str, value: str
) -> None:
    done = Server(tmp_path, {**PRODUCTION, name: value}).run(*START)
    assert done.returncode == 1
    said = sentences(done.stdout + done.stderr)
    assert len(said) == 1, said
    assert f"FACADE_{name}" in said[0]
    assert len(value) < 8 or value not in said[0]


def test_the_worker_alone_says_so_too(tmp_path: Path) -> None:
    done = Server(tmp_path, PRODUCTION).run("-m", "fhir_facade.cli", "worker")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "fhir-facade db upgrade" in done.stderr
