"""kill -9 in the middle of an export, at any process: started again, the export ends with the files
of an undisturbed run.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from sqlalchemy import text

from fhir_facade.app import Facade
from sandbox.demo.seed import private_key, public_part
from smart_auth import admin
from tests.support import exports
from tests.support.databases import BOTH_IN_SOAK
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import backend_token
from tests.support.postgres import fresh_postgres_url
from tests.support.processes import alive, descendants, wait_for, wait_gone
from tests.support.serving import Server
from tests.support.soak import SOAK

PATIENTS, APPOINTMENTS = 150, 1400
ROUNDS = 6 if SOAK else 1
SECONDS = 90
VICTIMS = ("export", "worker", "web", "master")


@dataclass
class Exporting:
    """A server with something to export, and its backend client."""

    server: Server
    facade: Facade
    key: dict[str, Any]

    @property
    def base(self) -> str:
        return f"{self.server.url}/fhir/{exports.TENANT}"

    def headers(self) -> dict[str, str]:
        contract = {"clients": {"backend": {"client_id": "backend", "jwk": self.key}}}
        assert self.server.process is not None
        demo = RunningDemo(
            self.server.process,
            self.server.folder,
            self.server.port,
            {"fhir_base": self.base, "demo": contract},
        )
        token = self.patiently(lambda: backend_token(demo))
        return {
            "Authorization": f"Bearer {token}",
            "Accept": "application/fhir+json",
            "Prefer": "respond-async",
        }

    def patiently(self, ask: Any) -> Any:
        """What an answer gives, asked again while the server is down."""
        deadline = time.monotonic() + SECONDS
        while True:
            try:
                return ask()
            except requests.ConnectionError:
                assert time.monotonic() < deadline, "the server stayed away"
                time.sleep(0.1)

    def kick_off(self) -> str:
        """Start an export; its status address."""
        url, headers = f"{self.base}/Group/{exports.GROUP}/$export", self.headers()
        answer = self.patiently(lambda: self.server.http.get(url, headers=headers, timeout=30))
        assert answer.status_code == 202, answer.text
        return str(answer.headers["Content-Location"])

    def parts(self, where: str) -> tuple[int, int]:
        """How many parts are done, and how many there are."""
        job = where.rpartition("/")[2]
        query = text("SELECT state = 'done' FROM export_part WHERE job_id = :job AND n > 0")
        with self.facade.database.read() as conn:
            states = [bool(row[0]) for row in conn.execute(query, {"job": job})]
        return sum(states), len(states)

    def wait_between(self, where: str, share: float) -> bool:
        """Wait until that share of the parts is done; False when the export was quicker."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            done, planned = self.parts(where)
            if planned and done >= max(1, share * planned):
                return done < planned
            time.sleep(0.001)
        raise AssertionError("the export does not get on")

    def files(self, where: str) -> list[tuple[str, int, str]]:
        """Wait for the end; type, lines and digest of each file, in the manifest's order."""
        headers = self.headers()
        deadline = time.monotonic() + SECONDS
        while True:
            answer = self.patiently(
                lambda: self.server.http.get(where, headers=headers, timeout=30)
            )
            if answer.status_code == 200:
                break
            assert answer.status_code == 202, answer.text
            assert time.monotonic() < deadline, f"not complete: {self.parts(where)} parts"
            time.sleep(0.2)
        manifest = answer.json()
        assert manifest["error"] == []
        return [self._file(item, headers) for item in manifest["output"]]

    def _file(self, item: dict[str, Any], headers: dict[str, str]) -> tuple[str, int, str]:
        plain = {"Authorization": headers["Authorization"]}
        answer = self.server.http.get(item["url"], headers=plain, timeout=30)
        assert answer.status_code == 200
        assert answer.content.count(b"\n") == item["count"]
        return item["type"], item["count"], hashlib.sha256(answer.content).hexdigest()

    def kill(self, victim: str) -> None:
        """SIGKILL to one process; wait until another has taken its place."""
        server = self.server
        if victim == "master":
            below = descendants(server.master)
            os.kill(server.master, signal.SIGKILL)
            assert server.process is not None
            server.process.wait()
            assert wait_gone(below, 30) == [], "a killed master leaves processes behind"
            server.start()
            return
        worker = server.worker()
        assert worker is not None
        chosen = {
            "export": server.worker_children,
            "worker": lambda: [worker],
            "web": server.web_workers,
        }[victim]()
        before = set(descendants(server.master))
        os.kill(chosen[0], signal.SIGKILL)
        wait_for(lambda: not alive(chosen[0]), 10, "it survived SIGKILL")
        wait_for(lambda: set(descendants(server.master)) - before, 30, f"no new {victim} came")


@pytest.fixture(
    scope="module",
    params=BOTH_IN_SOAK,
)
def exporting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Exporting]:
    settings = {"DEMO": "true", "SYNC": "false", "EXPORT_PART_ROWS": "100", "LOG_LEVEL": "warning"}
    if request.param == "postgresql":
        url = fresh_postgres_url()
        settings |= {"DATABASE_URL": url, "AUTH_DATABASE_URL": url}
    server = Server(Path(tmp_path_factory.mktemp("kill")), settings)
    facade = server.facade()
    try:
        facade.upgrade()
        exports.seed(facade.database, PATIENTS, APPOINTMENTS)
        key = private_key("EC")
        metadata = {
            "client_id": "backend",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": {"keys": [public_part(key)]},
            "groups": [exports.GROUP],
        }
        admin.create_client(facade.auth_store, exports.TENANT, metadata)
        server.start()
        yield Exporting(server, facade, key)
    finally:
        server.stop()
        facade.close()


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_exports_survive_kills(exporting: Exporting, round_: int) -> None:
    expected = exporting.files(exporting.kick_off())
    assert sum(count for _, count, _ in expected) > APPOINTMENTS / 2
    chance = random.Random(20261121 + round_)
    jobs = []
    for victim in chance.sample(VICTIMS, len(VICTIMS)):
        where = exporting.kick_off()
        while not exporting.wait_between(where, chance.random() * 0.8):
            where = exporting.kick_off()
        exporting.kill(victim)
        jobs.append(where)
    for where in jobs:
        assert exporting.files(where) == expected
