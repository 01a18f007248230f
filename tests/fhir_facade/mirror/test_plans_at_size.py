"""In tables too large to be read as a whole, searches go by an index, too, and join no tables; a
page takes the same work however many match."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from fhir_facade.mirror import find
from fhir_facade.mirror import sql as sql_text
from fhir_facade.mirror.criteria import (
    ChainCriterion,
    Criterion,
    DateCriterion,
    DateValue,
    HasCriterion,
    ReferenceCriterion,
    SortKey,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.fetch import fetch
from fhir_facade.mirror.find import FindRequest
from fhir_facade.mirror.history import HistoryRequest, Span, history
from fhir_facade.mirror.revisions import lock_tenant, take_next
from fhir_facade.mirror.statistics import refresh_statistics
from fhir_facade.mirror.tables import OPEN, group_member, resource_version
from fhir_facade.mirror.version_writer import INDEX_TABLES, add_index_rows, insert_rows
from fhir_facade.policy import (
    AllPatients,
    Grant,
    GroupMembers,
    PatientSet,
    Reach,
    RowFacts,
    SomePatients,
)
from fhir_facade.resources.index_rows import (
    DateRow,
    IndexValues,
    ReferenceRow,
    StringRow,
    TokenRow,
)
from fhir_facade.resources.registry import REGISTRY
from tests.support.databases import BOTH, shared_database

PATIENTS, EACH, LAST = 2_000, 25, 201
CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
HOUR = 3_600_000_000
DAY = 24 * HOUR
STATUSES = ("booked", "fulfilled", "cancelled", "noshow", "arrived")
SETS: tuple[PatientSet, ...] = (
    AllPatients(),
    SomePatients(frozenset({"p7"})),
    GroupMembers(frozenset({"g1"})),
)


def dates(*values: tuple[Any, int]) -> tuple[Criterion, ...]:
    return tuple(
        DateCriterion("date", (DateValue(prefix, day * DAY, (day + 1) * DAY),), single=True)
        for prefix, day in values
    )


def tokens(param: str, *codes: str) -> Criterion:
    return TokenCriterion(param, tuple(TokenValue(None, code) for code in codes))


def of(*patients: str) -> Criterion:
    return ReferenceCriterion("patient", tuple(("Patient", one) for one in patients))


NAMED = (StringCriterion("family", "starts", ("f1",)),)
SEARCHES: tuple[tuple[str, tuple[Criterion, ...]], ...] = (
    ("Patient", (tokens("identifier", "7"),)),
    ("Patient", (tokens("identifier", "7", "8"),)),
    ("Patient", (StringCriterion("family", "exact", ("f19",)),)),
    ("Patient", NAMED),
    ("Patient", (HasCriterion("Appointment", "patient", (tokens("status", "booked"),)),)),
    ("Patient", (HasCriterion("Appointment", "patient", dates(("eq", 30))),)),
    ("Appointment", (tokens("status", "booked"),)),
    ("Appointment", (tokens("status", "booked", "arrived"),)),
    ("Appointment", dates(("eq", 30))),
    ("Appointment", dates(("ge", 30), ("lt", 40))),
    ("Appointment", dates(("ap", 30))),
    ("Appointment", (of("p7"),)),
    ("Appointment", (of("p7", "p8", "p9"),)),
    ("Appointment", (tokens("status", "booked"), *dates(("ge", 30), ("le", 31)))),
    ("Appointment", (ChainCriterion("patient", (("Patient", (tokens("identifier", "7"),)),)),)),
    ("Appointment", (ChainCriterion("patient", (("Patient", NAMED),)),)),
)
SORTS = (
    (),
    (SortKey("date", "date"),),
    (SortKey("date", "date", descending=True),),
    (SortKey("_lastUpdated", "revision", descending=True),),
)


def revision_of(pk: int) -> int:
    return 1 + pk // 260


def version(
    pk: int, kind: str, name: str, patient: str, values: IndexValues
) -> tuple[tuple[Any, ...], int, RowFacts, IndexValues]:
    row = (pk, "acme", kind, name, 1, revision_of(pk), OPEN, HOUR, False, b"", b"{}")
    facts = RowFacts(kind, name, (patient,), (), None)
    return (*row, "qubs", kind, name, patient, "", None), pk, facts, values


def versions() -> Iterator[tuple[tuple[Any, ...], int, RowFacts, IndexValues]]:
    pk = 0
    for number in range(PATIENTS):
        pk += 1
        name = f"p{number}"
        family = StringRow("family", f"f{number % 50}", f"f{number % 50}")
        identifier = TokenRow("identifier", "urn:test", str(number))
        yield version(pk, "Patient", name, name, IndexValues((identifier,), (family,), (), ()))
        for n in range(EACH):
            pk += 1
            start = (number * 37 + n * 11) % 365 * DAY + n * HOUR
            yield version(
                pk,
                "Appointment",
                f"a{number}-{n}",
                name,
                IndexValues(
                    (TokenRow("status", "", STATUSES[n % 5]),),
                    (),
                    (DateRow("date", start, start + 1_000_000),),
                    (ReferenceRow("patient", "Patient", name),),
                ),
            )


@pytest.fixture(scope="module", params=BOTH)
def large(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    with shared_database(request.param, tmp_path_factory.mktemp("large")) as database:
        index: dict[Any, list[tuple[Any, ...]]] = {table: [] for table in INDEX_TABLES}
        rows = []
        for row, pk, facts, values in versions():
            rows.append(row)
            add_index_rows(index, "acme", pk, facts, values, revision_of(pk))
        with database.write() as conn:
            for _ in range(LAST):
                take_next(conn, "acme", lock_tenant(conn, "acme"), HOUR)
            insert_rows(conn, resource_version, rows)
            for table, values_of_table in index.items():
                insert_rows(conn, table, values_of_table)
            members = [("acme", "g1", f"p{n}", 1, OPEN) for n in range(200)]
            insert_rows(conn, group_member, members)
        refresh_statistics(database)
        yield database


class Plans:
    """Explains every statement that runs while it is in place."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.found: list[tuple[str, str]] = []
        monkeypatch.setattr(sql_text, "fetch", self._explained)

    def _explained(self, conn: Any, text: str, values: Any) -> Any:
        sqlite = conn.dialect.name == "sqlite"
        rows = fetch(conn, f"EXPLAIN {'QUERY PLAN ' if sqlite else ''}{text}", values)
        lines = [row[3] if sqlite else row[0] for row in rows]
        walk = text.startswith("SELECT found") or text.endswith("LIMIT 1 OFFSET ?")
        self.found += [(line, text) for line in lines if _reads_all(line, walk)]
        return fetch(conn, text, values)


_ALL = re.compile(
    # A table, or the rows of a parameter or of a type's compartments, as a whole.
    r"^SCAN (v|t|c|m|w|resource_version|revision_log)\b"
    r"|^SEARCH t .*\((tenant=\? AND type=\?( AND param=\?)?)\)"
    # A group's few members may be read at once, and met with the compartments in their order.
    r"|Seq Scan on (?!group_member)|Hash (Semi )?Join|Merge Semi Join"
)
_ALL_LIVING = re.compile(r"^SEARCH t .*\(tenant=\? AND type=\? AND param=\? AND to_revision=\?\)")


def _reads_all(line: str, walk: bool) -> bool:
    """A walk goes along a parameter as far as it takes to fill a page, or a number of steps."""
    return (_ALL.search(line) or (None if walk else _ALL_LIVING.search(line))) is not None


@pytest.mark.parametrize("patients", SETS, ids=lambda one: type(one).__name__)
def test_searches(large: Database, monkeypatch: pytest.MonkeyPatch, patients: PatientSet) -> None:
    reach = Reach((Grant("user", "*", frozenset({"r", "s"}), patients),), CLASSES)
    plans = Plans(monkeypatch)
    with large.read() as conn:
        for kind, criteria in SEARCHES:
            for sort in SORTS if kind == "Appointment" else ((),):
                request = FindRequest("acme", kind, criteria, reach, LAST, None, 20, sort)
                rows = find.find(conn, request)
                if rows and len(rows) == 20:
                    [after] = find.places_after(conn, request, rows[-1:])
                    find.find(
                        conn, FindRequest("acme", kind, criteria, reach, LAST, after, 20, sort)
                    )
            find.count(conn, request, at_most=1_000)
        people = find.find(conn, FindRequest("acme", "Patient", (), reach, LAST, None, 20))
        find.reverse_included(conn, "acme", "Appointment", "patient", people, reach, LAST, 100)
        theirs = find.find(conn, FindRequest("acme", "Appointment", (), reach, LAST, None, 20))
        find.included(conn, "acme", theirs, "patient", ("Patient",), reach, LAST, 100)
        history(conn, HistoryRequest("acme", ("Appointment",), reach, Span(LAST), 20))
    assert plans.found == []


class Work:
    """Counts what the database does while it is in place: steps of SQLite's machine, or pages that
    PostgreSQL looks at."""

    def __init__(self, conn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = 0
        self._sqlite = conn.connection.dbapi_connection if conn.dialect.name == "sqlite" else None
        if self._sqlite is not None:
            self._sqlite.set_progress_handler(self._step, 10)
        else:
            monkeypatch.setattr(sql_text, "fetch", self._explained)

    def end(self) -> None:
        if self._sqlite is not None:
            self._sqlite.set_progress_handler(None, 0)

    def _step(self) -> int:
        self.done += 10
        return 0

    def _explained(self, conn: Any, text: str, values: Any) -> Any:
        [[plan]] = fetch(
            conn, f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {text}", values
        )
        top = plan[0]["Plan"]
        self.done += top["Shared Hit Blocks"] + top["Shared Read Blocks"]
        return fetch(conn, text, values)


@pytest.mark.parametrize(
    ("criteria", "sort"),
    [
        ((tokens("status", "booked"),), ()),
        ((tokens("status", "booked", "arrived"),), ()),
        *(
            ((), (SortKey(param, kind, descending),))
            for param, kind in (("date", "date"), ("status", "token"))
            for descending in (False, True)
        ),
    ],
)
def test_a_page_is_read_from_neighbours(
    large: Database,
    monkeypatch: pytest.MonkeyPatch,
    criteria: tuple[Criterion, ...],
    sort: tuple[SortKey, ...],
) -> None:
    """Ten thousand match or more, as many at a time share a value."""
    reach = Reach((Grant("user", "*", frozenset({"s"}), AllPatients()),), CLASSES)
    with large.read() as conn:
        request = FindRequest("acme", "Appointment", criteria, reach, LAST, None, 20, sort)
        rows = find.find(conn, request)
        [after] = find.places_after(conn, request, rows[-1:])
        work = Work(conn, monkeypatch)
        for place in (None, after):
            find.find(conn, replace(request, after=place))
        work.end()
    assert work.done < (10_000 if conn.dialect.name == "sqlite" else 600)
