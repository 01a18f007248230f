"""Housekeeping applies each tenant's own history period, once for all processes, and the periods of
groups' members."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from sqlalchemy import func, select

from fhir_facade import housekeeping
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.groups import GroupDefinition, GroupMember, GroupStore
from fhir_facade.mirror.tables import resource_version
from tests.support.databases import database, database_url
from tests.support.published import patient, publish

__all__ = ["database", "database_url"]


@dataclass
class Parts:
    """What housekeeping asks of a facade."""

    database: Database
    settings: Any
    groups: GroupStore


@pytest.fixture
def parts(database: Database) -> Parts:
    for day in ("2026-01-01", "2026-02-01"):
        with time_machine.travel(f"{day}T00:00:00Z", tick=True):
            for tenant in ("acme", "zenith"):
                publish(database, patient(1, f"Name{day[5:7]}"), tenant=tenant)
    tenants = {
        "acme": SimpleNamespace(history_days=30),
        "zenith": SimpleNamespace(history_days=3650),
    }
    return Parts(database, SimpleNamespace(tenants=tenants), GroupStore(database))


def versions(database: Database) -> dict[str, int]:
    v = resource_version.c
    with database.read() as conn:
        found = conn.execute(
            select(v.tenant, func.count()).where(v.type == "Patient").group_by(v.tenant)
        )
        return {tenant: count for tenant, count in found}


def test_each_tenant_keeps_its_own_history(parts: Parts) -> None:
    assert versions(parts.database) == {"acme": 2, "zenith": 2}
    dropped = housekeeping.drop_all_old(parts)  # type: ignore[arg-type]
    assert dropped["acme"] >= 1
    assert dropped["zenith"] == 0
    assert versions(parts.database) == {"acme": 1, "zenith": 2}


def test_one_process_of_all_does_it(parts: Parts) -> None:
    stop = threading.Event()
    threads = [housekeeping.keep_house(parts, stop) for _ in range(3)]  # type: ignore[arg-type]
    for _ in range(200):
        if versions(parts.database)["acme"] == 1:
            break
        threading.Event().wait(0.05)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert versions(parts.database) == {"acme": 1, "zenith": 2}


def test_a_membership_ends_while_nobody_asks(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(housekeeping, "GROUPS_SECONDS", 0.1)
    now = [1_000]
    parts.groups = GroupStore(parts.database, lambda: now[0])
    member = GroupMember("p1", end_us=2_000)
    parts.groups.define("acme", GroupDefinition("g", "Some", "listed", members=(member,)))
    stop = threading.Event()
    thread = housekeeping.keep_house(parts, stop)  # type: ignore[arg-type]
    began = reached(parts, {"g": 1})
    now[0] = 2_000
    ended = reached(parts, {})
    stop.set()
    thread.join(10)
    assert (began, ended) == (True, True)


def reached(parts: Parts, counts: dict[str, int]) -> bool:
    """Whether the groups of acme come to have these numbers of members, given time."""
    for _ in range(400):
        if parts.groups.counts("acme") == counts:
            return True
        threading.Event().wait(0.05)
    return False
