"""How the tests are shared out among processes."""

from __future__ import annotations

from typing import Any

import pytest

OWN_DEMO = ("tests/e2e/test_lifecycle.py", "tests/e2e/test_faults.py")
OWN_SERVER = (
    "tests/e2e/test_access.py",
    "tests/e2e/test_console.py",
    "tests/e2e/test_federation.py",
    "tests/e2e/test_kill.py",
    "tests/e2e/test_pages_browser.py",
    "tests/e2e/test_production.py",
    "tests/e2e/test_two_servers.py",
)


def together(nodeid: str) -> str:
    """The group of a test: one demo serves most end-to-end tests, one more those that break it,
    and elsewhere the fixtures of a module are made once.
    """
    path = nodeid.partition("::")[0]
    if path in OWN_DEMO:
        return "own demo"
    if path.startswith("tests/e2e/") and path not in OWN_SERVER:
        return "demo"
    return path


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By group. (The `xdist_group` mark of pytest-xdist 3.8 does nothing under pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    return ByGroup(config, log)
