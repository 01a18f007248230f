"""The version of the mapping, raised with every change of what a record maps to, and that of the
definitions this server publishes of itself.
"""

from __future__ import annotations

from typing import Any, Final

MAPPING_VERSION: Final = "1"
"""Written into Provenance and the ConceptMaps; a change means `fhir-facade sync --remap`."""
MAPPING_DATE: Final = "2026-11-21"
"""The day this version was published (ConceptMap.date)."""

DEFINITIONS_VERSION: Final = "1"
"""Of everything that `head` begins: raised when one of them changes."""
DEFINITIONS_DATE: Final = "2026-11-21"
PUBLISHER: Final = "FHIR Facade"


def head(resource_type: str, resource_id: str, url: str, name: str, title: str) -> dict[str, Any]:
    """What every definition that we publish begins with; `title` "" for a type that has none."""
    resource = {
        "resourceType": resource_type,
        "id": resource_id,
        "url": url,
        "version": DEFINITIONS_VERSION,
        "name": name,
        "title": title,
        "status": "active",
        "date": DEFINITIONS_DATE,
        "publisher": PUBLISHER,
    }
    return {key: value for key, value in resource.items() if value}
