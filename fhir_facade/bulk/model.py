"""The plain values of an export: what a caller hands in, what the store keeps, what a caller gets
back.

Instants are integer microseconds UTC. A *job* is one accepted `$export`; a *part* is a piece of it
that one worker writes as one file. Part 0 of every job is its plan.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from fhir_facade.policy import Reach
from fhir_facade.resources.definition import ResourceDefinition

if TYPE_CHECKING:
    from fhir_facade.bulk.files import FileStore
    from fhir_facade.mirror.database import Database

PLAN_PART = 0
"""The number of the planning part; the parts it plans follow from 1."""


class JobState(StrEnum):
    """planning → running → complete; failed, cancelled and expired end a job without files."""

    PLANNING = "planning"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class PartState(StrEnum):
    """waiting → running → done; a running part whose lease has lapsed is claimed again."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


class PartKind(StrEnum):
    """What a part writes: the manifest's sections, and the plan itself."""

    PLAN = "plan"
    OUTPUT = "output"
    DELETED = "deleted"
    ERROR = "error"


@dataclass(frozen=True)
class BulkSettings:
    """Limits of the export engine; the defaults suit one host."""

    expiry_hours: int = 24
    """How long the files of a finished job are kept."""
    running_limit: int = 10
    """Unfinished jobs a client may have at a time."""
    part_rows: int = 20_000
    """Resources of a part at most."""
    page_rows: int = 1_000
    """Rows of one read transaction at most."""
    lease_seconds: float = 10.0
    """After this long without a renewal a part is given to another worker."""
    renew_seconds: float = 2.0
    """How often a running part renews its lease, and so the longest time until it notices a cancel.
    """
    max_failures: int = 5
    """Attempts of a part that may end in an error before its job fails."""
    max_attempts: int = 50
    """Attempts of a part in all, those whose worker vanished included."""
    retry_seconds: float = 1.0
    """Pause after the first failed attempt of a part; doubled after each further one."""
    keep_days: int = 7
    """How long the row of an ended job is kept, so that a late poll can be told what became of it.
    """
    gzip: bool = False
    """Whether a compressed copy is made beside each file, once, as the file is written."""


def nobody_told(_job: Job, _state: JobState) -> None:
    """What `BulkParts.ended` does by default."""


@dataclass(frozen=True)
class BulkParts:
    """What the room is built of. `base` gives a tenant's canonical FHIR base without trailing
    slash, `zone` the zone in which a `_since` without one is read. `ended` is told when a job has
    come to its end otherwise than by its client's cancelling it, after that is stored.
    """

    db: Database
    registry: Mapping[str, ResourceDefinition]
    files: FileStore
    base: Callable[[str], str]
    zone: Callable[[str], ZoneInfo]
    settings: BulkSettings = field(default_factory=BulkSettings)
    ended: Callable[[Job, JobState], None] = nobody_told


@dataclass(frozen=True)
class ExportPrincipal:
    """Who asks: the client of a verified token and what the token reaches. Only `system/` grants
    count.
    """

    client_id: str
    reach: Reach


@dataclass(frozen=True)
class KickoffRequest:
    """An `$export` request as it came. `params` are decoded name/value pairs in order; `url` is
    absolute, as the manifest will repeat it; `accept` and `prefer` are the headers, None when
    absent.
    """

    level: Literal["Group"]
    group_id: str
    params: Sequence[tuple[str, str]]
    url: str
    accept: str | None = None
    prefer: str | None = None


@dataclass(frozen=True)
class Accepted:
    """A job that survives a crash, and the revision it reads. `status_url` is absolute: the
    Content-Location of the 202."""

    job_id: str
    status_url: str
    revision: int


@dataclass(frozen=True)
class LeftOut:
    """Something the client asked for that the export leaves out: one OperationOutcome of its error
    file.
    """

    code: str
    text: str
    expression: str


@dataclass(frozen=True)
class Job:
    """One row of `export_job`."""

    tenant: str
    id: str
    client_id: str
    level: str
    group_id: str
    request_url: str
    revision: int
    since_revision: int | None
    transaction_us: int
    types: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    reach: Reach
    state: JobState
    created_us: int
    finished_us: int | None = None
    expires_us: int | None = None
    failure: str | None = None


class PartKey(NamedTuple):
    """A part by name: what an engine delivers."""

    job_id: str
    n: int


@dataclass(frozen=True)
class PlannedPart:
    """A part as the plan makes it: resources of `type` with `id_from` <= id < `id_to` (None:
    unbounded).
    """

    kind: PartKind
    type: str
    id_from: str | None = None
    id_to: str | None = None
    rows: int = 0
    """How many rows lie in the slice: an upper bound of what it will write, for progress only."""


@dataclass(frozen=True)
class Claim:
    """A part leased to this worker: `attempt` fences every later write about it."""

    job: Job
    n: int
    part: PlannedPart
    attempt: int
    failures: int

    @property
    def key(self) -> PartKey:
        """The part's name."""
        return PartKey(self.job.id, self.n)


@dataclass(frozen=True)
class Written:
    """A finished file: `count` lines, `size` bytes, `sha256` in hex of the bytes uncompressed."""

    key: str | None
    count: int
    size: int
    sha256: str


@dataclass(frozen=True)
class ExportFile:
    """A file of a complete job. `number` makes its public name `{number}.{type}.ndjson`."""

    number: int
    kind: PartKind
    type: str
    key: str
    count: int
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """The last segment of its URL."""
        return f"{self.number}.{self.type}.ndjson"


@dataclass(frozen=True)
class InProgress:
    """`progress` has fewer than 100 characters; `retry_after` is in whole seconds, 1 to 300."""

    progress: str
    retry_after: int


@dataclass(frozen=True)
class Complete:
    """The manifest (Bulk Data Access 2.0, "Response - Complete Status") and when its files go."""

    manifest: dict[str, Any]
    expires_us: int


@dataclass(frozen=True)
class Failed:
    """The export will not complete; `diagnostics` says what to do."""

    text: str
    diagnostics: str


@dataclass(frozen=True)
class ServedFile:
    """A local file ready for send_file. `etag` (without quotes) is the SHA-256 of the bytes, with
    `-gzip` behind it for the compressed copy; `size` is that of the copy served.
    """

    path: str
    etag: str
    size: int
    modified_us: int
    media_type: str
    encoding: Literal["gzip"] | None
