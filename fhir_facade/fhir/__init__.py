"""The FHIR R4 kernel: JSON, dates, ids, references, Bundles, OperationOutcomes, validation. Knows
no upstream.
"""

from __future__ import annotations

from typing import Any

FHIRResource = dict[str, Any]
"""A FHIR resource as plain JSON: the only place where an untyped dict crosses rooms."""

__all__ = ["FHIRResource"]
