"""The QUBS emulator for tests: in a thread of this process, or as a process of its own."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from sandbox.qubs.app import create_app
from sandbox.qubs.control import EmulatorControl
from sandbox.qubs.routes.access import EXTENSION
from sandbox.qubs.server import EmulatorServer
from sandbox.qubs.settings import (
    DEFAULT_CREDENTIAL,
    ServiceSettings,
    WorldSettings,
    default_clients,
    demo_world_settings,
)
from sandbox.qubs.world import World

REFERENCE = dt.date(2026, 11, 21)
CLIENT_ID = "sandbox-all"
CLIENT_SECRET = DEFAULT_CREDENTIAL
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Running:
    """An emulator that answers at ``url``; ``world`` only when it runs in this process."""

    url: str
    control: EmulatorControl
    world: World | None = None


@contextmanager
def emulator_thread(
    settings: WorldSettings | None = None, service: ServiceSettings | None = None
) -> Iterator[Running]:
    """The emulator in a thread, on a free loopback port; the demo world by default."""
    world = World(settings or demo_world_settings(REFERENCE))
    app = create_app(world, service or ServiceSettings(default_clients()))
    assert EXTENSION in app.extensions
    with EmulatorServer(app) as server, EmulatorControl(server.url) as control:
        yield Running(server.url, control, world)


@contextmanager
def emulator_process(*arguments: str) -> Iterator[Running]:
    """``python -m sandbox.qubs`` on a free port, with more command line ``arguments``."""
    command = [sys.executable, "-m", "sandbox.qubs", "--port", "0"]
    command += ["--reference-date", REFERENCE.isoformat(), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline().strip()
            if not line.startswith("listening on "):
                raise RuntimeError("the emulator did not start")
            url = line.removeprefix("listening on ")
            with EmulatorControl(url) as control:
                yield Running(url, control)
        finally:
            process.terminate()
            process.wait(20)


class QubsCaller(requests.Session):
    """A session with a token: ``caller.api("acme", "/sites")``."""

    def __init__(self, url: str, client_id: str = CLIENT_ID) -> None:
        super().__init__()
        self.url = url
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": CLIENT_SECRET,
        }
        self.token: dict[str, Any] = self.post(f"{url}/oauth2/token", data=form, timeout=30).json()
        self.headers["Authorization"] = f"Bearer {self.token['access_token']}"

    def api(self, domain: str, path: str, method: str = "GET", **kwargs: Any) -> requests.Response:
        """One call under ``/integrations/v1/{domain}``."""
        url = f"{self.url}/integrations/v1/{domain}{path}"
        return self.request(method, url, timeout=30, **kwargs)

    def all_by_status(self, domain: str, status: str, page_size: int = 100) -> list[dict[str, Any]]:
        """Every row of an operational cursor list."""
        rows: list[dict[str, Any]] = []
        parameters: dict[str, Any] = {"pageSize": page_size}
        while True:
            path = f"/appointments/operational/by-status/{status}"
            page = self.api(domain, path, params=parameters).json()
            rows += page["items"]
            if not page.get("nextToken"):
                return rows
            parameters["nextToken"] = page["nextToken"]
