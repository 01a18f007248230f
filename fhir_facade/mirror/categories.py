"""The categories that resources of a type have: what granular scopes choose from."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import Connection

from fhir_facade.fhir import json
from fhir_facade.mirror.fetch import fetch
from fhir_facade.mirror.tables import IS_CATEGORY
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.element_path import compile_path
from fhir_facade.resources.extract import token_key

MOST = 200
"""Categories listed of a type at most."""

_NEXT = f"""
SELECT t.code, t.system, t.version_pk FROM index_token t
WHERE t.tenant = ? AND t.type = ? AND t.{IS_CATEGORY} AND (t.code, t.system) > (?, ?)
ORDER BY t.code, t.system LIMIT 1
"""  # noqa: S608 - of constants
_BODY = "SELECT body FROM resource_version WHERE pk = ?"


class Category(NamedTuple):
    """A coding as resources carry it; `display` is the code where it has none."""

    system: str
    code: str
    display: str


def categories_in_use(
    conn: Connection, tenant: str, definition: ResourceDefinition
) -> tuple[Category, ...]:
    """Every category that a version of the type has, by code and system; one look-up for each,
    however many resources there are."""
    if definition.category_path is None:
        return ()
    found: list[Category] = []
    place = ("", "")
    while len(found) < MOST:
        rows = fetch(conn, _NEXT, (tenant, definition.type, *place))
        if not rows:
            break
        code, system, version = rows[0]
        place = (code, system)
        category = _as_written(conn, definition.category_path, version, code, system)
        if category is not None:
            found.append(category)
    return tuple(found)


def _as_written(
    conn: Connection, path: str, version_pk: int, code: str, system: str
) -> Category | None:
    """The coding behind an index row, which holds hashes of long ones."""
    bodies = fetch(conn, _BODY, (version_pk,))
    resource: Any = json.loads(bodies[0][0]) if bodies and bodies[0][0] else {}
    for concept in compile_path(path)(resource):
        for coding in concept.get("coding", ()) if isinstance(concept, dict) else ():
            written = (coding.get("system", ""), coding.get("code", ""))
            if (token_key(written[0]), token_key(written[1])) == (system, code):
                return Category(*written, coding.get("display") or written[1])
    return None
