"""How the tests are shared out among processes, and what they need not do twice."""

from __future__ import annotations

import gc
import os
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket

from smart_auth import passwords

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
OF_PEOPLE = ("tests/e2e/oauth/", "tests/e2e/test_foreign_clients.py", "tests/e2e/test_portal.py")
DEMOS = ("demo", "demo of people", "own demo")
LONGEST = (
    *DEMOS,
    "tests/e2e/test_console.py",
    "tests/e2e/test_two_servers.py",
    "tests/e2e/test_kill.py",
    "tests/benchmarks/test_sections.py",
    "tests/fhir_facade/test_compartment_properties.py",
    "tests/contract/test_engines.py",
    "tests/fhir_facade/sync/test_killed.py",
    "tests/fhir_facade/sync/test_absence.py",
    "tests/fhir_facade/sync/test_faults.py",
    "tests/fhir_facade/sync/test_delta.py",
    "tests/e2e/test_federation.py",
    "tests/e2e/test_pages_browser.py",
    "tests/e2e/test_production.py",
    "tests/fhir_facade/search/test_index_and_scan.py",
    "tests/fhir_facade/mirror/test_find.py",
    "tests/fhir_facade/mirror/test_group_periods.py",
    "tests/fhir_facade/rest/test_binary.py",
    "tests/fhir_facade/sync/test_attachments.py",
    "tests/e2e/test_access.py",
    "tests/fhir_facade/bulk/test_memory.py",
    "tests/fhir_facade/test_reach_properties.py",
    "tests/fhir_facade/rest/test_audit_event_search.py",
    "tests/smart_auth/test_launch.py",
    "tests/smart_auth/test_pages.py",
    "tests/fhir_facade/console/test_users.py",
    "tests/fhir_facade/bulk/test_stores.py",
)
"""Groups of ten seconds and more, which go first, so that no process is left alone with one."""


def together(nodeid: str) -> str:
    """The group of a test: one demo serves most end-to-end tests, one more those in which people
    log in, one those that break it, and elsewhere the fixtures of a module are made once.
    """
    path = nodeid.partition("::")[0]
    if path in OWN_DEMO:
        return "own demo"
    if path.startswith(OF_PEOPLE):
        return "demo of people"
    if path.startswith("tests/e2e/") and path not in OWN_SERVER:
        return "demo"
    return path


def of_a_demo(nodeid: str) -> bool:
    """Whether a test runs against a demo that it shares with others."""
    return together(nodeid) in DEMOS


def turn(nodeid: str) -> int:
    """The place of a test's group among all groups."""
    group = together(nodeid)
    return LONGEST.index(group) if group in LONGEST else len(LONGEST)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest groups first."""
    items.sort(key=lambda item: turn(item.nodeid))


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half as many processes again as there are cores: many tests wait for servers."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By group. (The `xdist_group` mark of pytest-xdist 3.8 does nothing under pytest 9.2.)"""
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return together(nodeid)

    config.option.loadscopereorder = False  # it would put groups of few tests last
    return ByGroup(config, log)


class CompiledOnce(BytecodeCache):
    """Keeps compiled templates for all apps of a test process."""

    def __init__(self) -> None:
        self._codes: dict[str, Any] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._codes.get(bucket.key + bucket.checksum)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._codes[bucket.key + bucket.checksum] = bucket.code


Flask.jinja_options["bytecode_cache"] = CompiledOnce()
# Servers of end-to-end tests are processes of their own and keep the full cost.
passwords._HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
