"""The reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from fhir_facade.bulk import parameters
from fhir_facade.bulk.model import BulkSettings
from fhir_facade.fhir import systems

TEXT = Path("docs/reference/bulk.md").read_text(encoding="utf-8")


def test_every_parameter_is_documented() -> None:
    named = set(re.findall(r"`(\w+)`", TEXT))
    assert parameters._LATER | {"_type", "_since", "_outputFormat", "_format"} <= named
    for spelling in parameters._OUTPUT_FORMATS:
        assert f"`{spelling}`" in TEXT


def test_the_limits_are_those_of_the_code() -> None:
    limits = BulkSettings()
    assert f"{limits.running_limit} unfinished exports" in TEXT
    assert f"lease of {limits.lease_seconds:.0f} seconds" in TEXT
    pauses = [limits.retry_seconds * 2**n for n in range(limits.max_failures - 1)]
    assert [f"{pause:.0f}" for pause in pauses] == ["1", "2", "4", "8"]
    assert "after 1, 2, 4 and 8 seconds; after the fifth failure, or fifty lost" in TEXT
    assert (limits.max_failures, limits.max_attempts) == (5, 50)


def test_the_extensions_are_named() -> None:
    for url in (systems.EXPORT_FILE_SIZE, systems.EXPORT_FILE_SHA256):
        assert f"`{url.rpartition('/')[2]}`" in TEXT
