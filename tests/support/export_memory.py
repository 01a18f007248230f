"""`python -m tests.support.export_memory DATABASE_URL ROOT TENANT…`: run one export of each tenant
in turn in this process and print the peak memory (KiB) after each."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from fhir_facade.bulk.model import BulkSettings
from fhir_facade.mirror.database import open_database
from tests.support.exports import bulk_parts, run_all, start


def main(url: str, root: str, *tenants: str) -> None:
    """One line a tenant."""
    db = open_database(url)
    parts = bulk_parts(db, Path(root), BulkSettings())
    for tenant in tenants:
        start(parts, tenant=tenant)
        run_all(parts)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
