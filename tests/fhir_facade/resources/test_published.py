"""What is published of our own: valid, found by its URL, and all that resources use of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from fhir_facade.fhir.systems import CANONICAL_BASE, QUBS_APPOINTMENT_STATUS
from fhir_facade.fhir.validation import deep_check, fast_check
from fhir_facade.resources.group import GroupFacts, GroupMember, group_resource
from fhir_facade.resources.published import published
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.search_parameter import fhirpath
from tests.support import golden_qubs
from tests.support.qubs_records import BASE

PUBLISHED = published(BASE)
ALL = [resource for resources in PUBLISHED.values() for resource in resources]
BY_URL = {resource["url"]: resource for resource in ALL}
CODE_SYSTEMS = {one["url"]: one for one in PUBLISHED["CodeSystem"]}
GROUP = group_resource(GroupFacts("g", "All", True, "site: North", 1), [GroupMember("qubs-1")])


def served() -> list[dict[str, Any]]:
    """A full sync of the golden records, Provenances too, and a group found by a rule."""
    found = list(golden_qubs.all_resources())
    for case in golden_qubs.cases():
        found += filter(None, golden_qubs.expected(case)["provenance"])
    return [*found, GROUP]


SERVED = served()


def nodes(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object with the path of the element it is."""
    if isinstance(node, list):
        for one in node:
            yield from nodes(one, path)
    elif isinstance(node, dict):
        yield path, node
        for name, value in node.items():
            yield from nodes(value, f"{path}.{name.removeprefix('_')}")


def extensions() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every outermost extension of ours, and the element that carries it."""
    for resource in SERVED:
        for path, node in nodes(resource, resource["resourceType"]):
            for one in node.get("extension", ()):
                if one["url"].startswith(CANONICAL_BASE):
                    yield path, one


def codings() -> Iterator[tuple[str, str]]:
    """System and code of every coding of ours."""
    for resource in SERVED:
        for _, node in nodes(resource, ""):
            system = node.get("system", "")
            ours = system.startswith((CANONICAL_BASE, BASE))
            if ours and "code" in node and "value" not in node:
                yield system, node["code"]


def problems(definition: dict[str, Any], extension: dict[str, Any]) -> Iterator[str]:
    """What an extension does that its definition does not allow."""
    elements = {one["id"]: one for one in definition["differential"]["element"]}
    plain = elements["Extension.value[x]"].get("max") != "0"
    if plain:
        yield from value_problems(elements["Extension.value[x]"], extension)
        return
    slices = {one["sliceName"]: one for one in elements.values() if "sliceName" in one}
    parts = {part["url"]: part for part in extension["extension"]}
    if len(parts) < len(extension["extension"]):
        yield "a part comes twice"
    for name in set(parts) - set(slices):
        yield f"{name} is not defined"
    for name, one in slices.items():
        if name in parts:
            yield from value_problems(elements[f"{one['id']}.value[x]"], parts[name])
        elif one["min"]:
            yield f"{name} is missing"


def value_problems(element: dict[str, Any], extension: dict[str, Any]) -> Iterator[str]:
    kinds = {f"value{one['code'][0].upper()}{one['code'][1:]}" for one in element["type"]}
    if not kinds & set(extension):
        yield f"{extension['url']} has a value of another type"


@pytest.mark.parametrize("resource", ALL, ids=lambda r: f"{r['resourceType']}-{r['id']}")
def test_each_is_valid_by_both_gates_and_named_for_programs(resource: dict[str, Any]) -> None:
    assert fast_check(resource) == []
    assert deep_check(resource) == []
    assert re.fullmatch("[A-Z][A-Za-z0-9_]{0,254}", resource["name"])
    assert resource["status"] == "active"
    assert resource["version"]
    assert resource["description"]


def test_urls_and_ids_are_unique_and_every_type_is_in_the_registry() -> None:
    assert len(BY_URL) == len(ALL)
    assert len({(one["resourceType"], one["id"]) for one in ALL}) == len(ALL)
    unstored = {name for name, one in REGISTRY.items() if not one.stored}
    assert set(PUBLISHED) == unstored - {"AuditEvent"}
    for name, resources in PUBLISHED.items():
        assert resources
        assert {one["resourceType"] for one in resources} == {name}


def test_every_extension_of_a_sync_is_published_and_kept() -> None:
    found = list(extensions())
    used = {one["url"].rpartition("/")[2] for _, one in found}
    manifest = {"export-file-size", "export-file-sha256"}
    assert used | manifest | {"tenant-time-zone"} == {
        one["id"] for one in PUBLISHED["StructureDefinition"]
    }
    for path, extension in found:
        definition = BY_URL[extension["url"]]
        assert path in {context["expression"] for context in definition["context"]}
        assert list(problems(definition, extension)) == []


def test_the_check_of_extensions_can_fail() -> None:
    room = BY_URL[f"{CANONICAL_BASE}/StructureDefinition/room"]
    assert list(problems(room, {"url": "room", "valueInteger": 1}))
    record = BY_URL[f"{CANONICAL_BASE}/StructureDefinition/source-record"]
    parts = [{"url": "system", "valueString": "x"}, {"url": "colour", "valueString": "y"}]
    assert set(problems(record, {"url": "source-record", "extension": parts})) == {
        "colour is not defined",
        *(f"{name} is missing" for name in ("view", "key", "mappingVersion", "hash")),
    }


def test_every_code_system_of_a_sync_is_published_and_so_is_each_known_code() -> None:
    used = set(codings())
    assert {system for system, _ in used} <= set(CODE_SYSTEMS)
    unknown = set()
    for system, code in used:
        one = CODE_SYSTEMS[system]
        codes = {concept["code"] for concept in one.get("concept", ())}
        if one["content"] == "complete":
            assert code in codes
        elif one["content"] == "fragment" and code not in codes:
            unknown.add((system.rpartition("/")[2], code))
        else:
            assert (one["content"] == "not-present") != bool(codes)
    # Golden cases of codes that QUBS might add.
    assert {system for system, _ in unknown} <= {
        "qubs-appointment-status",
        "qubs-attachment-category",
    }
    assert len(unknown) <= 3


def test_every_code_has_a_display() -> None:
    for one in PUBLISHED["CodeSystem"]:
        assert all(concept["display"] for concept in one.get("concept", ()))
        assert one.get("count", 0) == len(one.get("concept", ()))


def test_each_code_system_has_its_value_set() -> None:
    for one in PUBLISHED["CodeSystem"]:
        value_set = BY_URL[one["valueSet"]]
        assert value_set["compose"]["include"] == [{"system": one["url"]}]


def test_concept_maps_lead_from_what_is_published() -> None:
    for one in PUBLISHED["ConceptMap"]:
        (group,) = one["group"]
        source = CODE_SYSTEMS[group["source"]]
        assert one["sourceCanonical"] == source["valueSet"]
        codes = {concept["code"] for concept in source["concept"]}
        assert {element["code"] for element in group["element"]} == codes


def test_bindings_lead_to_what_is_published() -> None:
    bound = {
        element["binding"]["valueSet"]
        for one in PUBLISHED["StructureDefinition"]
        for element in one["differential"]["element"]
        if "binding" in element
    }
    assert len(bound) == 2
    assert bound <= set(BY_URL)


def test_our_own_parameters_are_published_and_no_other() -> None:
    own = {
        (definition.type, parameter.name): parameter.definition
        for definition in REGISTRY.values()
        for parameter in definition.search
        if not parameter.definition.startswith("http://hl7.org/")
    }
    assert own == {
        (one["base"][0], one["code"]): one["url"] for one in PUBLISHED["SearchParameter"]
    }
    assert ("AuditEvent", "correlation-id") in own


@pytest.mark.parametrize(
    ("path", "expression"),
    [
        ("entity.what.identifier", "AuditEvent.entity.what.identifier"),
        ("telecom(system=phone)", "AuditEvent.telecom.where(system='phone')"),
        ("effective[x]", "AuditEvent.effective"),
        ("deceased[x].exists()", "AuditEvent.deceased.exists()"),
    ],
)
def test_paths_become_fhirpath(path: str, expression: str) -> None:
    assert fhirpath("AuditEvent", path) == expression


def test_tenants_have_their_own_exam_codes_and_share_the_rest() -> None:
    other = {one["url"] for resources in published(f"{BASE}2").values() for one in resources}
    differing = {url for url in set(BY_URL) - other if "ConceptMap" not in url}
    assert differing == {f"{BASE}/sid/qubs-exam-code", f"{BASE}/ValueSet/qubs-exam-code"}
    assert QUBS_APPOINTMENT_STATUS in other
