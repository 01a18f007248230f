"""Pages that were begun show what was valid then, whatever is published in between; and the index
rows that they are read from outlive a change of their tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from alembic import command
from sqlalchemy import text

from fhir_facade.mirror import find, order, plan, versions
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    ReferenceCriterion,
    SortKey,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.version_writer import INDEX_TABLES
from fhir_facade.policy import AllPatients, Grant, Reach
from fhir_facade.resources.registry import REGISTRY
from tests.support.migrations import step
from tests.support.published import appointment, patient, publish

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
REACH = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), CLASSES)
DAY = 86_400_000_000
START = 1_793_491_200_000_000
"""2026-11-01."""


def token(param: str, *codes: str) -> Criterion:
    return TokenCriterion(param, tuple(TokenValue(None, code) for code in codes))


def date(prefix: Any, day: int) -> Criterion:
    lo = START + day * DAY
    return DateCriterion("date", (DateValue(prefix, lo, lo + DAY),), single=True)


SEARCHES: tuple[tuple[str, tuple[Criterion, ...], tuple[SortKey, ...]], ...] = (
    ("Appointment", (token("status", "booked"),), ()),
    ("Appointment", (token("status", "booked", "arrived"),), ()),
    ("Appointment", (ReferenceCriterion("patient", (("Patient", "p1"),)),), ()),
    ("Appointment", (date("ge", 3), date("lt", 9)), ()),
    ("Appointment", (date("ge", 3),), (SortKey("date", "date"),)),
    ("Appointment", (date("ge", 3), token("status", "booked")), (SortKey("date", "date"),)),
    ("Appointment", (date("le", 9),), (SortKey("date", "date", True), SortKey("_id", "id", True))),
    ("Appointment", (), (SortKey("date", "date"),)),
    ("Appointment", (token("status", "booked"),), (SortKey("date", "date", True),)),
    ("Appointment", (), (SortKey("status", "token", True),)),
    ("Appointment", (), (SortKey("patient", "reference"), SortKey("date", "date", True))),
    ("Patient", (StringCriterion("family", "starts", ("fam",)),), ()),
)


def booked(number: int, shift: int = 0) -> dict[str, Any]:
    """Two at each instant, of three patients, in turn booked and arrived."""
    day = 1 + (number // 2 + shift) % 12
    status = ("booked", "arrived", "booked")[(number + shift) % 3]
    return appointment(number, number % 3, status, f"2026-11-{day:02d}T09:00:00Z")


@pytest.mark.parametrize("few", [0, 4_000])
def test_pages_show_what_was_valid_when_they_were_begun(
    database: Database, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(plan, "FEW_ROWS", few)
    monkeypatch.setattr(order, "FIRST_STEPS", 5)
    monkeypatch.setattr(plan, "FIRST_STEPS", 5)
    publish(database, *(patient(n, "Family") for n in range(5)), *map(booked, range(24)))
    with database.read() as conn:
        then = versions.current_revision(conn, "acme")[0]
        begun = []
        for kind, criteria, sort in SEARCHES:
            request = FindRequest("acme", kind, criteria, REACH, then, None, 100, sort)
            whole = find.find(conn, request)
            assert len(whole) > 4, request
            begun.append((request, whole))
    publish(database, *(patient(n, "Other") for n in range(5)), *(booked(n, 5) for n in range(24)))
    publish(database, *(booked(n, 7) for n in range(12, 36)))
    with database.read() as conn:
        for request, whole in begun:
            after, met = None, list[int]()
            while rows := find.find(conn, replace(request, after=after, limit=3)):
                met += [row.pk for row in rows]
                [after] = find.places_after(conn, request, rows[-1:])
            assert met == [row.pk for row in whole], request
            assert find.count(conn, request) == len(whole), request


def test_index_rows_outlive_a_step_back_and_forth(database: Database) -> None:
    publish(database, patient(1), *map(booked, range(6)))
    publish(database, booked(1, 5))
    before = index_rows(database)
    step(database, command.downgrade, "0005")
    step(database, command.upgrade, "head")
    assert index_rows(database) == before


def index_rows(database: Database) -> dict[str, set[tuple[Any, ...]]]:
    with database.read() as conn:
        names = {table.name: ", ".join(c.name for c in table.columns) for table in INDEX_TABLES}
        found = {
            name: {tuple(row) for row in conn.execute(text(f"SELECT {columns} FROM {name}"))}
            for name, columns in names.items()
        }
    assert all(found[name] for name in ("index_token", "index_date", "compartment"))
    return found
