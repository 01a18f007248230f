"""The data-absent-reason extension: a required value that is missing, said in FHIR's own way."""

from __future__ import annotations

from typing import Any, Literal

from fhir_facade.fhir.systems import DATA_ABSENT_REASON

Reason = Literal["unknown", "asked-unknown", "not-asked", "masked", "unsupported", "error"]


def data_absent(reason: Reason = "unknown") -> dict[str, Any]:
    """The value of a primitive's `_name` twin (`_start`, `_birthDate`), R4 extension-data-absent-
    reason.html.
    """
    return {"extension": [{"url": DATA_ABSENT_REASON, "valueCode": reason}]}
