"""What the authorization server asks of the facade (`smart_auth.ports.Facade`)."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from fhir_facade import clock
from fhir_facade.audit import AccessRow, AuditLog
from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.dates import InvalidDate, parse_interval
from fhir_facade.fhir.ids import is_id
from fhir_facade.fhir.r4_types import R4_TYPES
from fhir_facade.mirror import versions
from fhir_facade.mirror.categories import categories_in_use
from fhir_facade.mirror.criteria import (
    Criterion,
    DateCriterion,
    DateValue,
    IdCriterion,
    StringCriterion,
    TokenCriterion,
    TokenValue,
)
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest, find
from fhir_facade.mirror.memberships import memberships_of
from fhir_facade.policy import AllPatients, Grant, PatientSet, Reach, ReachClass, SomePatients
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.extract import fold
from fhir_facade.rest import trail
from fhir_facade.telemetry import correlation_id
from smart_auth.ports import (
    AccessEvent,
    AccessShown,
    CategoryChoice,
    PatientChoice,
    RefusalShown,
    TenantInfo,
)
from smart_auth.scopes import Level

_SCOPE_TYPES = tuple(sorted(R4_TYPES))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_CATEGORIES_SECONDS = 60.0
_UTC = ZoneInfo("UTC")


class FacadePorts:
    """Tenants, patients to choose from, and the audit trail."""

    def __init__(
        self,
        tenants: Mapping[str, TenantInfo],
        database: Database,
        audit: AuditLog,
        registry: Mapping[str, ResourceDefinition],
    ) -> None:
        self._tenants = tenants
        self._database = database
        self._audit = audit
        self._registry = registry
        self._categories: dict[tuple[str, str], tuple[float, tuple[CategoryChoice, ...]]] = {}

    def tenants(self) -> Mapping[str, TenantInfo]:
        """All tenants by slug."""
        return self._tenants

    def resource_types(self, tenant: str, level: Level) -> Sequence[str]:
        """The served types, the same for every tenant; those of staff are not under `patient/`, and
        those of operators are named for `system/` only: a person asks for them by name."""
        hidden = {
            "patient": (ReachClass.STAFF, ReachClass.OPERATOR),
            "user": (ReachClass.OPERATOR,),
            "system": (),
        }[level]
        return tuple(
            name for name, definition in self._registry.items() if definition.reach not in hidden
        )

    def scope_types(self) -> Sequence[str]:
        """Every resource type of R4."""
        return _SCOPE_TYPES

    def categories(self, tenant: str, resource_type: str) -> Sequence[CategoryChoice]:
        """The categories that resources of this type have, by text; asked of the mirror once a
        minute at most."""
        key = (tenant, resource_type)
        known = self._categories.get(key)
        if known is not None and clock.monotonic() - known[0] < _CATEGORIES_SECONDS:
            return known[1]
        definition = self._registry.get(resource_type)
        if definition is None:
            return ()
        with self._database.read() as conn:
            found = categories_in_use(conn, tenant, definition)
        choices = tuple(CategoryChoice(*category) for category in found)
        ordered = tuple(sorted(choices, key=lambda choice: (choice.text, choice.code)))
        self._categories[key] = (clock.monotonic(), ordered)
        return ordered

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        """Patients with every word of `text` in their names or as their birth date (YYYY-MM-DD), or
        with `text` as an identifier or the id; in order of ids, at most `limit`.
        """
        found: dict[str, PatientChoice] = {}
        with self._database.read() as conn:
            revision = versions.current_revision(conn, tenant)[0]
            for criteria in _patient_criteria(text, self._zone(tenant)):
                request = FindRequest(
                    tenant=tenant,
                    type="Patient",
                    criteria=criteria,
                    reach=self._reach(allowed),
                    revision=revision,
                    after=None,
                    limit=limit,
                )
                for row in find(conn, request):
                    if row.body is not None:
                        found.setdefault(row.id, _choice(json.loads(row.body)))
        return tuple(found.values())[:limit]

    def patients(self, tenant: str, ids: Collection[str]) -> Sequence[PatientChoice]:
        """Those of the ids that are known and not deleted, by name."""
        keys = [("Patient", patient) for patient in ids if is_id(patient)]
        with self._database.read() as conn:
            revision = versions.current_revision(conn, tenant)[0]
            rows = versions.by_keys(conn, tenant, keys, revision)
        choices = [_choice(json.loads(row.body)) for row in rows if row.body and not row.deleted]
        return sorted(choices, key=lambda choice: (choice.name, choice.id))

    def patients_of(self, tenant: str, reference: str) -> frozenset[str] | None:
        """The patients a relative reference (`Appointment/1`) is about, empty when it is about
        none; None when there is no such resource."""
        resource_type, _, logical_id = reference.partition("/")
        if resource_type not in self._registry or not is_id(logical_id):
            return None
        with self._database.read() as conn:
            row = versions.read(conn, tenant, resource_type, logical_id)
        if row is None or row.deleted:
            return None
        return frozenset(row.facts.patients)

    def refusals(
        self, tenant: str, client_id: str, *, correlation_id: str | None = None, limit: int = 50
    ) -> Sequence[RefusalShown]:
        """The app's last refused requests, newest first; with `correlation_id` only those."""
        return trail.refusals(self._audit.trail, tenant, client_id, correlation_id, limit)

    def accesses(
        self, tenant: str, patient_id: str, *, after: str = "", limit: int = 50
    ) -> Sequence[AccessShown]:
        """Who saw or did what with a patient's data, exports of groups it was a member of
        included, newest first; `after` is a line's cursor."""
        with self._database.read() as conn:
            times = memberships_of(conn, tenant, patient_id)
        return trail.accesses(self._audit.trail, tenant, patient_id, times, after, limit)

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        """Whether the patient is known and not deleted."""
        if not is_id(patient_id):
            return False
        with self._database.read() as conn:
            row = versions.read(conn, tenant, "Patient", patient_id)
        return row is not None and not row.deleted

    def record(self, *events: AccessEvent) -> None:
        """Keep an audit row for each, all or none, durably before it returns."""
        self._audit.record_now(*map(_row, events))

    def _zone(self, tenant: str) -> ZoneInfo:
        info = self._tenants.get(tenant)
        return info.zone if info is not None and isinstance(info.zone, ZoneInfo) else _UTC

    def _reach(self, allowed: frozenset[str] | None) -> Reach:
        patients: PatientSet = AllPatients() if allowed is None else SomePatients(allowed)
        return Reach(
            grants=(Grant("user", "Patient", frozenset({"r", "s"}), patients),),
            classes={name: definition.reach for name, definition in self._registry.items()},
        )


def _row(event: AccessEvent) -> AccessRow:
    row = AccessRow(
        tenant=event.tenant,
        action=event.action,
        outcome=event.outcome,
        client_id=event.client_id,
        user_id=event.user_id,
        patient_ids=(event.patient_id,) if event.patient_id else (),
        reason=event.reason,
        correlation_id=event.correlation_id or correlation_id() or None,
        actor=event.actor,
    )
    return row if event.refusal is None else row._replace(**vars(event.refusal))


def _patient_criteria(text: str, zone: ZoneInfo) -> list[tuple[Criterion, ...]]:
    """By name and birth date first, then by identifier and id; without text, everybody."""
    words = text.split()
    if not words:
        return [()]
    by_name = tuple(_word(word, zone) for word in words)
    whole = text.strip()
    by_number: list[tuple[Criterion, ...]] = [
        (TokenCriterion("identifier", (TokenValue(None, whole),)),)
    ]
    if is_id(whole):
        by_number.append((IdCriterion((whole,)),))
    return [by_name, *by_number]


def _word(word: str, zone: ZoneInfo) -> Criterion:
    """A word as a birth date when it is one, else as part of a name."""
    if _DATE.fullmatch(word):
        try:
            day = parse_interval(word, zone)
        except InvalidDate:
            pass
        else:
            return DateCriterion("birthdate", (DateValue("eq", day.lo, day.hi),))
    return StringCriterion("name", "contains", (fold(word),))


def _choice(patient: FHIRResource) -> PatientChoice:
    return PatientChoice(
        id=patient["id"],
        name=_display(patient.get("name", [])),
        birth_date=patient.get("birthDate", ""),
        gender=patient.get("gender", ""),
    )


def _display(names: Sequence[Mapping[str, Any]]) -> str:
    """The first name as people write it."""
    if not names:
        return ""
    name = names[0]
    parts = [*name.get("given", []), name.get("family")]
    return name.get("text") or " ".join(part for part in parts if part)
