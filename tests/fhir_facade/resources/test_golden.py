"""The golden files: FHIR per upstream record, valid by both gates, references that resolve."""

from collections import Counter

import pytest

from fhir_facade.fhir.references import iter_references
from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.upstream.qubs_words import STATUSES
from tests.support import golden_qubs

CASES = golden_qubs.cases()


@pytest.mark.parametrize("case", CASES)
def test_the_records_map_to_the_golden_fhir(case):
    assert golden_qubs.mapped(case) == golden_qubs.expected(case)


@pytest.mark.parametrize("case", CASES)
def test_the_golden_fhir_is_valid_by_both_gates(case):
    golden = golden_qubs.expected(case)
    for resource in (*golden["resources"], *filter(None, golden["provenance"])):
        assert fast_check(resource) == []
        assert deep_check(resource) == []


def test_every_reference_between_golden_resources_resolves():
    resources = list(golden_qubs.all_resources())
    there = {f"{r['resourceType']}/{r['id']}" for r in resources}
    assert {ref for r in resources for ref in iter_references(r)} <= there


def test_ids_are_unique():
    counts = Counter((r["resourceType"], r["id"]) for r in golden_qubs.all_resources())
    assert set(counts.values()) == {1}


def test_profiles_claimed_are_those_declared():
    for resource in golden_qubs.all_resources():
        claimed = resource.get("meta", {}).get("profile", [])
        assert set(claimed) <= set(REGISTRY[resource["resourceType"]].profiles)


def test_the_cases_cover_every_mapped_type():
    types = {r["resourceType"] for r in golden_qubs.all_resources()}
    stored = {name for name, definition in REGISTRY.items() if definition.stored}
    assert types == stored - {"Group", "Provenance"}
    assert len(CASES) == len(list(golden_qubs.FOLDER.glob("*.fhir.json"))) > len(STATUSES)
