"""The two gates over one corpus: both accept what is valid, and the fast one rejects what the
authority does.
"""

import copy
import json
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_facade.fhir.validation import FAST_TYPES, Problem, Validator, deep_check, fast_check
from fhir_facade.fhir.validation.deep import model_problems
from tests.support.fhir_corpus import (
    ABSENT,
    APPOINTMENT,
    APPOINTMENT_WITHOUT_TIME,
    DIAGNOSTIC_REPORT,
    PATIENT,
    VALID,
)

Resource = dict[str, Any]
REMOVE = object()


def name_of(resource: Resource) -> str:
    return f"{resource['resourceType']}-{resource.get('id')}"


def changed(resource: Resource, path: str, value: object) -> Resource:
    """A copy with one element set or removed; `path` is dotted, numbers are list places."""
    made = copy.deepcopy(resource)
    node: Any = made
    *way, last = path.split(".")
    for step in way:
        node = node[int(step) if step.isdigit() else step]
    if value is REMOVE:
        del node[last]
    elif isinstance(node, list):
        node[int(last)] = value
    else:
        node[last] = value
    return made


def example(type_name: str) -> Resource:
    return next(r for r in VALID if r["resourceType"] == type_name)


def test_the_corpus_has_every_type() -> None:
    assert {resource["resourceType"] for resource in VALID} == set(FAST_TYPES)


@pytest.mark.parametrize("resource", VALID, ids=name_of)
def test_both_gates_accept_what_is_valid_and_leave_it_alone(resource: Resource) -> None:
    before = copy.deepcopy(resource)
    assert fast_check(resource) == []
    assert deep_check(resource) == []
    assert resource == before


STRUCTURE = example("StructureDefinition")
ELEMENT = "StructureDefinition.differential.element"
FILTER = {"property": "x", "op": "=", "value": "y"}
CONSTRAINT = {"key": "x-1", "severity": "error", "human": "It must."}
DEFECTS: list[tuple[Resource, str, object, str]] = [
    (PATIENT, "bogus", 1, "Patient"),
    (PATIENT, "identifier.0.type.coding.0.bogus", 1, "Patient.identifier[0].type.coding[0]"),
    (PATIENT, "gender", "none", "Patient.gender"),
    (PATIENT, "identifier.0.use", "nope", "Patient.identifier[0].use"),
    (PATIENT, "name.0.use", "nick", "Patient.name[0].use"),
    (PATIENT, "telecom.0.system", "telex", "Patient.telecom[0].system"),
    (PATIENT, "address.0.use", "mobile", "Patient.address[0].use"),
    (PATIENT, "contact.0.gender", "M", "Patient.contact[0].gender"),
    (PATIENT, "name", {"family": "x"}, "Patient.name"),
    (PATIENT, "birthDate", ["1990-01-01"], "Patient.birthDate"),
    (PATIENT, "birthDate", "1990-13-45", "Patient.birthDate"),
    (PATIENT, "birthDate", "1990-02-31", "Patient.birthDate"),
    (PATIENT, "birthDate", "1900-02-29", "Patient.birthDate"),
    (PATIENT, "birthDate", "0000-01-01", "Patient.birthDate"),
    (PATIENT, "birthDate", "1990-01-01T00:00:00Z", "Patient.birthDate"),
    (PATIENT, "meta.lastUpdated", "2024-05-14T08:30:00", "Patient.meta.lastUpdated"),
    (PATIENT, "meta.lastUpdated", "2024-05-14T24:00:00Z", "Patient.meta.lastUpdated"),
    (PATIENT, "meta.lastUpdated", "2024-05-14T08:30:00+14:30", "Patient.meta.lastUpdated"),
    (PATIENT, "id", "a b", "Patient.id"),
    (PATIENT, "id", "a_b", "Patient.id"),
    (PATIENT, "id", "a" * 65, "Patient.id"),
    (PATIENT, "name.0.family", "", "Patient.name[0].family"),
    (PATIENT, "name.0.family", " \n", "Patient.name[0].family"),
    (PATIENT, "birthDate", None, "Patient.birthDate"),
    (PATIENT, "telecom", [], "Patient.telecom"),
    (PATIENT, "maritalStatus", {}, "Patient.maritalStatus"),
    (PATIENT, "maritalStatus", {"id": "x"}, "Patient.maritalStatus"),
    (PATIENT, "name.0.given", [5], "Patient.name[0].given[0]"),
    (PATIENT, "address.0.line", ["x", None], "Patient.address[0]"),
    (PATIENT, "active", "yes", "Patient.active"),
    (PATIENT, "active", 1, "Patient.active"),
    (PATIENT, "deceasedDateTime", "2020-01-01", "Patient"),
    (PATIENT, "_deceasedDateTime", ABSENT, "Patient"),
    (PATIENT, "extension.0.valueString", "x", "Patient.extension[0]"),
    (PATIENT, "extension.0.extension", REMOVE, "Patient.extension[0]"),
    (PATIENT, "extension.0.url", REMOVE, "Patient.extension[0]"),
    (PATIENT, "extension.0.extension.1.valueCode", "x", "Patient.extension[0].extension[1]"),
    (PATIENT, "managingOrganization.reference", "not one", ""),
    (PATIENT, "managingOrganization.reference", "Device/1", ""),
    (PATIENT, "managingOrganization.reference", "Organization/a/_history/", ""),
    (PATIENT, "generalPractitioner.0.reference", "Patient/1", ""),
    (PATIENT, "link.0.type", REMOVE, "Patient.link[0]"),
    (PATIENT, "contact.0", {"gender": "male"}, "Patient.contact[0]"),
    (PATIENT, "telecom.0.system", REMOVE, "Patient.telecom[0]"),
    (PATIENT, "multipleBirthInteger", 2.0, "Patient.multipleBirthInteger"),
    (PATIENT, "multipleBirthInteger", 2**31, "Patient.multipleBirthInteger"),
    (PATIENT, "contained", [{"resourceType": "Flag", "id": "f"}], ""),
    (PATIENT, "text.div", "<div>no namespace</div>", "Patient.text.div"),
    (PATIENT, "text.status", "made", "Patient.text.status"),
    (PATIENT, "fhir_comments", "x", "Patient"),
    (APPOINTMENT, "status", REMOVE, "Appointment"),
    (APPOINTMENT, "status", "done", "Appointment.status"),
    (APPOINTMENT, "participant", REMOVE, "Appointment"),
    (APPOINTMENT, "participant.0.status", REMOVE, "Appointment.participant[0]"),
    (APPOINTMENT, "participant.0.required", "maybe", "Appointment.participant[0].required"),
    (APPOINTMENT, "participant.0.actor", REMOVE, "Appointment.participant[0]"),
    (APPOINTMENT, "minutesDuration", 0, "Appointment.minutesDuration"),
    (APPOINTMENT, "minutesDuration", 1.5, "Appointment.minutesDuration"),
    (APPOINTMENT, "start", "2024-06-01", "Appointment.start"),
    (APPOINTMENT, "end", REMOVE, "Appointment"),
    (APPOINTMENT, "cancelationReason", {"text": "x"}, "Appointment.status"),
    (APPOINTMENT, "reasonCode.0.text", 5, "Appointment.reasonCode[0].text"),
    (APPOINTMENT, "requestedPeriod.0.end", "2026-09-30", "Appointment.requestedPeriod"),
    (APPOINTMENT_WITHOUT_TIME, "_start", REMOVE, "Appointment"),
    (APPOINTMENT_WITHOUT_TIME, "_start", {}, "Appointment._start"),
    (DIAGNOSTIC_REPORT, "code", REMOVE, "DiagnosticReport"),
    (DIAGNOSTIC_REPORT, "status", "done", "DiagnosticReport.status"),
    (DIAGNOSTIC_REPORT, "issued", "2024-06-01", "DiagnosticReport.issued"),
    (DIAGNOSTIC_REPORT, "resourceType", "Patient", ""),
    (DIAGNOSTIC_REPORT, "subject.reference", "Organization/1", ""),
    (DIAGNOSTIC_REPORT, "presentedForm.0.data", "a", ""),
    (DIAGNOSTIC_REPORT, "presentedForm.0.contentType", " x", ""),
    (DIAGNOSTIC_REPORT, "presentedForm.0.url", "no url", ""),
    (DIAGNOSTIC_REPORT, "effectivePeriod.end", "2026-10-02", "DiagnosticReport.effectivePeriod"),
    (DIAGNOSTIC_REPORT, "conclusion", "x" * (1024 * 1024 + 1), "DiagnosticReport.conclusion"),
    (example("Organization"), "name", REMOVE, "Organization"),
    (example("Organization"), "telecom.0.use", "home", "Organization.telecom[0]"),
    (example("Location"), "mode", "both", "Location.mode"),
    (example("Location"), "position.latitude", "-33.8", ""),
    (example("Location"), "hoursOfOperation.0.daysOfWeek.1", "tuesday", ""),
    (example("Location"), "hoursOfOperation.0.openingTime", "8:00:00", ""),
    (example("Group"), "actual", False, "Group.actual"),
    (example("Group"), "type", "people", "Group.type"),
    (example("Group"), "member.0.entity.reference", "RelatedPerson/1", ""),
    (example("Group"), "characteristic.0.valueBoolean", REMOVE, "Group.characteristic[0]"),
    (example("ConceptMap"), "group.0.element.0.target.1.comment", REMOVE, ""),
    (example("ConceptMap"), "group.0.element.0.target.0.equivalence", "same", ""),
    (example("ConceptMap"), "group.0.unmapped.code", REMOVE, "ConceptMap.group[0].unmapped"),
    (example("ConceptMap"), "status", REMOVE, "ConceptMap"),
    (example("Provenance"), "agent.0.who", REMOVE, "Provenance.agent[0]"),
    (example("Provenance"), "recorded", REMOVE, "Provenance"),
    (example("Encounter"), "length.system", REMOVE, "Encounter.length"),
    (example("Encounter"), "class", REMOVE, "Encounter"),
    (example("ServiceRequest"), "code", REMOVE, "ServiceRequest"),
    (example("ServiceRequest"), "quantityRatio.denominator", REMOVE, ""),
    (example("ServiceRequest"), "occurrenceTiming.repeat.periodUnit", REMOVE, ""),
    (example("Task"), "lastModified", "2026-10-03T00:00:00Z", "Task"),
    (example("Task"), "intent", "wish", "Task.intent"),
    (example("Binary"), "data", "aGVsbG8", "Binary.data"),
    (example("Observation"), "dataAbsentReason", {"text": "x"}, "Observation"),
    (example("Observation"), "component.0.code.coding.0.code", "a", "Observation"),
    (example("Observation"), "valueQuantity.system", REMOVE, "Observation.valueQuantity"),
    (example("Observation"), "referenceRange.0", {"age": {"low": {"value": 1}}}, ""),
    (example("Condition"), "clinicalStatus.coding.0.code", "recurrence", "Condition"),
    (example("Condition"), "contained.0.id", "q", ""),
    (example("Condition"), "contained.0.meta", {"versionId": "1"}, "Condition.contained[0]"),
    (example("Condition"), "contained.0.gender", "x", "Condition.contained[0].Patient.gender"),
    (example("Bundle"), "entry.0.resource.status", "x", ""),
    (example("Bundle"), "entry.0.fullUrl", "https://h/F/f/_history/1", ""),
    (example("Bundle"), "type", "collection", ""),
    (example("Parameters"), "parameter.1.resource.code", REMOVE, ""),
    (example("Parameters"), "parameter.0.part", [{"name": "x", "valueCode": "y"}], ""),
    (example("CapabilityStatement"), "implementation", REMOVE, "CapabilityStatement"),
    (example("CapabilityStatement"), "fhirVersion", "4.3.0", "CapabilityStatement.fhirVersion"),
    (example("CapabilityStatement"), "rest.0.resource.0.type", "Ingredient", ""),
    (example("OperationOutcome"), "issue.0.code", "bad", "OperationOutcome.issue[0].code"),
    (example("CodeSystem"), "concept.0.concept.0.code", "c", "CodeSystem.concept"),
    (example("CodeSystem"), "content", "most", "CodeSystem.content"),
    (example("ValueSet"), "compose.include.0.system", REMOVE, "ValueSet.compose.include[0]"),
    (example("ValueSet"), "compose.include.0.filter", [FILTER], "ValueSet.compose.include[0]"),
    (example("ValueSet"), "expansion.contains.0.system", REMOVE, ""),
    (example("ValueSet"), "expansion.contains.0.code", REMOVE, ""),
    (example("SearchParameter"), "xpathUsage", REMOVE, "SearchParameter"),
    (example("SearchParameter"), "type", "token", "SearchParameter.type"),
    (example("SearchParameter"), "base.0", "Ingredient", "SearchParameter.base[0]"),
    (example("OperationDefinition"), "parameter.0.type", REMOVE, ""),
    (example("OperationDefinition"), "parameter.1.type", "string", ""),
    (example("OperationDefinition"), "parameter.1.searchType", "date", ""),
    (example("OperationDefinition"), "resource.0", "Colour", "OperationDefinition.resource[0]"),
    (STRUCTURE, "baseDefinition", REMOVE, "StructureDefinition"),
    (STRUCTURE, "context", REMOVE, "StructureDefinition"),
    (STRUCTURE, "differential", REMOVE, "StructureDefinition"),
    (STRUCTURE, "type", "Patient", "StructureDefinition.differential"),
    (STRUCTURE, "mapping", [{"identity": "x"}], "StructureDefinition.mapping[0]"),
    (STRUCTURE, "snapshot", {"element": [{"id": "Extension", "path": "Extension"}]}, ""),
    (STRUCTURE, "differential.element.0.id", REMOVE, "StructureDefinition.differential"),
    (STRUCTURE, "differential.element.1.id", "Extension", "StructureDefinition.differential"),
    (STRUCTURE, "differential.element.1.path", "Patient.url", "StructureDefinition.differential"),
    (STRUCTURE, "differential.element.0.requirements", "None", f"{ELEMENT}[0]"),
    (STRUCTURE, "differential.element.0.sliceName", "x", f"{ELEMENT}[0]"),
    (STRUCTURE, "differential.element.0.type", [{"code": "Extension"}], f"{ELEMENT}[0]"),
    (STRUCTURE, "differential.element.0.min", 2, f"{ELEMENT}[0]"),
    (STRUCTURE, "differential.element.0.max", "many", ""),
    (STRUCTURE, "differential.element.0.sliceIsConstraining", True, ""),
    (STRUCTURE, "differential.element.1.type", [{"code": "uri"}, {"code": "url"}], ""),
    (STRUCTURE, "differential.element.1.patternUri", "x", f"{ELEMENT}[1]"),
    (STRUCTURE, "differential.element.2.type", [{"code": "date"}], f"{ELEMENT}[2]"),
    (STRUCTURE, "differential.element.2.type", [{"code": "Coding"}] * 2, f"{ELEMENT}[2]"),
    (STRUCTURE, "differential.element.2.type.0.targetProfile", ["http://x"], ""),
    (STRUCTURE, "differential.element.2.type.0.aggregation", ["bundled"], ""),
    (STRUCTURE, "differential.element.2.binding.valueSet", "x:y", ""),
    (STRUCTURE, "differential.element.2.isModifierReason", REMOVE, ""),
    (STRUCTURE, "differential.element.2.contentReference", "#x", ""),
    (STRUCTURE, "differential.element.2.slicing", {"rules": "open"}, ""),
    (STRUCTURE, "differential.element.2.constraint", [CONSTRAINT] * 2, f"{ELEMENT}[2]"),
]


@pytest.mark.parametrize(
    ("resource", "path", "value", "expression"),
    DEFECTS,
    ids=[f"{d[0]['resourceType']}-{d[1]}-{n}" for n, d in enumerate(DEFECTS)],
)
def test_both_gates_reject_each_single_defect(
    resource: Resource, path: str, value: object, expression: str
) -> None:
    defective = changed(resource, path, value)
    problems = fast_check(defective)
    assert problems
    assert deep_check(defective)
    if expression:
        assert expression in {problem.expression for problem in problems}
    for problem in problems:
        assert problem.message
        if isinstance(value, str) and len(value) > 4:
            assert value not in problem.message


def test_problems_name_the_rule_and_hold_no_value() -> None:
    defective = changed(changed(PATIENT, "name.0.family", 12345678), "birthDate", "31.12.1999")
    defective["Sekret"] = "Sekret"
    problems = fast_check(defective)
    assert Problem(
        "Patient.birthDate", "value", "must be a date: YYYY, YYYY-MM or YYYY-MM-DD"
    ) in set(problems)
    text = repr(problems + deep_check(defective))
    assert not any(value in text for value in ("12345678", "31.12.1999", "Sekret"))
    (problem,) = fast_check(changed(APPOINTMENT, "end", REMOVE))
    assert (problem.code, problem.message[:6]) == ("invariant", "app-2:")
    (problem,) = fast_check(changed(APPOINTMENT, "status", REMOVE))
    assert (problem.code, problem.message) == ("required", "status is required")


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": None},
        {"resourceType": ["Patient"]},
        {"resourceType": "Nonsense"},
        {"resourceType": "Patient", "active": float("nan")},
        {"resourceType": "Patient", "active": object()},
        {"resourceType": "Patient", "name": [{"family": "\ud800"}]},
        {"resourceType": "Patient", 1: 2},
        {"resourceType": "Patient", "multipleBirthInteger": 2**80},
        {"resourceType": "Patient", "multipleBirthInteger": Decimal("1.0")},
    ],
)
def test_what_is_no_resource_is_a_problem_and_no_exception(resource: Resource) -> None:
    assert fast_check(resource)
    assert deep_check(resource)


def test_deep_check_refuses_types_that_r4b_changed() -> None:
    for type_name in ("Evidence", "MedicinalProduct", "SubstanceProtein"):
        (problem,) = deep_check({"resourceType": type_name})
        assert problem.code == "not-supported"
    assert deep_check({"resourceType": "Ingredient"})[0].code == "structure"


def test_deep_check_knows_types_without_a_fast_schema() -> None:
    slot = {
        "resourceType": "Slot",
        "schedule": {"reference": "Schedule/1"},
        "status": "free",
        "start": "2026-01-01T00:00:00Z",
        "end": "2026-01-01T01:00:00Z",
    }
    assert deep_check(slot) == []
    assert deep_check({**slot, "start": "2026-01-01"})
    assert deep_check({**slot, "comment": ""})
    assert deep_check({**slot, "serviceType": []})


def test_deep_check_looks_at_periods_and_local_references_at_any_depth() -> None:
    late = changed(PATIENT, "identifier.0.period", {"start": "2021", "end": "2020"})
    assert [p.expression for p in deep_check(late)] == ["Patient.identifier[0].period"]
    assert deep_check(changed(PATIENT, "managingOrganization.reference", "#nowhere"))


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="Patient/1">x</a></div>', True),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><img src="data:image/png;base64,x"/></div>', 1),
        ('<div xmlns="http://www.w3.org/1999/xhtml"> <p/></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><p>x</div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><script>x</script></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml" onclick="x">x</div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><a href=" JavaScript:x">x</a></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml"><a href="data:text/html,x">x</a></div>', False),
        ('<div xmlns="http://www.w3.org/1999/xhtml">&nbsp;x</div>', False),
        ('<!DOCTYPE div><div xmlns="http://www.w3.org/1999/xhtml">x</div>', False),
        ("<p>x</p>", False),
    ],
)
def test_narratives(text: str, accepted: bool) -> None:
    assert (fast_check(changed(PATIENT, "text.div", text)) == []) == bool(accepted)


def test_validators_are_compiled_once_per_type() -> None:
    assert Validator.for_type("Patient") is Validator.for_type("Patient")
    with pytest.raises(KeyError):
        Validator.for_type("Slot")


def test_importing_the_gates_loads_neither_models_nor_schemas() -> None:
    code = (
        "import sys, fhir_facade.fhir.validation.fast as fast; import fhir_facade.fhir.validation;"
        "assert not any(name.startswith('fhir.resources') for name in sys.modules);"
        "assert fast._definitions.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """The JSON path of every node but the root."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for step, value in members:
        yield (*path, step)
        if isinstance(value, dict | list):
            yield from places(value, (*path, step))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([2**31, -(2**31) - 1, 0.5, 1e300])
    | st.sampled_from(
        [
            *("", " ", "x", "x y", " x", "2024", "2024-02-30", "2024-06", "2024-06-01", "10:00:00"),
            *("2024-06-01T10:00:00", "2024-06-01T10:00:00Z", "2024-06-01T10:00:00.1+10:00"),
            *("urn:oid:1.2.3", "http://x.example", "http://x.example:99999", "Patient/1", "#x"),
            *("active", "final", "true", "1", "<div/>", "aGk=", "a" * 65, "%%%", "http:", "a:b"),
        ]
    )
    | st.text(max_size=5)
)
VALUES = SCALARS | st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["id", "url", "text", "code", "value"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)


@st.composite
def mutated(draw: st.DrawFn) -> Resource:
    resource: Resource = copy.deepcopy(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(places(resource))))
        node: Any = resource
        for step in path[:-1]:
            node = node[step]
        action = draw(st.sampled_from(["set", "remove", "add"]))
        if action == "set":
            node[path[-1]] = draw(VALUES)
        elif action == "remove":
            del node[path[-1]]
        elif isinstance(node, dict):
            name = draw(st.sampled_from(["id", "extension", "_status", "text", "bogus", "valueX"]))
            node[name] = draw(VALUES)
    return resource


@given(mutated())
def test_what_the_authority_rejects_the_fast_gate_rejects(resource: Resource) -> None:
    type_name = resource.get("resourceType")
    if not isinstance(type_name, str) or type_name not in FAST_TYPES:
        assert fast_check(resource)
        return
    if not fast_check(resource):
        assert list(model_problems(resource, type_name)) == [], json.dumps(resource, default=str)
