"""AuditEvents, read and searched: rows of the audit trail, made into resources as they leave."""

from __future__ import annotations

from fhir_facade.audit import Trail
from fhir_facade.audit.query import AuditQuery, AuditRow
from fhir_facade.fhir import json
from fhir_facade.mirror.criteria import SortKey
from fhir_facade.mirror.versions import Row
from fhir_facade.resources.audit_event import AuditSource, audit_event, id_of, key_of
from fhir_facade.rest.audit_search import condition
from fhir_facade.rest.parts import TenantParts
from fhir_facade.search.cursor import Position
from fhir_facade.search.query import SearchQuery
from fhir_facade.search.run import CHEAP_TOTAL, SearchPage
from fhir_facade.search.values.text import UnknownParameter


def read(trail: Trail, tenant: TenantParts, resource_id: str) -> Row | None:
    """The event of this id, as a row that is answered like a stored one."""
    key = key_of(resource_id)
    row = None if key is None else trail.get(tenant.slug, key)
    return None if row is None else _row(tenant, row)


def search(
    trail: Trail, tenant: TenantParts, query: SearchQuery, position: Position | None
) -> SearchPage:
    """One page, newest first unless the search asks for the oldest.

    Events that are recorded while somebody pages come before the first page, so no page repeats or
    misses any.
    """
    asked = AuditQuery(
        tenant.slug,
        tuple(condition(criterion) for criterion in query.criteria),
        after=int(str(position.after[0])) if position is not None and position.after else None,
        limit=query.count + 1,
        oldest_first=_oldest_first(query.sort),
    )
    found = [] if query.count_only else trail.find(asked)
    rows = found[: query.count]
    more = len(found) > query.count
    if position is not None:
        total = position.total
    elif not more and not query.count_only:
        total = len(rows)
    else:
        total = _total(trail, asked, query)
    return SearchPage(
        revision=0,
        matches=tuple(_row(tenant, row) for row in rows),
        included=(),
        total=None if query.total == "none" and not query.count_only else total,
        after=(rows[-1].pk,) if more and rows else None,
    )


def _oldest_first(keys: tuple[SortKey, ...]) -> bool:
    """By time is the only order; both names of the instant ask for it."""
    if len(keys) > 1 or any(key.param not in ("date", "_lastUpdated") for key in keys):
        raise UnknownParameter(
            "This '_sort' is not supported.",
            diagnostics="AuditEvents are ordered by date or -date.",
            expression=("_sort",),
        )
    return bool(keys) and not keys[0].descending


def _total(trail: Trail, asked: AuditQuery, query: SearchQuery) -> int | None:
    if query.total == "none" and not query.count_only:
        return None
    if query.count_only or query.total in ("accurate", "estimate"):
        return trail.count(asked)
    total = trail.count(asked, at_most=CHEAP_TOTAL + 1)
    return total if total <= CHEAP_TOTAL else None


def _row(tenant: TenantParts, row: AuditRow) -> Row:
    resource = audit_event(row, AuditSource(tenant.base, tenant.name))
    return Row(
        pk=row.pk,
        type="AuditEvent",
        id=id_of(row.pk),
        version_id=1,
        from_revision=0,
        last_updated_us=row.recorded_us,
        deleted=False,
        body=json.dumps(resource),
        patients="",
        categories="",
        inherits=None,
    )
