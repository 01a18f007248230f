"""Reading versions: by id, by number, by key, in history, and the revisions they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, select

from fhir_facade.mirror.tables import OPEN, resource_version, revision_log, tenant_revision
from fhir_facade.policy import RowFacts

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
_ONE = select(*ROW_COLUMNS).where(
    _v.tenant == bindparam("tenant_"), _v.type == bindparam("type_"), _v.id == bindparam("id_")
)
_CURRENT = _ONE.where(_v.to_revision == OPEN)
_AT = _ONE.where(
    _v.to_revision > bindparam("revision_"), _v.from_revision <= bindparam("revision_")
)
_NUMBERED = _ONE.where(_v.version_id == bindparam("version_"))
_HISTORY = (
    _ONE.where(_v.version_id < bindparam("before_"), _v.from_revision <= bindparam("revision_"))
    .order_by(_v.version_id.desc())
    .limit(bindparam("limit_"))
)
_REVISION = select(tenant_revision.c.revision, tenant_revision.c.instant_us).where(
    tenant_revision.c.tenant == bindparam("tenant_")
)
_REVISION_AT = select(func.max(revision_log.c.revision)).where(
    revision_log.c.tenant == bindparam("tenant_"),
    revision_log.c.instant_us <= bindparam("instant_"),
)


def current_revision(conn: Connection, tenant: str) -> tuple[int, int]:
    """The tenant's last revision and its instant in microseconds UTC; (0, 0) before the first."""
    row = conn.execute(_REVISION, {"tenant_": tenant}).first()
    return (0, 0) if row is None else (row[0], row[1])


def revision_at(conn: Connection, tenant: str, instant_us: int) -> int:
    """The revision that held at an instant: the last one not after it, 0 when there was none."""
    return conn.execute(_REVISION_AT, {"tenant_": tenant, "instant_": instant_us}).scalar() or 0


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
    values: dict[str, Any] = {"tenant_": tenant, "type_": resource_type, "id_": resource_id}
    if revision is None:
        return _first(conn.execute(_CURRENT, values))
    return _first(conn.execute(_AT, values | {"revision_": revision}))


def read_version(
    conn: Connection, tenant: str, resource_type: str, resource_id: str, version_id: int
) -> Row | None:
    """One version by its number; None when there is none, or retention has dropped it."""
    values = {
        "tenant_": tenant,
        "type_": resource_type,
        "id_": resource_id,
        "version_": version_id,
    }
    return _first(conn.execute(_NUMBERED, values))


def history(
    conn: Connection,
    tenant: str,
    resource_type: str,
    resource_id: str,
    revision: int,
    *,
    before_version: int | None = None,
    limit: int = 100,
) -> list[Row]:
    """Versions up to `revision`, newest first, tombstones included; `before_version` pages on."""
    values = {
        "tenant_": tenant,
        "type_": resource_type,
        "id_": resource_id,
        "revision_": revision,
        "before_": 2**31 - 1 if before_version is None else before_version,
        "limit_": limit,
    }
    return [Row._make(row) for row in conn.execute(_HISTORY, values)]


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


def by_pks(conn: Connection, pks: Sequence[int]) -> dict[int, Row]:
    """Versions by their key in the table."""
    rows: dict[int, Row] = {}
    for start in range(0, len(pks), CHUNK):
        query = select(*ROW_COLUMNS).where(_v.pk.in_(pks[start : start + CHUNK]))
        for row in conn.execute(query):
            rows[row[0]] = Row._make(row)
    return rows


def _first(result: Any) -> Row | None:
    row = result.first()
    return None if row is None else Row._make(row)
