"""The demo starts, stops and starts again: nothing is left running, nothing handed out is lost."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path
from typing import Any

from tests.support.demo import DemoRunner, RunningDemo, demo_command, free_port
from tests.support.demo_tokens import backend_token, http_session, launch_token
from tests.support.processes import descendants, wait_for, wait_gone

SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs"
KEPT = ("clients", "users", "admin", "group_id", "patient_id", "other_patient_id", "deleted")


def everything(demo: RunningDemo) -> list[int]:
    """All processes of a demo, once the worker's own are there: emulator, master, two web workers,
    worker, export, sync.
    """
    root = demo.process.pid
    wait_for(lambda: len(descendants(root)) >= 7, 30, "not all processes came")
    return descendants(root)


def patient_read(demo: RunningDemo, token: str) -> Any:
    with http_session() as http:
        return http.get(
            f"{demo.base}/Patient/{demo.demo['patient_id']}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )


def test_what_was_handed_out_stays_good_over_stops_and_a_kill(own_demo: DemoRunner) -> None:
    runner = own_demo
    first = runner.running_or_start()
    token = launch_token(first, SCOPE)
    seen = patient_read(first, token["access_token"]).json()
    processes = everything(first)
    runner.stop()
    assert first.process.returncode == 0
    assert wait_gone(processes, 10) == []

    second = runner.start()
    assert {name: second.demo[name] for name in KEPT} == {name: first.demo[name] for name in KEPT}
    # The same resource in the same version: a restart publishes nothing new.
    assert patient_read(second, token["access_token"]).json() == seen

    processes = everything(second)
    second.process.send_signal(signal.SIGKILL)
    second.process.wait()
    assert wait_gone(processes, 40) == [], "a killed demo leaves processes behind"

    runner.port = free_port()
    third = runner.start()
    assert third.base != first.base
    fresh = backend_token(third)
    moved = patient_read(third, fresh)
    assert moved.status_code == 200
    assert str(first.port) not in moved.text, "an address of the old port is served"
    refreshed = refresh(third, token["refresh_token"])
    assert refreshed["patient"] == third.demo["patient_id"]


def refresh(demo: RunningDemo, refresh_token: str) -> dict[str, Any]:
    client = demo.demo["clients"]["public"]["client_id"]
    with http_session() as http:
        answer = http.post(
            f"{demo.base}/auth/token",
            data={
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
                "client_id": client,
            },
            timeout=30,
        )
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(state: Path, port: int, *more: str) -> str:
    """What a demo says that does not start."""
    process = demo_command(state, port, 0.03, *more)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    lines = [line for line in out.decode().splitlines() if line.strip()]
    assert len(lines) == 1, lines
    return lines[0]


def test_a_port_in_use_is_said_in_one_sentence(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is in use" in refused(tmp_path, port)
    assert not (tmp_path / "contract.json").exists()


def test_a_bad_client_file_is_refused_before_anything_starts(tmp_path: Path) -> None:
    path = tmp_path / "clients.json"
    path.write_text('[{"client_id": "a", "redirect_uris": ["http://app.example.org/"]}]')
    said = refused(tmp_path / "state", free_port(), "--clients", str(path))
    assert "DEMO_CLIENTS cannot be used: entry 1: Each redirect_uri" in said
    assert sorted(os.listdir(tmp_path / "state")) == ["demo.lock"]
