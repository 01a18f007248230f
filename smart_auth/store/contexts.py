"""Launch contexts as text columns."""

from __future__ import annotations

import json
from dataclasses import asdict

from smart_auth.records import LaunchContext


def dump_context(context: LaunchContext) -> str:
    """The context as JSON text."""
    return json.dumps(asdict(context), separators=(",", ":"))


def load_context(text: str) -> LaunchContext:
    """The context a column holds."""
    values = json.loads(text)
    values["fhir_context"] = tuple(values["fhir_context"])
    return LaunchContext(**values)
