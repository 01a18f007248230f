"""The version of the mapping: raise it with every change of what a record maps to."""

from __future__ import annotations

from typing import Final

MAPPING_VERSION: Final = "1"
"""Written into Provenance and the ConceptMaps; a change means `fhir-facade sync --remap`."""
MAPPING_DATE: Final = "2026-11-21"
"""The day this version was published (ConceptMap.date)."""
