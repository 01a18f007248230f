"""Types that do not lie in the mirror: AuditEvents are in the audit trail, all others in code."""

from __future__ import annotations

from fhir_facade.errors import UnsupportedParameter
from fhir_facade.mirror.versions import Row
from fhir_facade.resources.audit_event import DEFINITION as AUDIT_EVENT
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest import audit_events, conformance
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.search.cursor import Position
from fhir_facade.search.query import SearchQuery
from fhir_facade.search.run import SearchPage


def read(parts: RestParts, tenant: TenantParts, resource_type: str, resource_id: str) -> Row | None:
    """The resource as a row, so that it is answered like a stored one."""
    if resource_type == AUDIT_EVENT.type:
        return audit_events.read(parts.audit.trail, tenant, resource_id)
    return conformance.read(tenant, resource_type, resource_id)


def has_type_history(definition: ResourceDefinition) -> bool:
    """Whether `GET [base]/Type/_history` is served: AuditEvents have one version each."""
    return definition.type != AUDIT_EVENT.type


def rows(tenant: TenantParts, resource_type: str) -> list[Row]:
    """All resources of a type, for its history. Raises UnsupportedParameter for AuditEvents."""
    if resource_type == AUDIT_EVENT.type:
        raise UnsupportedParameter(
            "AuditEvents have no history of the type: each has one version.",
            diagnostics="Search AuditEvent by date; the newest come first.",
        )
    return conformance.rows(tenant, resource_type)


def search(
    parts: RestParts,
    tenant: TenantParts,
    definition: ResourceDefinition,
    query: SearchQuery,
    position: Position | None,
) -> SearchPage:
    """One page, in the order of the search."""
    if definition.type == AUDIT_EVENT.type:
        return audit_events.search(parts.audit.trail, tenant, query, position)
    return conformance.search(tenant, definition, query, position)
