"""Contents of documents under gunicorn, over real sockets: clients that stall, workers that die and
upstreams that break off in the middle of a body.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey
from sqlalchemy import select

from fhir_facade.app import Facade
from fhir_facade.fhir import json
from fhir_facade.mirror.tables import resource_version
from sandbox.qubs.settings import world_settings
from sandbox.qubs.world import Upload
from smart_auth import admin
from tests.support.demo_tokens import ASSERTION_TYPE
from tests.support.processes import wait_for
from tests.support.qubs import CLIENT_ID, CLIENT_SECRET, REFERENCE, Running, emulator_thread
from tests.support.serving import Server
from tests.support.syncing import fast_client, job_for, run_full

DOWNLOAD = "/files/download"
ATTACHMENT = "integrations_getappointmentattachment"
BIG = os.urandom(1 << 20) * 24
"""More than the buffers of both sockets hold."""
AT_ONCE = 3
KEY = ECKey.generate_key("P-384", {"kid": "one", "alg": "ES384"})


@dataclass(frozen=True)
class House:
    """A server of one web worker, the emulator behind it, two documents, and a token."""

    server: Server
    emulator: Running
    big: str
    small: str
    token: str

    @contextmanager
    def asked(
        self, path: str, *headers: tuple[str, str], method: str = "GET", version: str = "1.1"
    ) -> Iterator[http.client.HTTPResponse]:
        """A request on a connection of its own, its answer read up to the body."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=30) as link:
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            lines = [f"{method} /fhir/acme/{path} HTTP/{version}", "Host: localhost"]
            lines += [f"{name}: {value}" for name, value in headers]
            lines += [f"Authorization: Bearer {self.token}", "", ""]
            link.sendall("\r\n".join(lines).encode())
            response = http.client.HTTPResponse(link, method=method)
            response.begin()
            with response:
                yield response

    def got(self, path: str, *headers: tuple[str, str]) -> tuple[int, bytes]:
        """Status and whole body."""
        with self.asked(path, *headers) as response:
            return response.status, response.read()


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder: Path = tmp_path_factory.mktemp("binary")
    with emulator_thread(world_settings(REFERENCE, appointments=40, patients=8)) as emulator:
        qubs = {
            "DOMAIN": "acme",
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "BASE_URL": emulator.url,
            "TOKEN_URL": f"{emulator.url}/oauth2/token",
        }
        named = {f"TENANTS__ACME__QUBS__{name}": value for name, value in qubs.items()}
        server = Server(folder, {"DEMO": "true", "SYNC": "false", "WEB_WORKERS": "1", **named})
        facade = server.facade()
        facade.upgrade()
        job = job_for(emulator.url)
        with fast_client(job) as client:
            assert run_full(facade.sync, job, client).ok
        _register(facade)
        big, small = _documents(facade)
        assert emulator.world is not None
        emulator.world.domains["acme"].uploads[big.rpartition(".1f")[2]] = Upload(
            BIG, "application/pdf"
        )
        facade.close()
        server.start()
        try:
            yield House(server, emulator, big, small, _token(server))
        finally:
            server.stop()


def _register(facade: Facade) -> None:
    admin.create_client(
        facade.auth_store,
        "acme",
        {
            "client_id": "service",
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "jwks": {"keys": [KEY.as_dict(private=False)]},
            "whole_tenant": True,
        },
    )


def _documents(facade: Facade) -> list[str]:
    columns = resource_version.c
    query = select(columns.id).where(columns.type == "Binary").order_by(columns.id).limit(2)
    with facade.database.read() as conn:
        return [f"Binary/{one}" for one in conn.execute(query).scalars()]


def _token(server: Server) -> str:
    url = f"{server.url}/fhir/acme/auth/token"
    claims = {
        "iss": "service",
        "sub": "service",
        "aud": url,
        "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(8),
    }
    header = {"alg": "ES384", "kid": "one", "typ": "JWT"}
    form = {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode(header, claims, KEY, algorithms=["ES384"]),
    }
    answer = server.http.post(url, data=form, timeout=30)
    return str(answer.json()["access_token"])


@pytest.fixture(autouse=True)
def calm(house: House) -> None:
    house.emulator.control.clear_faults()


def upstream_connections(house: House) -> int:
    """Open connections to the emulator's port, of whoever."""
    wanted = f":{urlsplit(house.emulator.url).port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2].endswith(wanted) and row[3] == "01" for row in rows)


def broken(response: http.client.HTTPResponse) -> bool:
    """Read to the end: whether the client can tell that the body was cut short."""
    try:
        response.read()
    except (http.client.IncompleteRead, ConnectionResetError):
        return True
    return False


def test_clients_that_stall_hold_nobody_up_and_leave_nothing_behind(house: House) -> None:
    stalled = [house.asked(house.big) for _ in range(AT_ONCE)]
    for one in stalled:
        assert one.__enter__().read(1) == BIG[:1]
    held = upstream_connections(house)
    assert house.got("Patient?_count=2")[0] == 200
    with house.asked(house.small) as busy:
        assert (busy.status, int(busy.headers["Retry-After"]) > 0) == (503, True)
        assert json.loads(busy.read())["resourceType"] == "OperationOutcome"
    for one in stalled:
        one.__exit__(None, None, None)
    wait_for(lambda: upstream_connections(house) <= held - AT_ONCE, 10, "connections leak")
    assert house.got(house.big) == (200, BIG)


def test_a_worker_that_dies_breaks_the_body_and_no_more(house: House) -> None:
    (worker,) = house.server.web_workers()
    with house.asked(house.big) as response:
        assert response.read(1) == BIG[:1]
        os.kill(worker, signal.SIGKILL)
        assert broken(response)
    wait_for(lambda: set(house.server.web_workers()) - {worker}, 20, "no worker came back")
    assert house.got(house.big, ("Range", "bytes=5-9")) == (206, BIG[5:10])


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_an_upstream_that_breaks_off_is_no_end_of_the_body(house: House, version: str) -> None:
    house.emulator.control.add_fault("drop_mid_body", path_prefix=DOWNLOAD, count=1)
    logged = house.server.log.stat().st_size
    with house.asked(house.big, version=version) as response:
        assert response.status == 200
        assert int(response.headers["Content-Length"]) == len(BIG)
        assert broken(response)
    with house.server.log.open() as log:
        log.seek(logged)
        text = log.read()
    assert "download.broken" in text
    assert not any(canary in text for canary in ("Traceback", "signature", "/files/"))
    assert house.got(house.big) == (200, BIG)


def test_failures_of_the_upstream_are_outcomes(house: House) -> None:
    for fault, status in (
        ({"kind": "status", "status": 404, "path_prefix": DOWNLOAD}, 404),
        ({"kind": "status", "status": 403, "path_prefix": DOWNLOAD}, 502),
        ({"kind": "html_error", "status": 500, "operation": ATTACHMENT}, 502),
        ({"kind": "status", "status": 504, "path_prefix": DOWNLOAD}, 504),
    ):
        house.emulator.control.add_fault(**fault)
        with house.asked(house.small, ("Origin", "https://app.example")) as response:
            body = json.loads(response.read())
        house.emulator.control.clear_faults()
        assert (response.status, body["resourceType"]) == (status, "OperationOutcome")
        assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_answers_without_the_whole_body_keep_the_connection_in_step(house: House) -> None:
    link = http.client.HTTPConnection("127.0.0.1", house.server.port, timeout=30)
    path, bearer = f"/fhir/acme/{house.small}", {"Authorization": f"Bearer {house.token}"}
    link.request("GET", path, headers=bearer)
    first = link.getresponse()
    whole, tag = first.read(), first.headers["ETag"]
    for method, headers, status, body in (
        ("HEAD", {}, 200, b""),
        ("GET", {"If-None-Match": "*"}, 304, b""),
        ("GET", {"If-None-Match": tag, "Range": "bytes=999999999-"}, 304, b""),
        ("GET", {"Range": "bytes=0-0"}, 206, whole[:1]),
        ("GET", {"Range": "bytes=0-1,3-4"}, 200, whole),
        ("GET", {"Range": "bytes=999999999-"}, 416, None),
        ("GET", {"Range": "bytes=-3", "If-Range": tag}, 206, whole[-3:]),
    ):
        link.request(method, path, headers={**bearer, **headers})
        answer = link.getresponse()
        got = answer.read()
        assert (answer.status, got if body is not None else None) == (status, body), headers
    link.close()
