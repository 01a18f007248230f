"""Where to cut a type into parts: ids that split its resources into slices of equal size."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, Select, func, select

from fhir_facade.bulk.model import PartKind, PlannedPart
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.tables import resource_version as version


def slices_of(
    db: Database, tenant: str, resource_type: str, revision: int, size: int
) -> Iterator[PlannedPart]:
    """Parts of at most `size` resources that are valid at `revision`, in the order of their ids.

    Together they cover every id there is; the cuts depend on nothing but the data at the revision,
    so equal exports have equal files. One read transaction a slice. Tombstones are counted like
    resources; a type that has neither has no part.
    """
    lower: str | None = None
    while True:
        with db.read() as conn:
            of_slice = _valid(conn, tenant, resource_type, revision)
            if lower is not None:
                of_slice = of_slice.where(version.c.id >= lower)
            cut = of_slice.order_by(version.c.id).offset(size).limit(1)
            upper = conn.execute(cut).scalar_one_or_none()
            rows = size
            if upper is None:
                count = select(func.count()).select_from(of_slice.subquery())
                rows = conn.execute(count).scalar_one()
        if rows:
            yield PlannedPart(PartKind.OUTPUT, resource_type, lower, upper, rows)
        if upper is None:
            return
        lower = upper


def _valid(conn: Connection, tenant: str, resource_type: str, revision: int) -> Select[str]:
    of_type = (version.c.tenant == tenant) & (version.c.type == resource_type)
    valid = select(version.c.id).where(of_type, version.c.to_revision > revision)
    newer = select(version.c.pk).where(of_type, version.c.from_revision > revision).limit(1)
    if conn.execute(newer).first() is None:
        # The index over ids answers alone: no row, with its body, need be touched to count it.
        return valid
    return valid.where(version.c.from_revision <= revision)
