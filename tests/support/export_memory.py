"""`python -m tests.support.export_memory DATABASE_URL ROOT TENANT…`: run one export of each tenant
in turn in a worker of this process, and print the peak of its resident memory (KiB) after each.

The peak is the kernel's `VmHWM`; `ru_maxrss` would carry over that of the process that started us.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from pathlib import Path

from fhir_facade.bulk.engines import EmbeddedEngine
from fhir_facade.bulk.model import BulkSettings, InProgress
from fhir_facade.bulk.status import status
from fhir_facade.bulk.worker import run_worker
from fhir_facade.mirror.database import open_database
from tests.support.exports import bulk_parts, principal, start


def main(url: str, root: str, *tenants: str) -> None:
    """One line a tenant."""
    db = open_database(url)
    parts = bulk_parts(db, Path(root), BulkSettings())
    stop = threading.Event()
    worker = threading.Thread(target=run_worker, args=(parts, stop, EmbeddedEngine(db, 0.02)))
    worker.start()
    for tenant in tenants:
        job = start(parts, tenant=tenant)
        while isinstance(status(parts, tenant, principal(), job), InProgress):
            time.sleep(0.02)
        print(peak())
    stop.set()
    worker.join()
    db.close()


def peak() -> int:
    """The most memory this process has had resident since it was started."""
    found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
