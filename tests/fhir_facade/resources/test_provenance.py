"""Provenance and Group: what they name, and that no clock is asked."""

from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.group import GroupFacts, group_resource, listed
from fhir_facade.resources.provenance import Origin, provenance_for
from fhir_facade.resources.qubs import MAPPING_VERSION
from tests.support.qubs_records import BASE, CONTEXT, map_appointment, operational

FIRST = Origin("operational", "A1", 1_795_000_000_000_000, "ab" * 32, "corr-1")
SECOND = Origin("tele-reporting", "A1", 1_795_000_060_500_000, "cd" * 32)


def test_it_names_target_sources_and_mapping():
    appointment = map_appointment(operational()).resources[0]
    provenance = provenance_for(appointment, [FIRST, SECOND], CONTEXT)
    assert deep_check(provenance) == []
    assert provenance["id"] == "Appointment-qubs-A1"
    assert provenance["target"] == [{"reference": "Appointment/qubs-A1"}]
    assert provenance["recorded"] == "2026-11-18T11:07:40.500Z"
    identifiers = [entity["what"]["identifier"] for entity in provenance["entity"]]
    assert identifiers == [
        {"system": f"{BASE}/sid/qubs-operational", "value": "A1"},
        {"system": f"{BASE}/sid/qubs-tele-reporting", "value": "A1"},
    ]
    (record,) = provenance["entity"][0]["extension"]
    told = {part["url"]: part["valueString"] for part in record["extension"]}
    assert told == {
        "system": "qubs",
        "view": "operational",
        "key": "A1",
        "correlationId": "corr-1",
        "mappingVersion": MAPPING_VERSION,
        "hash": "ab" * 32,
    }


def test_every_agent_that_is_no_organization_acts_on_behalf_of_one():
    appointment = map_appointment(operational()).resources[0]
    author, assembler = provenance_for(appointment, [FIRST], CONTEXT)["agent"]
    assert author["who"] == assembler["onBehalfOf"] == {"reference": "Organization/qubs-acme"}


def test_what_comes_from_no_record_has_no_provenance():
    assert provenance_for({"resourceType": "Organization", "id": "qubs-acme"}, [], CONTEXT) is None


def test_a_group_lists_its_members_in_order():
    facts = GroupFacts("all", "All patients", active=True, rule="all-patients", quantity=2)
    group = group_resource(facts, listed(["qubs-2", "qubs-1"]))
    assert deep_check(group) == []
    assert [m["entity"]["reference"] for m in group["member"]] == [
        "Patient/qubs-1",
        "Patient/qubs-2",
    ]
    assert (group["actual"], group["type"], group["quantity"]) == (True, "person", 2)


def test_an_empty_group_is_valid():
    facts = GroupFacts("none", "Nobody", active=False, rule=None, quantity=0)
    group = group_resource(facts, [])
    assert "member" not in group
    assert deep_check(group) == []
