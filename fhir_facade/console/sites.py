"""The sites whose patients a group may hold."""

from __future__ import annotations

from fhir_facade.fhir import json
from fhir_facade.mirror import versions
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest, find
from fhir_facade.policy import AllPatients, Grant, Reach, ReachClass

MOST = 500
_REACH = Reach(
    grants=(Grant("user", "Location", frozenset({"r", "s"}), AllPatients()),),
    classes={"Location": ReachClass.DIRECTORY},
)


def sites_of(database: Database, tenant: str) -> list[tuple[str, str]]:
    """Id and name of the tenant's Locations, by name."""
    with database.read() as conn:
        revision = versions.current_revision(conn, tenant)[0]
        request = FindRequest(tenant, "Location", (), _REACH, revision, None, MOST)
        bodies = [json.loads(row.body) for row in find(conn, request) if row.body is not None]
    found = [(body["id"], body.get("name") or body["id"]) for body in bodies]
    return sorted(found, key=lambda site: (site[1], site[0]))
