"""The memory of a worker does not depend on the size of the export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from fhir_facade.mirror.database import Database
from tests.support.databases import database, database_url
from tests.support.exports import group, patient, publish

__all__ = ["database", "database_url"]

SMALL, LARGE = 250, 2_500
TEXT = "x" * 20_000
MORE_KIB = 24_000


def test_memory_is_flat(database: Database, database_url: str, tmp_path: Path) -> None:
    """Ten times the resources, 50 MB of them, raise the peak by a few pages' worth at most."""
    for tenant, count in (("small", SMALL), ("large", LARGE)):
        publish(database, *(patient(n, TEXT) for n in range(count)), tenant=tenant)
        group(database, *range(count), tenant=tenant)
    module = "tests.support.export_memory"
    command = [sys.executable, "-m", module, database_url, str(tmp_path / "files")]
    done = subprocess.run(
        [*command, "small", "large"], check=True, capture_output=True, text=True, timeout=120
    )
    small, large = (int(line) for line in done.stdout.split() if line.isdigit())
    written = sum(path.stat().st_size for path in (tmp_path / "files/large").rglob("*.ndjson"))
    assert written > LARGE * len(TEXT)
    assert large - small < MORE_KIB
