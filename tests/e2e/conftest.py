"""One demo a test process serves most end-to-end tests; those that break what they run have servers
of their own. `tests/conftest.py` keeps each group in one test process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import of_a_demo
from tests.support.demo import DemoRunner, RunningDemo, free_port
from tests.support.node import NodeClients, node_clients, packages_in_background

_RUNNERS: list[DemoRunner] = []


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(nextitem: pytest.Item | None) -> None:
    """Behind the last test of a demo it ends: its syncs would take from the other tests."""
    if nextitem is not None and not of_a_demo(nextitem.nodeid):
        while _RUNNERS:
            _RUNNERS.pop().stop()


@pytest.fixture(scope="session")
def app_port() -> int:
    """The port of the app under test, which the demo must know before it starts."""
    return free_port()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, app_port: int) -> Iterator[RunningDemo]:
    """The demo, with more apps whose pages the tests serve themselves.

    `E2E_STATE` may name a folder that is kept between runs, so that it starts sooner.
    """
    kept = os.environ.get("E2E_STATE")
    folder = Path(kept) if kept else tmp_path_factory.mktemp("demo")
    folder.mkdir(parents=True, exist_ok=True)
    clients = folder / "clients.json"
    root = f"http://localhost:{app_port}"
    clients.write_text(
        json.dumps(
            [
                {
                    "client_id": "e2e-public",
                    "client_name": "Test app",
                    "redirect_uris": [f"{root}/app.html"],
                    "launch_uri": f"{root}/launch.html",
                },
                {
                    "client_id": "e2e-v1",
                    "client_name": "Test app of older scopes",
                    "redirect_uris": [f"{root}/app.html"],
                    "launch_uri": f"{root}/launch.html?client=e2e-v1&dialect=v1",
                },
                {
                    "client_id": "e2e-confidential",
                    "client_secret": "a-secret-of-the-test-run",
                    "client_name": "Confidential test app",
                    "redirect_uris": [f"{root}/cb"],
                },
            ]
        )
    )
    runner = DemoRunner(folder / "state", clients=clients, sync_seconds=40)
    _RUNNERS.append(runner)
    with packages_in_background():
        yield runner.start()
        runner.stop()


@pytest.fixture(scope="session")
def own_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRunner]:
    """A small demo that tests may stop, kill and disturb."""
    runner = DemoRunner(tmp_path_factory.mktemp("own") / "state", scale=0.03)
    _RUNNERS.append(runner)
    yield runner
    runner.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> NodeClients:
    """npm packages of foreign clients; `tests/support/node.py` says what happens without."""
    return node_clients()
