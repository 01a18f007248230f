"""The mirror's database: SQLite on a local disk, or PostgreSQL in the schema `mirror`.

Every store works inside `read()` or `write()`. On SQLite a read is one snapshot and a write takes
the writer's lock at its start; on PostgreSQL each statement of a read sees what is committed (rows
are asked for by revision, so a page is consistent all the same) and a write is READ COMMITTED.
"""

from __future__ import annotations

import os
import sqlite3
import time
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from fhir_facade.errors import SettingsError

POSTGRES_SCHEMA = "mirror"
_POOL_SIZE = 32
_READERS_KEPT = 16
"""Of SQLite's connections, so many stay out of the pool, ready to read."""
_BUSY_TIMEOUT_MS = 5_000
_MAPPED = 2_147_418_112
"""Bytes of the file that are mapped, as many as SQLite takes: the kernel's pages are shared by all
processes, while what is read past them is copied and soon dropped from small caches."""
_PRAGMAS = (
    f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA mmap_size = {_MAPPED}",
    "PRAGMA cache_size = -8000",
    "PRAGMA journal_size_limit = 67108864",
    "PRAGMA temp_store = MEMORY",
)

_open: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[object] = []


class Database:
    """A pool of connections. Opening one again and again is 15 times slower than keeping it."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.dialect = engine.dialect.name
        """`sqlite` or `postgresql`."""
        self._reader = engine if self.dialect == "sqlite" else _autocommit(engine)
        self._ready: deque[Connection] = deque()
        _open.add(self)

    def read(self) -> AbstractContextManager[Connection]:
        """A connection for reading; nothing written on it is kept. Keep the block short: no
        transaction outlives it."""
        return _Reading(self)

    def take_reader(self) -> Connection:
        """A connection for reading, to be given back."""
        # Taking one from the pool and giving it back costs more than a look-up by id.
        try:
            return self._ready.pop()
        except IndexError:
            return self._reader.connect()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection that read, or close it."""
        try:
            if connection.in_transaction():
                connection.rollback()
        except BaseException:
            connection.close()
            raise
        if self.dialect == "sqlite" and len(self._ready) < _READERS_KEPT:
            self._ready.append(connection)
        else:
            connection.close()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: committed at the end of the block, rolled back when it raises."""
        with self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection = connection.execution_options(mirror_write=True)
            with connection.begin():
                yield connection

    def unmap(self) -> None:
        """Read through the cache from now on instead of mapping the file, if there is one: for
        a process that reads all of a database once and shall stay small in every figure."""
        if self.dialect == "sqlite":
            event.listen(self.engine, "connect", _map_nothing)
            self.close()

    def close(self) -> None:
        """Close idle connections; the database may be used again afterwards."""
        with suppress(IndexError):
            while True:
                self._ready.pop().close()
        self.engine.dispose()

    def forget(self) -> None:
        """Leave every connection to the process that opened it, without closing it."""
        _inherited.extend((self.engine.pool, *self._ready))
        self._ready.clear()
        self.engine.dispose(close=False)


class _Reading:
    """A block that reads. A generator would cost as much as what the block looks up."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Connection:
        self._connection = self._database.take_reader()
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._database.give_back(self._connection)
        else:
            self._connection.close()


def open_database(url: str) -> Database:
    """Open `sqlite:///path` or `postgresql://…`; the tables are made by `migrate.upgrade`.

    Raises SettingsError when the address is of another kind.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    kind = "" if parsed is None else parsed.get_backend_name()
    if parsed is None or kind not in ("sqlite", "postgresql"):
        raise SettingsError("FACADE_DATABASE_URL must begin with sqlite:/// or postgresql://.")
    return Database(_sqlite_engine(parsed) if kind == "sqlite" else _postgres_engine(parsed))


def _sqlite_engine(url: URL) -> Engine:
    if url.database in (None, "", ":memory:"):
        raise SettingsError("FACADE_DATABASE_URL must name a file: the processes share it.")
    engine = create_engine(
        url,
        poolclass=QueuePool,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_use_lifo=True,
        connect_args={"check_same_thread": False, "timeout": _BUSY_TIMEOUT_MS / 1000},
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        # The driver must not open transactions of its own: `begin` below does.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            _persist(connection, pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("mirror_write")
        raw: Any = connection.connection.dbapi_connection
        raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _persist(connection: Any, pragma: str) -> None:
    """Run a pragma; when two processes open a new file at once, the change to WAL fails for one of
    them without waiting as `busy_timeout` says."""
    give_up = time.monotonic() + _BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute(pragma).close()
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() >= give_up:
                raise
            time.sleep(0.01)


def _map_nothing(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA mmap_size = 0").close()


def _postgres_engine(url: URL) -> Engine:
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_SIZE,
        pool_use_lifo=True,
        pool_pre_ping=True,
        pool_recycle=1800,
        isolation_level="READ COMMITTED",
    )

    @event.listens_for(engine, "connect", insert=True)
    def prepare(connection: Any, _record: object) -> None:
        before = connection.autocommit
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET search_path TO {POSTGRES_SCHEMA}")
            # A plan for any values takes a page for a tenth of a table.
            cursor.execute("SET plan_cache_mode TO force_custom_plan")
            # Pages lie in memory or on a disk without arms; the default prefers reading it all.
            cursor.execute("SET random_page_cost TO 1.1")
        connection.autocommit = before

    return engine


def _autocommit(engine: Engine) -> Engine:
    return engine.execution_options(isolation_level="AUTOCOMMIT")


def _forget_in_child() -> None:
    """After a fork: the child opens its own connections and never touches, nor closes, the
    parent's."""
    for database in list(_open):
        database.forget()


os.register_at_fork(after_in_child=_forget_in_child)
