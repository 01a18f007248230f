"""The servers that are measured: the facade as deployed, and hello-world, both on gunicorn."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

from benchmarks import hello as baseline
from benchmarks import mirrors, processes
from benchmarks import resources as made
from fhir_facade.app import Facade, build
from fhir_facade.settings import load
from smart_auth import admin, clock
from smart_auth.records import Grant, LaunchContext
from smart_auth.tokens import sign_access_token

BASE = f"/fhir/{mirrors.TENANT}"
_START_SECONDS = 60
_TOKEN_SECONDS = 3_600
_PRACTITIONER = "user/*.rs"
_BACKEND = "system/*.rs"


@dataclass(frozen=True)
class Server:
    """A running server. `tokens` by kind: `practitioner` (the whole tenant), `patient` (the first
    one), `backend` (the group of all patients)."""

    port: int
    process: subprocess.Popen[bytes]
    tokens: Mapping[str, str]

    def cpu(self) -> float:
        """CPU seconds so far of gunicorn's master and its workers; the process that writes exports
        waits beside them, and its waiting is no part of a request."""
        return processes.cpu_of([self.process.pid, *self.web_workers()])

    def web_workers(self) -> list[int]:
        """The processes that answer requests."""
        children = processes.tree(self.process.pid)[1:]
        return [pid for pid in children if "gunicorn" in processes.command_of(pid)]

    def export_workers(self) -> list[int]:
        """The processes that write exports: grandchildren, by `fhir-facade worker`."""
        for pid in processes.tree(self.process.pid)[1:]:
            if "fhir_facade.cli worker" in processes.command_of(pid):
                spawned = processes.tree(pid)[1:]
                return [p for p in spawned if "spawn_main" in processes.command_of(p)]
        return []

    def headers(self, kind: str) -> dict[str, str]:
        """What a client with this token sends."""
        return {"Authorization": f"Bearer {self.tokens[kind]}"}

    def call(self, method: str, path: str, kind: str, **headers: str) -> tuple[HTTPResponse, bytes]:
        """One request on a connection of its own; the answer and its body."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, headers={**self.headers(kind), **headers})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    def kick_off(self) -> str:
        """Start an export of the group; the path of its status."""
        path = f"{BASE}/Group/{mirrors.GROUP}/$export"
        response, body = self.call("GET", path, "backend", Prefer="respond-async")
        if response.status != 202:
            raise RuntimeError(f"the kick-off was answered {response.status}: {body[:300]!r}")
        return str(response.headers["Content-Location"]).partition(f":{self.port}")[2]

    def manifest(self, status: str) -> dict[str, Any] | None:
        """The manifest of an export, None while it is at work."""
        response, body = self.call("GET", status, "backend")
        if response.status == 202:
            return None
        if response.status != 200:
            raise RuntimeError(f"the status was answered {response.status}")
        return dict(json.loads(body))


@contextmanager
def facade(folder: Path) -> Iterator[Server]:
    """The facade over `folder`/mirror.db: `gunicorn -c gunicorn.conf.py wsgi:application`."""
    port = _free_port()
    env = _environment(folder, port)
    tokens = _prepare(env)
    command = ["-c", "gunicorn.conf.py", "wsgi:application"]
    with _gunicorn(command, env, port, "/healthz", folder / "server.log") as process:
        server = Server(port, process, tokens)
        _until(lambda: bool(server.export_workers()), process, folder / "server.log")
        yield server


@contextmanager
def hello(folder: Path) -> Iterator[Server]:
    """Hello-world Flask on the same gunicorn settings."""
    port = _free_port()
    bind = f"127.0.0.1:{port}"
    command = ["-c", "python:benchmarks.hello", "--bind", bind, "benchmarks.hello:application"]
    with _gunicorn(command, {}, port, "/", folder / "hello.log") as process:
        yield Server(port, process, {})


def _environment(folder: Path, port: int) -> dict[str, str]:
    tenant = f"FACADE_TENANTS__{mirrors.TENANT.upper()}__"
    return {
        "FACADE_DEMO": "true",  # allows plain http on loopback, and nothing else of it is used
        "FACADE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "FACADE_BIND": f"127.0.0.1:{port}",
        "FACADE_DATABASE_URL": f"sqlite:///{folder}/mirror.db",
        "FACADE_AUTH_DATABASE_URL": f"sqlite:///{folder}/auth.db",
        "FACADE_FILES_URL": f"file:{folder}/files",
        "FACADE_SECRET_KEYS": secrets.token_urlsafe(40),
        "FACADE_SYNC": "false",
        "FACADE_LOG_LEVEL": "warning",
        "FACADE_WEB_WORKERS": str(baseline.workers),
        "FACADE_WEB_THREADS": str(baseline.threads),
        f"{tenant}NAME": "Acme Imaging",
        f"{tenant}TIMEZONE": str(mirrors.ZONE),
    }


def _prepare(env: Mapping[str, str]) -> dict[str, str]:
    """Make the tables, two people and two apps; tokens for them, signed by the tenant's key."""
    parts = build(load(env), check=False)
    try:
        parts.upgrade()
        store, tenant = parts.auth_store, mirrors.TENANT
        first = made.patient_id(0)
        password = secrets.token_urlsafe(16)
        staff = admin.create_user(
            store, tenant, "staff", password, role="practitioner", whole_tenant=True
        )
        patient = admin.create_user(
            store, tenant, "one", password, role="patient", patients=[first],
            fhir_user=f"Patient/{first}",
        )  # fmt: skip
        app = {"client_id": "app", "redirect_uris": ["http://localhost/app"]}
        admin.create_client(store, tenant, app)
        backend = {
            "client_id": "backend",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": "https://example.org/jwks",
            "grant_types": ["client_credentials"],
            "scope": _BACKEND,
            "groups": [mirrors.GROUP],
        }
        admin.create_client(store, tenant, backend)
        return {
            "practitioner": _token(parts, "app", _PRACTITIONER, staff.user_id, None),
            "patient": _token(parts, "app", "patient/*.rs", patient.user_id, first),
            "backend": _token(parts, "backend", _BACKEND, None, None),
        }
    finally:
        parts.close()


def _token(
    parts: Facade, client_id: str, scope: str, user_id: str | None, patient: str | None
) -> str:
    """An access token of a grant that is in the store, as the token endpoint would give it."""
    now = clock.now()
    grant = Grant(
        grant_id=secrets.token_urlsafe(16),
        kind="backend" if user_id is None else "launch",
        client_id=client_id,
        user_id=user_id,
        session_hash=None,
        scope=scope,
        context=LaunchContext(patient=patient),
        auth_time=now,
        created_at=now,
        expires_at=now + _TOKEN_SECONDS,
        last_used_at=now,
    )
    core = parts.auth.core
    core.store.grants.add(mirrors.TENANT, grant)
    tenant = core.ports.tenants()[mirrors.TENANT]
    return sign_access_token(core.keys, tenant, grant, scope, _TOKEN_SECONDS)


@contextmanager
def _gunicorn(
    arguments: list[str], env: Mapping[str, str], port: int, ready: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gunicorn", *arguments],
            cwd=mirrors.ROOT,
            env={**os.environ, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        _until(lambda: _answers(port, ready), process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int, path: str) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until it is so. Raises RuntimeError with the end of the log when that takes too long."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
