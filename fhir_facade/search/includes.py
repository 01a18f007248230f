"""What a page brings along: `_include` and `_revinclude`, once or again and again
(R4 search.html#revinclude).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fhir_facade.mirror import find
from fhir_facade.mirror.connection import Connection
from fhir_facade.mirror.versions import Row
from fhir_facade.policy import Reach
from fhir_facade.search.query import Include

INCLUDE_LIMIT = 1000
"""Resources that a page brings along at most."""
ROUNDS = 10
"""How often `:iterate` follows what it found: deeper than any path between the types here."""

_Key = tuple[str, str]


class Includes:
    """Collects what the includes of one page lead to, at one revision and within one reach."""

    def __init__(self, conn: Connection, tenant: str, reach: Reach, revision: int) -> None:
        self._conn = conn
        self._tenant = tenant
        self._reach = reach
        self._revision = revision
        self._seen: set[_Key] = set()
        self._kept: list[Row] = []
        self._cut = False

    def collect(
        self, includes: Sequence[Include], matches: Sequence[Row]
    ) -> tuple[tuple[Row, ...], bool]:
        """The included rows, each once and none that is a match; and whether any was cut."""
        if not includes or not matches:
            return (), False
        self._seen = {(row.type, row.id) for row in matches}
        self._follow(includes, matches)
        iterating = [include for include in includes if include.iterate]
        start, round_number = 0, 0
        while iterating and start < len(self._kept) and round_number < ROUNDS:
            fresh, start = self._kept[start:], len(self._kept)
            self._follow(iterating, fresh)
            round_number += 1
        return tuple(self._kept), self._cut

    def _follow(self, includes: Iterable[Include], sources: Sequence[Row]) -> None:
        by_type: dict[str, list[Row]] = {}
        for row in sources:
            by_type.setdefault(row.type, []).append(row)
        for include in includes:
            rows = [row for name in include.sources for row in by_type.get(name, ())]
            if rows:
                self._keep(self._found(include, rows))

    def _found(self, include: Include, sources: list[Row]) -> list[Row]:
        """What one include leads to; one more than INCLUDE_LIMIT when there is more."""
        limit = INCLUDE_LIMIT + 1
        if include.reverse:
            return find.reverse_included(
                self._conn,
                self._tenant,
                include.type,
                include.param,
                sources,
                self._reach,
                self._revision,
                limit,
            )
        return find.included(
            self._conn,
            self._tenant,
            sources,
            include.param,
            include.targets,
            self._reach,
            self._revision,
            limit,
        )

    def _keep(self, rows: list[Row]) -> None:
        fresh = [row for row in rows if (row.type, row.id) not in self._seen]
        room = INCLUDE_LIMIT - len(self._kept)
        self._cut = self._cut or len(rows) > INCLUDE_LIMIT or len(fresh) > room
        for row in self._readable(fresh[:room]):
            self._seen.add((row.type, row.id))
            self._kept.append(row)

    def _readable(self, rows: list[Row]) -> list[Row]:
        """The second check: included rows need a scope that searches their type, or reads it."""
        check = (self._conn, self._tenant, self._reach, self._revision, rows)
        kept = find.admitted(*check, "s")
        if len(kept) == len(rows):
            return kept
        readable = {row.pk for row in find.admitted(*check, "r")}
        readable.update(row.pk for row in kept)
        return [row for row in rows if row.pk in readable]
