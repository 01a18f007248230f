"""Every search parameter of base R4 and US Core for our types: declared, or known to be out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_facade.resources.registry import REGISTRY

LISTED = json.loads(
    (Path(__file__).parents[2] / "support/r4_search_parameters.json").read_text(encoding="utf-8")
)
"""Type → name → [parameter type, last part of the URL], from R4 search-parameters.json; types that
are not served yet among them."""
BASE = "http://hl7.org/fhir/SearchParameter/"
US_CORE_BASE = "http://hl7.org/fhir/us/core/SearchParameter/us-core-"

NOT_TOLD = "no upstream tells it"
NOT_SERVED = "its targets are not served"
COMPOSITE = "composite parameters are not served"
PHONETIC = "needs an algorithm bound to a language"
NOT_KEPT = "the audit trail does not keep it"
ONE_OBSERVER = "every event of a tenant has the same"
NO_CONTEXT = "what we publish is for any context"
CANONICAL = "ours are canonicals: found by source and target"
EVERYWHERE = {
    "_content": "there is no full-text index",
    "_id": "every type has it, without a declaration",
    "_lastUpdated": "every type has it, without a declaration",
    "_query": "there are no named queries",
    "_security": "no resource carries labels",
    "_source": "no resource carries it; Provenance names the source",
    "_tag": "no resource carries tags",
    "_text": "no resource carries a narrative",
}
ANY_CONTEXT = {
    "context": NO_CONTEXT,
    "context-quantity": NO_CONTEXT,
    "context-type": NO_CONTEXT,
    "context-type-quantity": COMPOSITE,
    "context-type-value": COMPOSITE,
    "jurisdiction": "what we publish is for any jurisdiction",
}
LEFT_OUT: dict[str, dict[str, str]] = {
    "Appointment": {
        "based-on": NOT_SERVED,
        "reason-reference": NOT_SERVED,
        "slot": NOT_SERVED,
        "supporting-info": NOT_TOLD,
    },
    "AuditEvent": {
        "address": NOT_KEPT,
        "agent-name": NOT_KEPT,
        "agent-role": "agents are told apart by their type",
        "entity-name": NOT_KEPT,
        "entity-role": "follows from entity-type",
        "policy": NOT_KEPT,
        "site": ONE_OBSERVER,
        "source": ONE_OBSERVER,
    },
    "Binary": {},
    "CodeSystem": {**ANY_CONTEXT, "supplements": "ours supplement no other"},
    "ConceptMap": {
        **ANY_CONTEXT,
        "dependson": "no element of our maps depends on another",
        "other": "our maps name no other map",
        "product": "our maps have no further products",
        "source-uri": CANONICAL,
        "target-uri": CANONICAL,
    },
    "DiagnosticReport": {
        "based-on": NOT_SERVED,
        "encounter": NOT_SERVED,
        "media": NOT_SERVED,
        "result": NOT_SERVED,
        "specimen": NOT_SERVED,
    },
    "DocumentReference": {"encounter": NOT_SERVED, "relationship": COMPOSITE},
    "Group": {"characteristic-value": COMPOSITE},
    "Location": {"endpoint": NOT_SERVED, "near": "no upstream gives a position"},
    "OperationDefinition": {
        **ANY_CONTEXT,
        "input-profile": "ours have no profiles of their parameters",
        "output-profile": "ours have no profiles of their parameters",
    },
    "Organization": {"endpoint": NOT_SERVED, "phonetic": PHONETIC},
    "Patient": {"phonetic": PHONETIC},
    "Practitioner": {"phonetic": PHONETIC},
    "Provenance": {},
    "SearchParameter": {
        **ANY_CONTEXT,
        "component": "ours have no components",
        "derived-from": "ours are derived from no other",
    },
    "StructureDefinition": {
        **ANY_CONTEXT,
        "valueset": "ours have no snapshot",
    },
    "ValueSet": ANY_CONTEXT,
}
OWN = {("AuditEvent", "correlation-id")}
CLAIMING = {name for name, definition in REGISTRY.items() if definition.profiles}
SERVED_TYPES = {"token", "string", "date", "reference", "uri", "number", "quantity"}
ALL = [(kind, name) for kind in sorted(REGISTRY) for name in sorted(LISTED.get(kind, {}))]


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_a_parameter_of_r4_is_declared_or_left_out_for_a_reason(kind: str, name: str) -> None:
    parameter = REGISTRY[kind].parameter(name)
    assert (parameter is None) == (name in LEFT_OUT[kind])
    if parameter is None:
        return
    r4_type, url = LISTED[kind][name]
    assert parameter.type == r4_type
    if not parameter.definition.startswith(US_CORE_BASE):
        assert parameter.definition == BASE + url
    else:
        assert parameter.definition == f"{US_CORE_BASE}{kind.lower()}-{name}"


@pytest.mark.parametrize("kind", sorted(REGISTRY))
def test_nothing_else_is_declared_and_nothing_unknown_left_out(kind: str) -> None:
    declared = {p.name for p in REGISTRY[kind].search if (kind, p.name) not in OWN}
    assert declared - {"_profile"} <= set(LISTED.get(kind, {}))
    assert ("_profile" in declared) == (kind in CLAIMING)
    assert set(LEFT_OUT[kind]) <= set(LISTED.get(kind, {}))


def test_the_parameters_of_every_type_are_declared_or_left_out() -> None:
    common = {**LISTED["Resource"], **LISTED["DomainResource"]}
    assert set(common) == set(EVERYWHERE) | {"_profile"}
    assert CLAIMING
    for name in CLAIMING:
        profile = REGISTRY[name].parameter("_profile")
        assert profile is not None
        assert [profile.type, profile.definition] == ["uri", f"{BASE}Resource-profile"]


def test_what_is_left_out_for_its_type_is_of_such_a_type() -> None:
    composites = {
        (kind, name)
        for kind in REGISTRY
        for name, (r4_type, _) in LISTED.get(kind, {}).items()
        if r4_type not in SERVED_TYPES
    }
    named = {
        (kind, name)
        for kind, names in LEFT_OUT.items()
        for name in names
        if names[name] == COMPOSITE
    }
    assert composites == named | {("Location", "near")}


def test_references_lead_only_to_what_is_served_and_say_all_of_it() -> None:
    """A parameter that is left out for its targets has none among our types."""
    leading = {
        ("Appointment", "based-on"): {"ServiceRequest"},
        ("Appointment", "reason-reference"): {
            "Condition",
            "ImmunizationRecommendation",
            "Observation",
            "Procedure",
        },
        ("Appointment", "slot"): {"Slot"},
        ("DiagnosticReport", "based-on"): {
            "CarePlan",
            "ImmunizationRecommendation",
            "MedicationRequest",
            "NutritionOrder",
            "ServiceRequest",
        },
        ("DiagnosticReport", "encounter"): {"Encounter", "EpisodeOfCare"},
        ("DiagnosticReport", "media"): {"Media"},
        ("DiagnosticReport", "result"): {"Observation"},
        ("DiagnosticReport", "specimen"): {"Specimen"},
        ("DocumentReference", "encounter"): {"Encounter", "EpisodeOfCare"},
        ("Location", "endpoint"): {"Endpoint"},
        ("Organization", "endpoint"): {"Endpoint"},
    }
    assert set(leading) == {
        (kind, name)
        for kind, names in LEFT_OUT.items()
        for name, reason in names.items()
        if reason == NOT_SERVED
    }
    for place, targets in leading.items():
        assert not targets & set(REGISTRY), place
