"""What is synced, and the stores it goes to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.errors import SettingsError
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.groups import GroupStore
from fhir_facade.mirror.leases import LeaseStore
from fhir_facade.mirror.publish import Publisher
from fhir_facade.mirror.quarantine import QuarantineStore
from fhir_facade.mirror.records import RecordStore
from fhir_facade.mirror.state import StateStore
from fhir_facade.mirror.worklist import Worklist
from fhir_facade.resources.context import SOURCE, QubsContext
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.terminology import tables_for
from fhir_facade.settings import QubsSource, TenantSettings

Stage = Literal[
    "sites", "appointments", "comments", "attachments", "patients", "absence", "mapping"
]


class Progress(NamedTuple):
    """How far a stage is: counts only. `total` is None while nobody knows."""

    tenant: str
    stage: Stage
    done: int
    total: int | None


OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class SyncOptions:
    """How a sync works. Seconds and counts."""

    threads: int = 6
    """Calls at once for sub-lists and by-id reads."""
    batch: int = 200
    """Records stored in one transaction."""
    lease_seconds: float = 20.0
    """How long a dead process keeps others out."""
    hot_days_before: int = 1
    hot_days_after: int = 14
    absent_share: float = 0.05
    """A sweep that misses more of the appointments than this deletes nothing."""
    absent_floor: int = 3
    """So many may always be missing, or a small practice could never delete."""
    backlog: int = 20_000
    """Subjects that may wait to be mapped while a sweep goes on pulling."""


@dataclass(frozen=True)
class QubsJob:
    """One tenant's QUBS domain."""

    tenant: str
    settings: QubsSource
    context: QubsContext
    zone: ZoneInfo
    options: SyncOptions = field(default_factory=SyncOptions)

    @property
    def source(self) -> str:
        """The source's name in every store."""
        return SOURCE

    @property
    def lease(self) -> str:
        """The name of the lease that lets one process sync this source."""
        return f"sync:{self.tenant}:{self.source}"


def qubs_job(
    tenant: str, settings: TenantSettings, fhir_base: str, options: SyncOptions | None = None
) -> QubsJob:
    """The job of a tenant with a QUBS source. Raises SettingsError when it has none."""
    if settings.qubs is None:
        raise SettingsError(f"The tenant {tenant} has no QUBS source to sync.")
    context = QubsContext(
        fhir_base, settings.qubs.domain, settings.name, tables_for(settings.code_overrides)
    )
    return QubsJob(tenant, settings.qubs, context, settings.zone, options or SyncOptions())


@dataclass(frozen=True)
class Stores:
    """Everything of the mirror that a sync writes."""

    database: Database
    records: RecordStore
    worklist: Worklist
    publisher: Publisher
    quarantine: QuarantineStore
    leases: LeaseStore
    state: StateStore
    groups: GroupStore


def open_stores(database: Database, registry: Mapping[str, ResourceDefinition]) -> Stores:
    """The stores of one mirror database."""
    return Stores(
        database,
        RecordStore(database),
        Worklist(database),
        Publisher(database, registry),
        QuarantineStore(database),
        LeaseStore(database),
        StateStore(database),
        GroupStore(database),
    )
