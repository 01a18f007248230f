"""What the console works with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from fhir_facade.audit import AuditLog
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.groups import GroupStore
from smart_auth.server import AuthServer


@dataclass(frozen=True)
class SourceState:
    """A source of a tenant; `trouble` is one sentence, None when all is well."""

    name: str
    trouble: str | None


@dataclass(frozen=True)
class ConsoleParts:
    """Made once per process. `zone` and `sources` are asked by tenant."""

    auth: AuthServer
    database: Database
    groups: GroupStore
    audit: AuditLog
    zone: Callable[[str], ZoneInfo]
    sources: Callable[[str], Sequence[SourceState]]
