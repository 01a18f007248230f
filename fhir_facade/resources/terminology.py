"""The code tables of the mapping, as data: looked up by the mapping, published as ConceptMaps.

A tenant may override rows (`code_overrides` in its settings). A code no row names is served under
the table's default, and the caller counts it. docs/mapping/qubs.md gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fhir_facade.errors import SettingsError
from fhir_facade.fhir import FHIRResource
from fhir_facade.fhir.systems import concept_map_url, value_set_of
from fhir_facade.resources import code_rows
from fhir_facade.resources.code_rows import Row
from fhir_facade.resources.version import MAPPING_DATE, MAPPING_VERSION, PUBLISHER


@dataclass(frozen=True)
class CodeTable:
    """One code system of an upstream, mapped to one of FHIR.

    `default` is the FHIR code of an unknown upstream code; None: there is none, and the element
    or resource is left out. `targets` are the codes that may be mapped to. `folded` tables are
    looked up whatever the case; the others byte for byte.
    """

    id: str
    name: str
    title: str
    description: str
    source_system: str
    target_system: str
    target_value_set: str
    rows: Mapping[str, Row]
    targets: frozenset[str]
    default: str | None
    folded: bool = False

    @cached_property
    def _codes(self) -> dict[str, str | None]:
        return {
            (code.casefold() if self.folded else code): row.target
            for code, row in self.rows.items()
        }

    def lookup(self, code: str) -> tuple[str | None, bool]:
        """The FHIR code (None: nothing corresponds), and whether the upstream code is known."""
        key = code.casefold() if self.folded else code
        if key in self._codes:
            return self._codes[key], True
        return self.default, False

    def spelled(self, code: str) -> str | None:
        """A known upstream code as the table spells it; None for an unknown one."""
        return next((known for known in self.rows if self._key(known) == self._key(code)), None)

    def overridden(self, overrides: Mapping[str, str]) -> CodeTable:
        """This table with a tenant's rows before its own; an empty target says "nothing".

        Raises SettingsError when a target is no code of the FHIR system.
        """
        wrong = sorted(t for t in overrides.values() if t and t not in self.targets)
        if wrong:
            raise SettingsError(f"code_overrides.{self.id}: {wrong[0]!r} is no FHIR code for it")
        if "" in overrides.values() and self.default is not None:
            raise SettingsError(f"code_overrides.{self.id}: every code must map to a FHIR code")
        rows = dict(self.rows)
        for code, target in overrides.items():
            same = [known for known in rows if self._key(known) == self._key(code)]
            for known in same:
                del rows[known]
            equivalence = "relatedto" if target else "unmatched"
            rows[code] = Row(target or None, equivalence, "Set by the tenant.")
        return replace(self, rows=rows)

    def _key(self, code: str) -> str:
        return code.casefold() if self.folded else code


@dataclass(frozen=True)
class CodeTables:
    """The tables of one tenant."""

    appointment_status: CodeTable
    report_status: CodeTable
    gender: CodeTable
    attachment_category: CodeTable

    def __iter__(self) -> Iterator[CodeTable]:
        return iter(
            (self.appointment_status, self.report_status, self.gender, self.attachment_category)
        )


BUILT_IN = CodeTables(
    appointment_status=CodeTable(**code_rows.APPOINTMENT_STATUS),
    report_status=CodeTable(**code_rows.REPORT_STATUS),
    gender=CodeTable(**code_rows.GENDER),
    attachment_category=CodeTable(**code_rows.ATTACHMENT_CATEGORY),
)


def tables_for(overrides: Mapping[str, Mapping[str, str]]) -> CodeTables:
    """The built-in tables with a tenant's overrides: table id → upstream code → FHIR code.

    Raises SettingsError for a table or FHIR code that does not exist.
    """
    known = {table.id for table in BUILT_IN}
    for table_id in overrides:
        if table_id not in known:
            raise SettingsError(
                f"code_overrides: no table {table_id!r}; there are {', '.join(sorted(known))}"
            )
    changed = [table.overridden(overrides.get(table.id, {})) for table in BUILT_IN]
    return CodeTables(*changed)


def concept_maps(fhir_base: str, tables: CodeTables = BUILT_IN) -> tuple[FHIRResource, ...]:
    """The tables as ConceptMaps (R4 conceptmap.html), as `[base]/ConceptMap` serves them.

    Without `meta`: the server adds what it knows of versions.
    """
    return tuple(_concept_map(fhir_base, table) for table in tables)


def _concept_map(fhir_base: str, table: CodeTable) -> FHIRResource:
    group: FHIRResource = {
        "source": table.source_system,
        "target": table.target_system,
        "element": [_element(code, row) for code, row in table.rows.items()],
    }
    if table.default is not None:
        group["unmapped"] = {"mode": "fixed", "code": table.default}
    return {
        "resourceType": "ConceptMap",
        "id": table.id,
        "url": concept_map_url(fhir_base, table.id),
        "version": MAPPING_VERSION,
        "name": table.name,
        "title": table.title,
        "status": "active",
        "date": MAPPING_DATE,
        "publisher": PUBLISHER,
        "description": table.description,
        "sourceCanonical": value_set_of(table.source_system),
        "targetCanonical": table.target_value_set,
        "group": [group],
    }


def _element(code: str, row: Row) -> FHIRResource:
    target: FHIRResource = {"equivalence": row.equivalence}
    if row.target is not None:
        target = {"code": row.target, **target}
    if row.comment:
        target["comment"] = row.comment
    return {"code": code, "target": [target]}
