"""Reading versions: by id, by number, by key, in history, and the revisions they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from fhir_facade.mirror.fetch import fetch
from fhir_facade.mirror.tables import OPEN, resource_version, revision_log, tenant_revision
from fhir_facade.policy import RowFacts
from fhir_facade.resources.subject import Subject

CHUNK = 500


class Row(NamedTuple):
    """One version. `body` is the finished JSON, None for a tombstone; `patients` and `categories`
    are texts, one value a line."""

    pk: int
    type: str
    id: str
    version_id: int
    from_revision: int
    last_updated_us: int
    deleted: bool
    body: bytes | None
    patients: str
    categories: str
    inherits: str | None

    @property
    def facts(self) -> RowFacts:
        """The columns that decide who may have the row."""
        return RowFacts(
            self.type,
            self.id,
            tuple(self.patients.split("\n")) if self.patients else (),
            tuple(self.categories.split("\n")) if self.categories else (),
            self.inherits,
        )


_v = resource_version.c
ROW_COLUMNS: tuple[Any, ...] = (
    _v.pk,
    _v.type,
    _v.id,
    _v.version_id,
    _v.from_revision,
    _v.last_updated_us,
    _v.deleted,
    _v.body,
    _v.patients,
    _v.categories,
    _v.inherits,
)
ROW_NAMES = ", ".join(column.name for column in ROW_COLUMNS)
_ONE = f"SELECT {ROW_NAMES} FROM resource_version WHERE tenant = ? AND type = ? AND id = ? AND "  # noqa: S608
_OWNER = (
    "SELECT source, subject_kind, subject_key FROM resource_version"
    " WHERE tenant = ? AND type = ? AND id = ? AND to_revision = ?"
)
_CURRENT = f"{_ONE}to_revision = ?"
_AT = f"{_ONE}to_revision > ? AND from_revision <= ?"
_NUMBERED = f"{_ONE}version_id = ?"
_REVISION = "SELECT revision, instant_us FROM tenant_revision WHERE tenant = ?"
_REVISION_AT = "SELECT max(revision) FROM revision_log WHERE tenant = ? AND instant_us <= ?"


def current_revision(conn: Connection, tenant: str) -> tuple[int, int]:
    """The tenant's last revision and its instant in microseconds UTC; (0, 0) before the first."""
    rows = fetch(conn, _REVISION, (tenant,))
    return (rows[0][0], rows[0][1]) if rows else (0, 0)


def revision_at(conn: Connection, tenant: str, instant_us: int) -> int:
    """The revision that held at an instant: the last one not after it, 0 when there was none."""
    return fetch(conn, _REVISION_AT, (tenant, instant_us))[0][0] or 0


def instant_of(conn: Connection, tenant: str, revision: int) -> int | None:
    """The instant of a revision in microseconds UTC; None when there is no such revision."""
    log = revision_log.c
    query = select(log.instant_us).where(log.tenant == tenant, log.revision == revision)
    instant: int | None = conn.execute(query).scalar()
    return instant


def floor_revision(conn: Connection, tenant: str) -> int:
    """The oldest revision that can still be asked for in full: retention dropped what ended at or
    before it. Changes since an older one cannot be told."""
    query = select(tenant_revision.c.floor_revision).where(tenant_revision.c.tenant == tenant)
    return conn.execute(query).scalar() or 0


def read(
    conn: Connection,
    tenant: str,
    resource_type: str,
    resource_id: str,
    revision: int | None = None,
) -> Row | None:
    """The version that is valid now, or was at `revision`: a tombstone too; None when there never
    was one."""
    key = (tenant, resource_type, resource_id)
    if revision is None:
        return _first(fetch(conn, _CURRENT, (*key, OPEN)))
    return _first(fetch(conn, _AT, (*key, revision, revision)))


def read_version(
    conn: Connection, tenant: str, resource_type: str, resource_id: str, version_id: int
) -> Row | None:
    """One version by its number; None when there is none, or retention has dropped it."""
    return _first(fetch(conn, _NUMBERED, (tenant, resource_type, resource_id, version_id)))


def by_keys(
    conn: Connection, tenant: str, keys: Iterable[tuple[str, str]], revision: int
) -> list[Row]:
    """The versions of these (type, id) that are valid at `revision`, tombstones left out, ordered
    by type and id."""
    by_type: dict[str, set[str]] = {}
    for resource_type, resource_id in keys:
        by_type.setdefault(resource_type, set()).add(resource_id)
    rows: list[Row] = []
    for resource_type in sorted(by_type):
        ids = sorted(by_type[resource_type])
        for start in range(0, len(ids), CHUNK):
            query = (
                select(*ROW_COLUMNS)
                .where(
                    _v.tenant == tenant,
                    _v.type == resource_type,
                    _v.id.in_(ids[start : start + CHUNK]),
                    _v.to_revision > revision,
                    _v.from_revision <= revision,
                    _v.deleted.is_(False),
                )
                .order_by(_v.id)
            )
            rows.extend(Row._make(row) for row in conn.execute(query))
    return rows


def owner(
    conn: Connection, tenant: str, resource_type: str, resource_id: str
) -> tuple[str, Subject] | None:
    """The source and the subject that the present version was mapped from."""
    rows = fetch(conn, _OWNER, (tenant, resource_type, resource_id, OPEN))
    return (rows[0][0], Subject(rows[0][1], rows[0][2])) if rows else None


def _first(rows: list[tuple[Any, ...]]) -> Row | None:
    return as_row(rows[0]) if rows else None


def as_row(values: tuple[Any, ...]) -> Row:
    """A version from the columns of ROW_NAMES."""
    # SQLite gives 0 and 1 for truth values.
    return Row._make((*values[:6], bool(values[6]), *values[7:]))
