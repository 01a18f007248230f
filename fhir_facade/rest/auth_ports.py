"""What the authorization server asks of the facade (`smart_auth.ports.Facade`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fhir_facade.audit import AccessRow, AuditLog
from fhir_facade.fhir import FHIRResource, json
from fhir_facade.fhir.ids import is_id
from fhir_facade.fhir.r4_types import R4_TYPES
from fhir_facade.mirror import versions
from fhir_facade.mirror.criteria import Criterion, StringCriterion, TokenCriterion, TokenValue
from fhir_facade.mirror.database import Database
from fhir_facade.mirror.find import FindRequest, find
from fhir_facade.policy import AllPatients, Grant, PatientSet, Reach, ReachClass, SomePatients
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.resources.extract import fold
from fhir_facade.telemetry import correlation_id
from smart_auth.ports import AccessEvent, PatientChoice, TenantInfo
from smart_auth.scopes import Level

_SCOPE_TYPES = tuple(sorted(R4_TYPES))


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

    def tenants(self) -> Mapping[str, TenantInfo]:
        """All tenants by slug."""
        return self._tenants

    def resource_types(self, tenant: str, level: Level) -> Sequence[str]:
        """The served types, the same for every tenant; those of staff are not under `patient/`."""
        return tuple(
            name
            for name, definition in self._registry.items()
            if level != "patient" or definition.reach is not ReachClass.STAFF
        )

    def scope_types(self) -> Sequence[str]:
        """Every resource type of R4."""
        return _SCOPE_TYPES

    def choose_patients(
        self, tenant: str, allowed: frozenset[str] | None, text: str, limit: int
    ) -> Sequence[PatientChoice]:
        """Patients with every word of `text` in their names, or with `text` as an identifier; in
        order of ids, at most `limit`.
        """
        words = fold(text).split()
        found: dict[str, PatientChoice] = {}
        with self._database.read() as conn:
            revision = versions.current_revision(conn, tenant)[0]
            for criteria in _patient_criteria(words, text.strip()):
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

    def patient_exists(self, tenant: str, patient_id: str) -> bool:
        """Whether the patient is known and not deleted."""
        if not is_id(patient_id):
            return False
        with self._database.read() as conn:
            row = versions.read(conn, tenant, "Patient", patient_id)
        return row is not None and not row.deleted

    def record(self, event: AccessEvent) -> None:
        """Keep an audit row, durably before it returns."""
        self._audit.record_now(
            AccessRow(
                tenant=event.tenant,
                action=event.action,
                outcome=event.outcome,
                client_id=event.client_id,
                user_id=event.user_id,
                patient_ids=(event.patient_id,) if event.patient_id else (),
                reason=event.reason,
                correlation_id=event.correlation_id or correlation_id() or None,
            )
        )

    def _reach(self, allowed: frozenset[str] | None) -> Reach:
        patients: PatientSet = AllPatients() if allowed is None else SomePatients(allowed)
        return Reach(
            grants=(Grant("user", "Patient", frozenset({"r", "s"}), patients),),
            classes={name: definition.reach for name, definition in self._registry.items()},
        )


def _patient_criteria(words: list[str], text: str) -> list[tuple[Criterion, ...]]:
    """By name first, then by identifier; without text, everybody."""
    if not words:
        return [()]
    by_name = tuple(StringCriterion("name", "contains", (word,)) for word in words)
    return [by_name, (TokenCriterion("identifier", (TokenValue(None, text),)),)]


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
