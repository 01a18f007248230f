"""Section `scale`: what reads and searches cost in a small mirror and in a large one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import mirrors, processes
from benchmarks import resources as made
from benchmarks.report import Table
from benchmarks.sizes import Sizes
from fhir_facade.mirror import find, versions
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.criteria import CompartmentCriterion
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.groups import GroupDefinition, GroupMember, GroupStore
from fhir_facade.mirror.history import HistoryRequest, Span, history
from fhir_facade.policy import (
    AllPatients,
    CategoryFilter,
    Grant,
    GroupMembers,
    Letter,
    Reach,
    SomePatients,
)
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.search.cursor import Position
from fhir_facade.search.parse import parse
from fhir_facade.search.query import SearchContext
from fhir_facade.search.run import TotalCache, run
from fhir_facade.search.system import run_types

_BASE = "https://example.org/fhir/acme"
_CONTEXT = SearchContext(REGISTRY, mirrors.ZONE, _BASE)
_LETTERS: frozenset[Letter] = frozenset({"r", "s"})
_CLASSES = {name: definition.reach for name, definition in REGISTRY.items()}
_GROUP = "some-patients"
_MEMBERS = 200
_DEEP = 200
"""The page that `deep page` reads, of ten matches each."""

Act = Callable[[Connection, Reach, int], object]
"""One request, within a reach, as the n-th of its kind."""


@dataclass(frozen=True)
class _Shape:
    """A kind of request. `growing`: its work grows with what it matches, by its nature."""

    label: str
    act: Act
    growing: bool = False


def section(sizes: Sizes) -> Table:
    """Each shape and each reach, the sizes taking turns; on SQLite, in this process."""
    both = (sizes.small, sizes.large)
    with tempfile.TemporaryDirectory(dir=mirrors.place()) as name:
        databases = []
        for label, size in zip(("small", "large"), both, strict=True):
            folder = Path(name) / label
            folder.mkdir()
            databases.append(open_database(f"sqlite:///{mirrors.copy_of(size, folder)}"))
        try:
            return compare(databases, both, sizes.rounds)
        finally:
            for database in databases:
                database.close()


def compare(databases: list[Database], sizes: tuple[int, int], rounds: int) -> Table:
    """The table of a small and a large mirror. Times are wall time of a call; the ratio is that of
    CPU, the database's own process included."""
    for database, size in zip(databases, sizes, strict=True):
        _define_group(database, made.patients_for(size))
    small, large = (f"{size:,}" for size in sizes)
    table = Table(
        f"Reads and searches by size of the mirror ({databases[0].dialect}; ms, no HTTP)",
        ("", "reach", f"{small} p50", "p95", f"{large} p50", "p95", "x"),
    )
    for shape in shapes(made.patients_for(min(sizes))):
        for label, reach in reaches().items():
            figures = [_Timed(database, shape.act, reach) for database in databases]
            for _ in range(rounds):
                for timed in figures:
                    timed.run()
            cells = [cell for timed in figures for cell in timed.cells()]
            ratio = figures[1].cost() / figures[0].cost()
            table.add(shape.label, label, *cells, f"{ratio:.2f}{' *' if shape.growing else ''}")
    table.notes.append("* grows with the number of matches, which are counted or gone through.")
    return table


def reaches() -> dict[str, Reach]:
    """The reaches that are compared."""
    everybody = AllPatients()
    radiology = CategoryFilter("http://loinc.org", "LP29684-5")
    return {
        "tenant": _reach(Grant("user", "*", _LETTERS, everybody)),
        "patient": _reach(Grant("user", "*", _LETTERS, SomePatients(frozenset({_patient(0)})))),
        "group": _reach(Grant("system", "*", _LETTERS, GroupMembers(frozenset({_GROUP})))),
        "category": _reach(
            Grant("user", "DiagnosticReport", _LETTERS, everybody, (radiology,)),
            *(Grant("user", name, _LETTERS, everybody) for name in ("Patient", "Appointment")),
        ),
    }


def shapes(patients: int) -> Iterator[_Shape]:
    """The shapes; the first so many patients are asked for in turn."""

    def some(number: int) -> str:
        return _patient(number * 7 % patients)

    def number_of(number: int) -> str:
        return some(number).removeprefix("qubs-")

    yield _Shape("read", lambda conn, reach, n: _read(conn, reach, some(n)))
    yield _search("token, rare", "Patient", lambda n: f"identifier={number_of(n)}")
    yield _search("token, common", "Appointment", lambda _: "status=booked")
    yield _search("string", "Patient", lambda _: "family=ngu")
    yield _search("string within", "Patient", lambda _: "family:contains=guye")
    yield _search("day", "Appointment", lambda n: f"date=2026-0{n % 9 + 1}-11")
    yield _search("date range", "Appointment", lambda _: "date=ge2026-02-01&date=lt2026-03-01")
    yield _search("period range", "DiagnosticReport", lambda _: "date=ge2026-02-01&date=lt2026-03")
    yield _search("reference", "DiagnosticReport", lambda n: f"patient={some(n)}")
    yield _search("chain", "DiagnosticReport", lambda n: f"patient.identifier={number_of(n)}")
    yield _search("chain, common", "DiagnosticReport", lambda _: "patient.family=nguyen")
    yield _search("_has", "Patient", lambda _: "_has:Appointment:patient:status=booked")
    yield _search("_sort=date", "Appointment", lambda _: "_sort=date")
    yield _search("_sort=-date", "Appointment", lambda _: "_sort=-date")
    yield _search("_sort=-_lastUpdated", "Appointment", lambda _: "_sort=-_lastUpdated")
    yield _search(
        "one patient's, _sort=-date", "Appointment", lambda n: f"patient={some(n)}&_sort=-date"
    )
    yield _search("_include", "Appointment", lambda _: "_include=Appointment:patient")
    yield _search("_revinclude", "Patient", lambda _: "_revinclude=DiagnosticReport:patient")
    yield _Shape("deep page", _deep_page)
    yield _search("_total=accurate", "Appointment", lambda _: "status=booked&_total=accurate", True)
    yield _Shape("type history", _type_history)
    yield _Shape("$everything", lambda conn, reach, n: _everything(conn, reach, some(n)))


def _patient(number: int) -> str:
    return made.patient_id(number)


def _reach(*grants: Grant) -> Reach:
    return Reach(grants, _CLASSES)


def _define_group(database: Database, patients: int) -> None:
    store = GroupStore(database)
    if any(group.group_id == _GROUP for group in store.list(mirrors.TENANT)):
        return
    members = tuple(GroupMember(_patient(n)) for n in range(min(patients, _MEMBERS)))
    store.define(mirrors.TENANT, GroupDefinition(_GROUP, "Some", "listed", "", members))
    store.refresh(mirrors.TENANT)


def _search(
    label: str, resource_type: str, query: Callable[[int], str], growing: bool = False
) -> _Shape:
    def act(conn: Connection, reach: Reach, number: int) -> object:
        pairs = [one.split("=", 1) for one in f"{query(number)}&_count=20".split("&")]
        parsed = parse(REGISTRY[resource_type], [(n, v) for n, v in pairs], _CONTEXT)
        return run(conn, mirrors.TENANT, parsed, reach, _totals(growing))

    return _Shape(label, act, growing)


_known_totals = TotalCache()


def _totals(fresh: bool) -> TotalCache:
    """Totals that were counted before are known, as in a server, unless counting is the point."""
    return TotalCache() if fresh else _known_totals


def _read(conn: Connection, reach: Reach, patient_id: str) -> object:
    row = versions.read(conn, mirrors.TENANT, "Patient", patient_id)
    assert row is not None
    return find.admitted(conn, mirrors.TENANT, reach, None, [row], "r")


def _deep_page(conn: Connection, reach: Reach, _number: int) -> object:
    revision = versions.current_revision(conn, mirrors.TENANT)[0]
    last = made.appointment_id(_DEEP * 10 % made.APPOINTMENTS, _DEEP * 10 // made.APPOINTMENTS)
    parsed = parse(REGISTRY["Appointment"], [("_count", "10")], _CONTEXT)
    position = Position((), revision, (last,), None)
    return run(conn, mirrors.TENANT, parsed, reach, _known_totals, position)


def _type_history(conn: Connection, reach: Reach, _number: int) -> object:
    revision = versions.current_revision(conn, mirrors.TENANT)[0]
    asked = HistoryRequest(mirrors.TENANT, ("Appointment",), reach, Span(revision), 20)
    return history(conn, asked)


def _everything(conn: Connection, reach: Reach, patient_id: str) -> object:
    own = CompartmentCriterion(patient_id)
    queries = []
    for name in ("Patient", "Appointment", "DiagnosticReport", "Provenance"):
        parsed = parse(REGISTRY[name], [("_count", "50")], _CONTEXT)
        queries.append(type(parsed)(name, (own,), parsed.count))
    return run_types(conn, mirrors.TENANT, tuple(queries), reach, _known_totals, None)


class _Timed:
    """Calls of one shape on one database."""

    def __init__(self, database: Database, act: Act, reach: Reach) -> None:
        self._database, self._act, self._reach = database, act, reach
        self._calls = 0
        self._walls: list[float] = []
        self._cpus: list[float] = []
        self._warm()

    def run(self) -> None:
        """A round: as many calls as take some milliseconds, two at least."""
        with self._database.read() as conn, _cpu_of(conn) as cpu:
            start = time.perf_counter()
            for _ in range(self._each):
                self._call(conn)
            self._walls.append((time.perf_counter() - start) / self._each)
        self._cpus.append(cpu[0] / self._each)

    def cost(self) -> float:
        """CPU seconds of a call."""
        return statistics.median(self._cpus)

    def cells(self) -> tuple[str, str]:
        """Median and 95th percentile of the rounds, in milliseconds."""
        ordered = sorted(self._walls)
        high = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
        return f"{statistics.median(ordered) * 1e3:.2f}", f"{high * 1e3:.2f}"

    def _warm(self) -> None:
        with self._database.read() as conn:
            self._call(conn)
            start = time.perf_counter()
            self._call(conn)
            took = time.perf_counter() - start
        self._each = min(max(int(0.01 / took), 2), 50)

    def _call(self, conn: Connection) -> None:
        self._calls += 1
        self._act(conn, self._reach, self._calls)


@contextmanager
def _cpu_of(conn: Connection) -> Iterator[list[float]]:
    """CPU seconds of the block, in this process and in PostgreSQL's for this connection."""
    backends: list[int] = []
    if conn.dialect.name == "postgresql":
        [[backend]] = conn.exec_driver_sql("SELECT pg_backend_pid()").all()
        backends.append(backend)
    found = [0.0]
    before = time.process_time() + processes.cpu_of(backends)
    yield found
    found[0] = time.process_time() + processes.cpu_of(backends) - before
