"""A running demo for end-to-end tests: the command a user runs, on free ports, with less data."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 200


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def demo_command(state: Path, port: int, scale: float, *more: str) -> subprocess.Popen[bytes]:
    """The demo command with its output in a pipe, for starts that fail."""
    command = [sys.executable, "-m", "fhir_facade.cli", "demo", "--port", str(port)]
    command += ["--state", str(state), "--scale", str(scale), *more]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "SANDBOX_PORT": "0", "COLUMNS": "400"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    )


@dataclass
class RunningDemo:
    """`process` is the demo command; `contract` what it wrote."""

    process: subprocess.Popen[bytes]
    state: Path
    port: int
    contract: dict[str, Any]

    @property
    def base(self) -> str:
        return str(self.contract["fhir_base"])

    @property
    def demo(self) -> dict[str, Any]:
        return dict(self.contract["demo"])

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class DemoRunner:
    """Starts the demo on a state folder, as often as asked."""

    def __init__(
        self,
        state: Path,
        *,
        scale: float = 0.15,
        clients: Path | None = None,
        sync_seconds: int = 15,
    ) -> None:
        self.state = state
        self.scale = scale
        self.clients = clients
        self.sync_seconds = sync_seconds
        self.port = free_port()
        self.running: RunningDemo | None = None

    def start(self) -> RunningDemo:
        """Start, and wait for the contract of this start."""
        contract = self.state / "contract.json"
        before = contract.stat().st_mtime_ns if contract.exists() else 0
        command = [sys.executable, "-m", "fhir_facade.cli", "demo", "--port", str(self.port)]
        command += ["--state", str(self.state), "--scale", str(self.scale)]
        if self.clients:
            command += ["--clients", str(self.clients)]
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / "demo.out").open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={
                    **os.environ,
                    "SANDBOX_PORT": "0",
                    "SANDBOX_SYNC_SECONDS": str(self.sync_seconds),
                },
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            if contract.exists() and contract.stat().st_mtime_ns != before:
                self.running = RunningDemo(
                    process, self.state, self.port, json.loads(contract.read_text())
                )
                return self.running
            time.sleep(0.2)
        process.kill()
        process.wait()
        text = (self.state / "demo.out").read_text(errors="replace")[-3000:]
        raise RuntimeError(f"the demo did not start:\n{text}")

    def running_or_start(self) -> RunningDemo:
        """The demo that runs, or one started now."""
        if self.running is not None and self.running.process.poll() is None:
            return self.running
        return self.start()

    def stop(self) -> None:
        """Ctrl-C, as a user would; SIGKILL when that does not end it in time."""
        if self.running is None or self.running.process.poll() is not None:
            return
        self.running.process.send_signal(signal.SIGINT)
        try:
            self.running.process.wait(40)
        except subprocess.TimeoutExpired:
            self.running.process.kill()
            self.running.process.wait()
            raise
