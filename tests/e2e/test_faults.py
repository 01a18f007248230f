"""The upstream fails while the demo syncs in the background, and the sync is killed besides: reads
go on, and afterwards the mirror holds what a first sync of the same upstream gives.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from fhir_facade.app import Facade, build
from fhir_facade.fhir import json
from fhir_facade.settings import load
from fhir_facade.sync import runner as sync_runner
from sandbox.demo import seed as seeding
from sandbox.qubs.control import EmulatorControl
from tests.support.demo import DemoRunner, RunningDemo
from tests.support.demo_tokens import backend_token, http_session
from tests.support.processes import command_line, descendants
from tests.support.soak import SOAK

TENANT = "acme"
TYPES = ("Patient", "Appointment", "DiagnosticReport", "Location", "Organization", "Practitioner")
SECONDS = 120 if SOAK else 20
AFTERWARDS = 120
FAULTS: tuple[dict[str, Any], ...] = (
    {"kind": "status", "status": 500, "probability": 0.2},
    {"kind": "status", "status": 429, "retry_after": "1", "probability": 0.1},
    {"kind": "drop", "probability": 0.1},
    {"kind": "drop_mid_body", "probability": 0.05},
    {"kind": "expired_token", "probability": 0.05},
    {"kind": "slow", "delay_ms": 300, "probability": 0.1},
    {"kind": "short_pages", "rows": 3, "probability": 0.3},
    {"kind": "repeat_rows", "probability": 0.3},
    {"kind": "shuffle_rows", "probability": 0.3},
    {"kind": "html_error", "status": 502, "probability": 0.05},
)


@contextmanager
def parts_of(demo: RunningDemo, mirror: Path) -> Iterator[Facade]:
    """The demo's parts in this process, on a mirror of one's own or the demo's."""
    environment = {
        "FACADE_DEMO": "true",
        "FACADE_PUBLIC_URL": demo.root,
        "FACADE_DATABASE_URL": f"sqlite:///{mirror}",
        "FACADE_AUTH_DATABASE_URL": f"sqlite:///{mirror.parent}/auth.db",
        "FACADE_FILES_URL": f"file:{mirror.parent}/files",
        "FACADE_SECRET_KEYS_FILE": str(demo.state / "secret.key"),
        "FACADE_TENANTS_FILE": str(demo.state / "tenants.toml"),
    }
    facade = build(load(environment), check=False)
    try:
        yield facade
    finally:
        facade.close()


def content(facade: Facade) -> dict[str, Any]:
    """Every current resource without its version, by reference."""
    found = {}
    for name in TYPES:
        for row in seeding.rows(facade, TENANT, name, 20_000):
            resource = json.loads(row.body or b"{}")
            for member in ("versionId", "lastUpdated"):
                resource.get("meta", {}).pop(member, None)
            found[f"{name}/{row.id}"] = resource
    return found


class Reader(threading.Thread):
    """Reads and searches all the time; `failures` are the answers that were not 200."""

    def __init__(self, demo: RunningDemo, token: str) -> None:
        super().__init__(daemon=True)
        patient = demo.demo["patient_id"]
        self.urls = [
            f"{demo.base}/Patient/{patient}",
            f"{demo.base}/Appointment?patient={patient}",
            f"{demo.base}/DiagnosticReport?_count=20",
        ]
        self.headers = {"Authorization": f"Bearer {token}"}
        self.done = threading.Event()
        self.answers = 0
        self.slowest = 0.0
        self.failures: list[object] = []

    def run(self) -> None:
        with http_session() as http:
            while not self.done.wait(0.05):
                began = time.monotonic()
                url = self.urls[self.answers % len(self.urls)]
                try:
                    status: object = http.get(url, headers=self.headers, timeout=20).status_code
                except OSError as error:
                    status = type(error).__name__
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.answers += 1
                if status != 200:
                    self.failures.append(status)


def edits(facade: Facade, chance: random.Random) -> list[dict[str, Any]]:
    """Changed and added appointments and changed patients, in the upstream's words."""
    prefix = len("qubs-")
    known = sorted(row.id[prefix:] for row in seeding.rows(facade, TENANT, "Appointment"))
    patients = sorted(row.id[prefix:] for row in seeding.rows(facade, TENANT, "Patient"))
    site = "Central Clinic"
    day = time.strftime("%Y-%m-%d")
    script: list[dict[str, Any]] = [
        {"op": "change", "kind": "appointment", "id": key, "set": {"studyDescription": f"Seen {n}"}}
        for n, key in enumerate(chance.sample(known, 12))
    ]
    script += [
        {"op": "change", "kind": "patient", "id": key, "set": {"firstName": f"Renamed{n}"}}
        for n, key in enumerate(chance.sample(patients, 4))
    ]
    script += [
        {
            "op": "add",
            "kind": "appointment",
            "id": f"E2E-{chance.randrange(10**6)}",
            "set": {
                "scheduledSite": site,
                "status": "Booked",
                "appointmentDate": day,
                "startTime": f"1{n}:00",
                "endTime": f"1{n}:30",
                "patientId": patients[n],
            },
        }
        for n in range(3)
    ]
    return [{"domain": TENANT, **edit} for edit in script]


def kill_a_worker_child(demo: RunningDemo, chance: random.Random) -> None:
    """SIGKILL to one of the processes that export and sync."""
    below = descendants(demo.process.pid)
    children = [pid for pid in below if "multiprocessing-fork" in command_line(pid)]
    if children:
        os.kill(chance.choice(children), signal.SIGKILL)


def different(wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    """References of what differs."""
    return sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))


def test_faults_and_kills_during_the_sync(own_demo: DemoRunner, tmp_path: Path) -> None:
    demo = own_demo.running_or_start()
    chance = random.Random(20261121)
    reader = Reader(demo, backend_token(demo))
    with ExitStack() as stack:
        control = stack.enter_context(EmulatorControl(demo.demo["sandbox"]["qubs"]))
        stack.callback(control.clear_faults)
        served = stack.enter_context(parts_of(demo, demo.state / "mirror.db"))
        script = edits(served, chance)
        for number, fault in enumerate(FAULTS):
            control.add_fault(**fault, seed=number)
        control.edit(script)
        reader.start()
        stack.callback(reader.done.set)
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(2, 6))
            kill_a_worker_child(demo, chance)
        assert sum(fault["fired"] for fault in control.faults()) > 0
        control.clear_faults()
        reader.done.set()
        reader.join(30)
        assert reader.failures == []
        assert reader.answers > SECONDS / 4

        first = stack.enter_context(parts_of(demo, tmp_path / "mirror.db"))
        first.upgrade()
        job = next(one for one in first.jobs if one.tenant == TENANT)
        assert sync_runner.sync_once(first.sync, job, full=True).ok
        wanted = content(first)
        added = [f"Appointment/qubs-{one['id']}" for one in script if one["op"] == "add"]
        assert set(added) <= set(wanted)
        deadline = time.monotonic() + AFTERWARDS
        while left := different(wanted, content(served)):
            assert time.monotonic() < deadline, f"{len(left)} differ: {left[:5]}"
            time.sleep(1)
