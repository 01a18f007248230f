"""Writes `element_table.json` from the R4B models: summary, mandatory and choice elements by type.

Run `python -m fhir_facade.search.element_table` after a new release of fhir.resources; a test
compares the file with what this makes.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from fhir_facade.fhir import json
from fhir_facade.fhir.r4_types import R4_TYPES

PATH = Path(__file__).with_name("element_table.json")


def build() -> dict[str, dict[str, Any]]:
    """Type name → `summary`, `required` (top-level names) and `choices` (stem → spellings)."""
    table = {}
    for name in sorted(R4_TYPES):
        try:
            module = importlib.import_module(f"fhir.resources.R4B.{name.lower()}")
        except ModuleNotFoundError:
            continue  # types that R4B dropped; none of them is served
        table[name] = _facts(getattr(module, name))
    return table


def _facts(model: Any) -> dict[str, Any]:
    summary, required, choices = [], [], dict[str, list[str]]()
    for field in model.model_fields.values():
        extra = field.json_schema_extra
        if not isinstance(extra, dict) or not extra.get("element_property"):
            continue
        name = field.alias or ""
        if extra.get("summary_element_property"):
            summary.append(name)
        if field.is_required() or extra.get("element_required"):
            required.append(name)
        if stem := extra.get("one_of_many"):
            choices.setdefault(str(stem), []).append(name)
    return {"summary": sorted(summary), "required": sorted(required), "choices": choices}


if __name__ == "__main__":
    PATH.write_bytes(json.dumps(build()) + b"\n")
