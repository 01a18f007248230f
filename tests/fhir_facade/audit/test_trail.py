"""The trail: only ever added to, upgraded without loss, asked by conditions, in order of time."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError, IntegrityError

from fhir_facade.audit import AccessRow, AuditLog, Trail, migrate, store
from fhir_facade.audit import log as log_module
from fhir_facade.audit.query import (
    AllOf,
    Among,
    AnyOf,
    AuditQuery,
    Begins,
    Condition,
    Not,
    OfPatients,
    Present,
    Recorded,
    Revisions,
    statement,
    walks,
)
from smart_auth.store.database import Database

START_US = 1_790_000_000_000_000


def add(engine: Engine, *rows: AccessRow, start_us: int = START_US) -> None:
    """The rows, a second apart."""
    values = [
        log_module._values(row, start_us + number * 1_000_000) for number, row in enumerate(rows)
    ]
    store.append(engine, values)


def row(outcome: str = "success", **more: Any) -> AccessRow:
    return AccessRow("acme", more.pop("action", "rest"), outcome, **more)


def found(engine: Engine, *conditions: Condition, **more: Any) -> list[int | None]:
    """The statuses of the rows that are found: each test row has one of its own."""
    query = AuditQuery("acme", conditions, **more)
    return [one.status for one in Trail(engine).find(query)]


@pytest.mark.parametrize("table", ["audit_event", "audit_patient"])
@pytest.mark.parametrize("change", ["UPDATE {} SET tenant = 'x'", "DELETE FROM {}"])
def test_no_row_can_be_changed_or_deleted(engine: Engine, table: str, change: str) -> None:
    add(engine, row(patient_ids=("p1",)))
    with pytest.raises(DBAPIError, match="only ever added to"), engine.begin() as connection:
        connection.execute(text(change.format(table)))
    assert [one.patient_ids for one in Trail(engine).find(AuditQuery("acme"))] == [("p1",)]


def test_rows_of_the_first_release_are_kept(database_url: str) -> None:
    database = Database(database_url)
    if not database.is_sqlite:
        with database.engine.begin() as connection:
            connection.execute(text("CREATE SCHEMA auth"))
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    insert = text(
        "INSERT INTO audit_event (recorded_us, tenant, action, outcome, patients, interaction,"
        " status) VALUES (:at, :tenant, 'rest', 'success', :patients, :interaction, :status)"
    )
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        for number in range(1500):
            values = {
                "at": START_US + number // 3,
                "tenant": "acme",
                "patients": f"p{number % 7}\np9" if number % 2 else "",
                "interaction": "read" if number % 5 else "",
                "status": number,
            }
            connection.execute(insert, values)
    migrate.upgrade(database.engine)
    assert migrate.is_current(database.engine)
    trail = Trail(database.engine)
    rows = trail.find(AuditQuery("acme", limit=2000, oldest_first=True))
    assert sorted(one.status or 0 for one in rows) == list(range(1500))
    assert [one.recorded_us for one in rows] == sorted(START_US + n // 3 for n in range(1500))
    assert trail.count(AuditQuery("acme", (OfPatients(("p9",)),))) == 750
    assert trail.count(AuditQuery("acme", (Among("interaction", ("other",)),))) == 300
    add(database.engine, row(status=1500), start_us=START_US + 10_000_000)
    assert trail.find(AuditQuery("acme", limit=1))[0].status == 1500
    database.close()


def test_pages_newest_first_without_gap_or_double(engine: Engine) -> None:
    add(engine, *(row(status=n) for n in range(25)))
    trail = Trail(engine)
    pages: list[list[int | None]] = []
    after = None
    while rows := trail.find(AuditQuery("acme", after=after, limit=10)):
        pages.append([one.status for one in rows])
        after = rows[-1].pk
        # What is recorded meanwhile is newer than any page.
        add(engine, row(status=99), start_us=START_US + 100_000_000)
    assert pages == [list(range(24, 14, -1)), list(range(14, 4, -1)), list(range(4, -1, -1))]


def test_another_tenant_sees_nothing(engine: Engine) -> None:
    add(engine, row(status=1, patient_ids=("p1",), client_id="app"))
    for condition in (OfPatients(("p1",)), Among("client_id", ("app",)), Recorded()):
        assert Trail(engine).find(AuditQuery("globex", (condition,))) == []
    (one,) = Trail(engine).find(AuditQuery("acme"))
    assert Trail(engine).get("globex", one.pk) is None
    assert Trail(engine).get("acme", one.pk) == one


def test_each_condition_says_what_it_means(engine: Engine) -> None:
    add(
        engine,
        row(status=1, client_id="a", patient_ids=("p1", "p2"), interaction="read", type="Patient"),
        row(status=2, client_id="b", patient_ids=("p2",), interaction="search-type"),
        row("refused", status=3, client_id="a", step="scope", error="forbidden"),
        row("error", status=4, action="login", user_id="u1"),
        row(status=5, type="Group", resource_id="g", revision=7, fhir_user="Patient/p1"),
    )
    assert found(engine, Among("client_id", ("a",))) == [3, 1]
    assert found(engine, Among("client_id", ("a", "b"))) == [3, 2, 1]
    assert found(engine, Among("client_id", ())) == []
    assert found(engine, Not(Among("client_id", ("a",)))) == [5, 4, 2]
    assert found(engine, Present("step")) == [3]
    assert found(engine, Among("outcome", ("refused", "error"))) == [4, 3]
    assert found(engine, Among("outcome", ("success",))) == [5, 2, 1]
    assert found(engine, Among("action", ("login",))) == [4]
    assert found(engine, OfPatients(("p2",))) == [2, 1]
    assert found(engine, OfPatients(("p1", "p2"))) == [2, 1]
    assert found(engine, Not(OfPatients(("p2",)))) == [5, 4, 3]
    assert found(engine, Begins("fhir_user", "Patient/")) == [5]
    assert found(engine, Revisions(7, 8)) == [5]
    assert found(engine, Revisions(8, 9)) == []
    second = Recorded(START_US + 1_000_000, START_US + 2_000_000)
    assert found(engine, second) == [2]
    assert found(engine, second, OfPatients(("p2",))) == [2]
    assert found(engine, AnyOf((second, Among("status", (5,))))) == [5, 2]
    assert found(engine, AllOf((OfPatients(("p2",)), Among("client_id", ("b",))))) == [2]
    assert found(engine, AnyOf(())) == []
    assert found(engine, AllOf(())) == [5, 4, 3, 2, 1]
    assert found(engine, AnyOf((second, Recorded())), limit=3) == [5, 4, 3]
    assert found(engine, Among("client_id", ("a", "b")), oldest_first=True, limit=2) == [1, 2]
    trail = Trail(engine)
    assert trail.count(AuditQuery("acme", (Among("client_id", ("a", "b")),), limit=1)) == 3
    assert trail.count(AuditQuery("acme"), at_most=2) == 2
    assert trail.count(AuditQuery("acme", (OfPatients(("p2",)),))) == 2


def test_keys_that_are_taken_are_drawn_anew(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([5, 5, 5, 6, 5, 6, 7, 8])
    monkeypatch.setattr(random, "getrandbits", lambda _bits: next(drawn))
    same = [log_module._values(row(status=n), START_US) for n in range(2)]
    store.append(engine, same)
    store.append(engine, same)
    assert sorted(map(str, found(engine))) == ["0", "0", "1", "1"]


def test_what_cannot_be_stored_is_an_error_and_leaves_nothing(engine: Engine) -> None:
    good, bad = (log_module._values(row(), START_US) for _ in range(2))
    with pytest.raises(IntegrityError):
        store.append(engine, [good, {**bad, "outcome": None}])
    assert found(engine) == []


def test_a_patient_named_twice_is_one_of_the_row(engine: Engine) -> None:
    AuditLog(engine).record_now(row(patient_ids=("p1", "p1")))
    assert Trail(engine).find(AuditQuery("acme", (OfPatients(("p1",)),)))[0].patients == "p1"


PLANS: dict[str, tuple[tuple[Condition, ...], str]] = {
    "everything": ((), "ix_audit_tenant"),
    "a time": ((Recorded(1, 2),), "ix_audit_tenant"),
    "a patient": ((OfPatients(("p1",)),), "audit_patient"),
    "a patient in a time": ((OfPatients(("p1",)), Recorded(1, 2)), "audit_patient"),
    "an app": ((Among("client_id", ("a",)),), "ix_audit_client"),
    "a user": ((Among("user_id", ("u",)),), "ix_audit_user"),
    "a person": ((Among("fhir_user", ("Practitioner/1",)),), "ix_audit_fhir_user"),
    "who acted": ((Among("actor", ("u",)),), "ix_audit_actor"),
    "a resource": (
        (AllOf((Among("type", ("Group",)), Among("resource_id", ("g",)))),),
        "ix_audit_resource",
    ),
    "a correlation": ((Among("correlation_id", ("c",)),), "ix_audit_correlation"),
    "an app's refusals": ((Among("client_id", ("a",)), Present("step")), "ix_audit_refused"),
    "failures": ((Among("outcome", ("refused", "error")),), "ix_audit_failed"),
    "an act": ((Among("action", ("login",)),), "ix_audit_act"),
    "an interaction": (
        (AllOf((Among("action", ("rest",)), Among("interaction", ("vread",)))),),
        "ix_audit_interaction",
    ),
}


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Engine:
    """A trail in which everything above is rare."""
    url = f"sqlite:///{tmp_path_factory.mktemp('full')}/audit.sqlite"
    return _filled(url, request)


@pytest.fixture(scope="module")
def full_postgres(request: pytest.FixtureRequest) -> Engine:
    from tests.support.postgres import fresh_postgres_url

    return _filled(fresh_postgres_url(), request)


def _filled(url: str, request: pytest.FixtureRequest) -> Engine:
    from smart_auth import migrate as auth_migrate

    auth_migrate.upgrade(url)
    database = Database(url)
    request.addfinalizer(database.close)
    migrate.upgrade(database.engine)
    many = [
        row(
            client_id=f"app{n % 50}",
            user_id=f"user{n % 200}",
            fhir_user=f"Practitioner/{n % 200}",
            patient_ids=(f"p{n % 5000}",),
            type="Patient",
            interaction="read",
            resource_id=f"p{n % 5000}",
            correlation_id=f"{n:016x}",
        )
        for n in range(20_000)
    ]
    add(database.engine, *many)
    if not database.is_sqlite:
        with database.engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    return database.engine


@pytest.mark.parametrize("name", PLANS)
def test_each_question_walks_an_index_on_sqlite(full: Engine, name: str) -> None:
    conditions, index = PLANS[name]
    plan = explained(full, "EXPLAIN QUERY PLAN ", AuditQuery("acme", conditions, after=2**62))
    assert index in plan
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan


@pytest.mark.postgres
@pytest.mark.parametrize("name", PLANS)
def test_each_question_reads_an_index_on_postgresql(full_postgres: Engine, name: str) -> None:
    conditions, _ = PLANS[name]
    plan = explained(full_postgres, "EXPLAIN ", AuditQuery("acme", conditions, after=2**62))
    assert "Seq Scan" not in plan


def explained(engine: Engine, how: str, query: AuditQuery) -> str:
    """The plan of the statement as it is sent, its values bound."""
    (walk,) = walks(query)
    with engine.connect() as connection:

        @event.listens_for(connection, "before_cursor_execute", retval=True)
        def _explain(_conn: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> tuple[str, Any]:
            return how + sql, values

        return "\n".join(str(line) for line in connection.execute(statement(walk)).all())
