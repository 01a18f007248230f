"""Types that are served from code, not from the mirror: ConceptMap and what follows it."""

from __future__ import annotations

from functools import lru_cache
from zoneinfo import ZoneInfo

from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.dates import format_instant, parse_interval
from fhir_facade.mirror.versions import Row
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.parts import TenantParts
from fhir_facade.search.cursor import Position
from fhir_facade.search.evaluate import Found, in_order, matches
from fhir_facade.search.query import SearchQuery
from fhir_facade.search.run import SearchPage

_UTC = ZoneInfo("UTC")


def read(tenant: TenantParts, resource_type: str, resource_id: str) -> Row | None:
    """The resource as a row, so that it is answered like a stored one."""
    found = (row for row, _ in _rows(tenant, resource_type) if row.id == resource_id)
    return next(found, None)


def rows(tenant: TenantParts, resource_type: str) -> list[Row]:
    """All resources of a type, by id."""
    return [row for row, _ in _rows(tenant, resource_type)]


def search(
    tenant: TenantParts,
    definition: ResourceDefinition,
    query: SearchQuery,
    position: Position | None,
) -> SearchPage:
    """One page, in the order of the search."""
    by_id = {row.id: row for row, _ in _rows(tenant, definition.type)}
    found = [
        Found(resource, row.last_updated_us)
        for row, resource in _rows(tenant, definition.type)
        if matches(definition, query.criteria, resource, tenant.zone, row.last_updated_us)
    ]
    ids = [one.resource["id"] for one in in_order(definition, query.sort, found, tenant.zone)]
    last = position.after[-1] if position is not None and position.after else None
    start = ids.index(last) + 1 if last in ids else 0
    page = [] if query.count_only else ids[start : start + query.count]
    more = bool(page) and len(ids) > start + len(page)
    return SearchPage(
        revision=0,
        matches=tuple(by_id[found_id] for found_id in page),
        included=(),
        total=None if query.total == "none" and not query.count_only else len(ids),
        after=(page[-1],) if more else None,
    )


@lru_cache(maxsize=1024)
def _rows(tenant: TenantParts, resource_type: str) -> tuple[tuple[Row, FHIRResource], ...]:
    """All resources of a type with their rows, by id. Their one version is that of the release."""
    resources = sorted(tenant.conformance.get(resource_type, ()), key=lambda r: str(r["id"]))
    return tuple((_row(resource), resource) for resource in resources)


def _row(resource: FHIRResource) -> Row:
    published_us = parse_interval(resource["date"], _UTC).lo
    meta = {"versionId": "1", "lastUpdated": format_instant(published_us)}
    return Row(
        pk=0,
        type=resource["resourceType"],
        id=resource["id"],
        version_id=1,
        from_revision=0,
        last_updated_us=published_us,
        deleted=False,
        body=json.dumps({**resource, "meta": meta}),
        patients="",
        categories="",
        inherits=None,
    )
