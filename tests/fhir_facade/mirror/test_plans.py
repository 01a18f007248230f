"""No search reads a whole table: each goes by an index, whichever way it takes."""

from __future__ import annotations

from typing import Any

import pytest

from fhir_facade.mirror import find, plan, versions
from fhir_facade.mirror import sql as sql_text
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    MissingCriterion,
    ReferenceCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.fetch import fetch
from fhir_facade.mirror.find import ExportSlice, FindRequest
from fhir_facade.policy import AllPatients, Grant, GroupMembers, PatientSet, Reach, SomePatients
from fhir_facade.resources.registry import REGISTRY
from tests.support.published import appointment, patient, publish

CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
DAY = 86_400_000_000
CRITERIA: tuple[tuple[str, Criterion], ...] = (
    ("Appointment", TokenCriterion("status", (TokenValue(None, "booked"),))),
    ("Appointment", TokenCriterion("status", (TokenValue(None, "booked"),), negated=True)),
    ("Patient", TokenCriterion("identifier", (TokenValue("urn:test:patient", "1"),))),
    ("Patient", TokenCriterion("identifier", (TokenValue("urn:test:patient", None),))),
    ("Patient", StringCriterion("name", "starts", ("ex",))),
    ("Patient", StringCriterion("name", "exact", ("Example",))),
    ("Patient", StringCriterion("name", "contains", ("amp",))),
    ("Appointment", ReferenceCriterion("patient", (("Patient", "p1"),))),
    ("Appointment", ReferenceCriterion("patient", (("", "p1"), ("", "p2")))),
    *(
        ("Appointment", DateCriterion("date", (DateValue(prefix, 0, DAY),)))
        for prefix in ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
    ),
    ("Patient", DateCriterion("_lastUpdated", (DateValue("gt", 0, 1000),))),
    ("Patient", IdCriterion(("p1", "p2"))),
    ("Appointment", MissingCriterion("patient", "reference", True)),
    ("Appointment", MissingCriterion("patient", "reference", False)),
)
SETS: tuple[PatientSet, ...] = (
    AllPatients(),
    SomePatients(frozenset({"p1"})),
    SomePatients(frozenset(f"p{n}" for n in range(500))),
    GroupMembers(frozenset({"g1"})),
)


class Plans:
    """Explains every statement that runs while it is in place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.lines: list[str] = []
        monkeypatch.setattr(sql_text, "fetch", self._explained)

    def _explained(self, conn: Any, text: str, values: Any) -> Any:
        sqlite = conn.dialect.name == "sqlite"
        rows = fetch(conn, f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{text}", values)
        self.lines += [row[3] if sqlite else row[0] for row in rows]
        return fetch(conn, text, values)

    def assert_by_index(self) -> None:
        assert self.lines
        scans = [line for line in self.lines if _scans_a_table(line)]
        assert scans == []
        self.lines.clear()


def _scans_a_table(line: str) -> bool:
    # SQLite also says SCAN of its own intermediate results: d, s, a subquery, the values of a list.
    if line.startswith("SCAN"):
        return line.split()[1] in ("v", "t", "c", "m", "resource_version", "revision_log")
    return "Seq Scan on" in line


@pytest.fixture
def plans(database: Database, monkeypatch: pytest.MonkeyPatch) -> Plans:
    publish(database, *(patient(n) for n in range(30)), *(appointment(n, n) for n in range(30)))
    return Plans(monkeypatch)


def prefer_indexes(conn: Any) -> None:
    # Tables this small are read whole by choice; the question is whether there is another way.
    if conn.dialect.name == "postgresql":
        conn.exec_driver_sql("SET enable_seqscan = off")


@pytest.mark.parametrize("few", [0, 1000])
def test_criteria(
    database: Database, plans: Plans, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(plan, "FEW_ROWS", few)
    reach = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), CLASSES)
    with database.read() as conn:
        prefer_indexes(conn)
        revision = versions.current_revision(conn, "acme")[0]
        for kind, criterion in CRITERIA:
            request = FindRequest("acme", kind, (criterion,), reach, revision, ("p0",), 10)
            find.find(conn, request)
            find.count(conn, request)
            plans.assert_by_index()


@pytest.mark.parametrize("few", [0, 1000])
def test_reach_and_exports(
    database: Database, plans: Plans, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(plan, "FEW_ROWS", few)
    with database.read() as conn:
        prefer_indexes(conn)
        revision = versions.current_revision(conn, "acme")[0]
        for patients in SETS:
            reach = Reach((Grant("user", "*", frozenset({"r", "s"}), patients),), CLASSES)
            for kind in ("Patient", "Appointment", "Provenance"):
                request = FindRequest("acme", kind, (), reach, revision, None, 10)
                rows = find.find(conn, request)
                slice_ = ExportSlice("acme", kind, revision, reach, 1, "g1", "a", "z")
                find.export_rows(conn, slice_, None, 10)
                find.export_deleted(conn, slice_, "b", 10)
                plans.assert_by_index()
            find.included(
                conn, "acme", rows, "target", ("Patient", "Appointment"), reach, revision, 10
            )
            people = versions.by_keys(conn, "acme", [("Patient", "p1")], revision)
            find.reverse_included(
                conn, "acme", "Appointment", "patient", people, reach, revision, 10
            )
            plans.assert_by_index()


def test_a_search_without_values_of_its_own_walks_the_ids(database: Database, plans: Plans) -> None:
    reach = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), CLASSES)
    with database.read() as conn:
        prefer_indexes(conn)
        revision = versions.current_revision(conn, "acme")[0]
        request = FindRequest("acme", "Patient", (), reach, revision, ("p1",), 10)
        assert len(find.find(conn, request)) == 10
    plans.assert_by_index()
