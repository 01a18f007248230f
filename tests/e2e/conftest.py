"""One demo serves most end-to-end tests, in one test process (the `demo` group); the rest, which
break what they run, have servers of their own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.demo import DemoRunner, RunningDemo, free_port
from tests.support.node import NodeClients, node_clients

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            used = getattr(item, "fixturenames", ())
            group = next((name for name in ("demo", "own_demo") if name in used), item.path.stem)
            item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def app_port() -> int:
    """The port of the app under test, which the demo must know before it starts."""
    return free_port()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, app_port: int) -> Iterator[RunningDemo]:
    """The demo, with two more apps whose pages the tests serve themselves.

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
                    "client_id": "e2e-confidential",
                    "client_secret": "a-secret-of-the-test-run",
                    "client_name": "Confidential test app",
                    "redirect_uris": [f"{root}/cb"],
                },
            ]
        )
    )
    runner = DemoRunner(folder / "state", clients=clients)
    yield runner.start()
    runner.stop()


@pytest.fixture(scope="session")
def own_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoRunner]:
    """A small demo that tests may stop, kill and disturb."""
    runner = DemoRunner(tmp_path_factory.mktemp("own") / "state", scale=0.03)
    yield runner
    runner.stop()


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> NodeClients:
    """npm packages of foreign clients; `tests/support/node.py` says what happens without."""
    return node_clients()
