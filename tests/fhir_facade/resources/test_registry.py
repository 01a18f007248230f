"""The registry: every type and parameter is complete, canonical, and named in the documents."""

import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.policy import ReachClass
from fhir_facade.resources.element_path import compile_path
from fhir_facade.resources.extract import index_values, patients_of
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.resources.terminology import BUILT_IN
from fhir_facade.resources.version import MAPPING_VERSION
from fhir_facade.upstream.qubs_words import STATUSES
from tests.support.golden_qubs import all_resources

MAPPING = (Path(__file__).parents[3] / "docs/mapping/qubs.md").read_text(encoding="utf-8")
PARAMETERS = [(d, p) for d in REGISTRY.values() for p in d.search]
CANONICAL = re.compile(
    r"http://hl7\.org/fhir/SearchParameter/[A-Za-z]+-[a-z-]+"
    r"|http://hl7\.org/fhir/us/core/SearchParameter/us-core-[a-z-]+"
    r"|https://fhir-facade\.dev/fhir/SearchParameter/AuditEvent-correlation-id"
)

# What US Core 3.1.1 and 6.1.0 name in their server CapabilityStatements, `_id` left out.
US_CORE = {
    "DiagnosticReport": "status patient category code date",
    "Location": "name address address-city address-state address-postalcode",
    "Organization": "name address",
    "Patient": "birthdate death-date family gender given identifier name",
    "Practitioner": "name identifier",
}


@pytest.mark.parametrize(
    ("definition", "parameter"), PARAMETERS, ids=lambda x: getattr(x, "name", None) or x.type
)
def test_a_parameter_is_complete(definition, parameter):
    assert CANONICAL.fullmatch(parameter.definition)
    for path in parameter.paths:
        compile_path(path)
    assert (parameter.kind == "reference") == bool(parameter.targets)
    assert set(parameter.targets) <= set(REGISTRY)


@pytest.mark.parametrize("definition", list(REGISTRY.values()), ids=lambda d: d.type)
def test_a_type_is_complete(definition):
    assert is_r4_type(definition.type)
    names = [p.name for p in definition.search]
    assert len(names) == len(set(names))
    references = [f"{definition.type}:{p.name}" for p in definition.search if p.type == "reference"]
    assert list(definition.includes) == (references if definition.stored else [])
    assert (definition.reach is ReachClass.PATIENT) == bool(definition.patient_paths)


@pytest.mark.parametrize("resource_type", sorted(US_CORE))
def test_the_parameters_of_us_core_are_served(resource_type):
    served = {p.name for p in REGISTRY[resource_type].search}
    assert set(US_CORE[resource_type].split()) <= served


def test_every_mapped_resource_can_be_indexed_and_linked_ones_belong_to_their_patient():
    for resource in all_resources():
        definition = REGISTRY[resource["resourceType"]]
        values = index_values(definition, resource, ZoneInfo("Australia/Sydney"))
        params = {row.param for rows in vars(values).values() for row in rows}
        assert ("identifier" in params) == (definition.type != "Binary")
        patients = patients_of(definition, resource)
        if "patient" in params:
            assert [f"Patient/{p}" for p in patients] == [
                f"{row.target_type}/{row.target_id}"
                for row in values.references
                if row.param == "patient"
            ]
        elif definition.type == "Patient":
            assert patients == (resource["id"],)
        else:
            assert patients == ()


@pytest.mark.parametrize("table", list(BUILT_IN), ids=lambda t: t.id)
def test_each_table_is_documented_with_its_default(table):
    assert f"`{table.id}`" in MAPPING
    assert f"`{table.default}`" in MAPPING or table.default is None


@pytest.mark.parametrize("status", STATUSES)
def test_the_documented_statuses_are_those_of_the_tables(status):
    row = re.search(rf"^\| `{status}` \| `(\S+)` \| (\S+) \|", MAPPING, re.MULTILINE)
    assert row is not None
    report, _ = BUILT_IN.report_status.lookup(status)
    assert row[1] == BUILT_IN.appointment_status.lookup(status)[0]
    assert row[2] == (f"`{report}`" if report else "-")


def test_the_documented_mapping_version_is_the_present_one():
    assert f"Mapping version: `{MAPPING_VERSION}`" in MAPPING
