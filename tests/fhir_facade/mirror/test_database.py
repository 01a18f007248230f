"""Opening, forking, migrating; the order of writers."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import func, select, text

from fhir_facade.errors import SettingsError
from fhir_facade.mirror import migrate, tables, versions
from fhir_facade.mirror.database import Database, open_database
from fhir_facade.mirror.publish import Publisher
from fhir_facade.mirror.tables import OPEN, index_token, resource_version, revision_log
from fhir_facade.resources.registry import REGISTRY
from tests.support.published import SYDNEY, output, patient, publish

FORK = multiprocessing.get_context("fork")
SPAWN = multiprocessing.get_context("spawn")


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "", "sqlite://", "sqlite:///:memory:"])
def test_an_address_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="FACADE_DATABASE_URL"):
        open_database(url)


def test_a_database_that_cannot_be_opened_is_named_in_one_sentence(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/not/there/mirror.sqlite"
    for attempt in (migrate.upgrade, migrate.check, migrate.current):
        with pytest.raises(SettingsError, match="cannot be opened"):
            attempt(url)


def test_check_says_what_to_run_until_the_tables_are_there(database_url: str) -> None:
    assert migrate.current(database_url) is None
    with pytest.raises(SettingsError, match="holds no tables yet: run `fhir-facade db upgrade`"):
        migrate.check(database_url)
    migrate.upgrade(database_url)
    migrate.check(database_url)
    migrate.upgrade(database_url)
    opened = open_database(database_url)
    try:
        with opened.write() as conn:
            conn.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    finally:
        opened.close()
    with pytest.raises(SettingsError, match="is at revision 0000, not"):
        migrate.check(database_url)


def test_the_migrations_make_the_tables_that_the_code_uses(database: Database) -> None:
    with database.read() as conn:
        options: Any = {
            "include_name": lambda name, kind, _: kind != "table" or name in tables.metadata.tables
        }
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, tables.metadata) == []


def test_two_processes_upgrade_at_once(database_url: str) -> None:
    workers = [SPAWN.Process(target=migrate.upgrade, args=(database_url,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0]
    migrate.check(database_url)


def test_what_a_block_raises_undoes_its_writes(database: Database) -> None:
    def fail() -> None:
        with database.write() as conn:
            conn.execute(revision_log.insert().values(tenant="acme", revision=1, instant_us=1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.read() as conn:
        assert conn.execute(select(func.count()).select_from(revision_log)).scalar_one() == 0


def test_nothing_written_on_a_reading_connection_of_sqlite_is_kept(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mirror.sqlite"
    migrate.upgrade(url)
    opened = open_database(url)
    try:
        with opened.read() as conn:
            conn.execute(revision_log.insert().values(tenant="acme", revision=1, instant_us=1))
        with opened.read() as conn:
            assert conn.execute(select(func.count()).select_from(revision_log)).scalar_one() == 0
            assert conn.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"
            assert conn.execute(text("PRAGMA synchronous")).scalar_one() == 1
            assert conn.execute(text("PRAGMA busy_timeout")).scalar_one() == 5000
    finally:
        opened.close()


def _read_in_child(database: Database, answer: Any) -> None:
    with database.read() as conn:
        answer.put(versions.current_revision(conn, "acme")[0])
    publish(database, patient(2))
    database.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_uses_connections_of_its_own(database: Database) -> None:
    publish(database, patient(1))
    answer: Any = FORK.Queue()
    with database.read() as conn:
        assert versions.current_revision(conn, "acme")[0] == 1
        child = FORK.Process(target=_read_in_child, args=(database, answer))
        child.start()
        assert answer.get(timeout=30) == 1
        child.join(30)
        assert child.exitcode == 0
    with database.read() as conn:
        assert versions.current_revision(conn, "acme")[0] == 2
    answer.close()
    answer.join_thread()


def test_revisions_of_concurrent_publishers_are_seen_in_order(database: Database) -> None:
    seen: list[tuple[int, int]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            with database.read() as conn:
                seen.append(versions.current_revision(conn, "acme"))

    def work(worker: int) -> None:
        publisher = Publisher(database, REGISTRY)
        for turn in range(8):
            key = f"{worker}-{turn}"
            publisher.publish("acme", "qubs", [output(key, patient(key))], SYDNEY)

    watcher = threading.Thread(target=watch)
    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in (watcher, *workers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    watcher.join()
    assert seen == sorted(seen)
    with database.read() as conn:
        log = conn.execute(
            select(revision_log.c.revision, revision_log.c.instant_us).order_by(
                revision_log.c.revision
            )
        ).all()
        assert [row[0] for row in log] == list(range(1, 33))
        instants = [row[1] for row in log]
        assert all(a < b for a, b in itertools.pairwise(instants))
        found = conn.execute(select(func.count(resource_version.c.pk))).scalar_one()
        assert found == 32


def _publish_for_ever(url: str) -> None:
    opened = open_database(url)
    publisher = Publisher(opened, REGISTRY)
    for turn in range(100_000):
        people = [patient(n, f"Turn{turn}") for n in range(40)]
        publisher.publish("acme", "qubs", [output("all", *people)], SYDNEY)


def test_a_killed_publisher_leaves_nothing_half(database: Database, database_url: str) -> None:
    for pause in (0.05, 0.11):
        child = SPAWN.Process(target=_publish_for_ever, args=(database_url,))
        child.start()
        assert child.pid is not None
        deadline = time.monotonic() + 30
        before = _revision(database)
        while _revision(database) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(pause)
        os.kill(child.pid, signal.SIGKILL)
        child.join(30)
        child.close()
        with database.read() as conn:
            revision = versions.current_revision(conn, "acme")[0]
            assert revision > before
            where = resource_version.c.to_revision == OPEN
            starts = conn.execute(select(resource_version.c.from_revision).where(where)).scalars()
            assert list(starts) == [revision] * 40
            genders = select(func.count()).where(
                index_token.c.param == "gender", index_token.c.to_revision == OPEN
            )
            assert conn.execute(genders).scalar_one() == 40
    publish(database, patient(1, "After"))


def _revision(database: Database) -> int:
    with database.read() as conn:
        return versions.current_revision(conn, "acme")[0]
