"""Organization, Location, Practitioner: what a domain, its sites and their grids tell."""

import pytest

from fhir_facade.fhir import systems
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.qubs import MappingWarning, QubsContext, SubjectRecords, map_subject
from fhir_facade.resources.subject import Subject
from tests.support.qubs_records import BASE, CONTEXT, DOMAIN, SITE, only, site_records


def map_site(own):
    return map_subject(Subject("site", SITE), SubjectRecords(own), CONTEXT)


def map_staff(key, *grids):
    own = {("staff-skills", f"S{n}"): {"employees": rows} for n, rows in enumerate(grids)}
    return map_subject(Subject("staff", key), SubjectRecords(own), CONTEXT)


def test_the_domain_is_the_organization_of_the_tenant():
    mapped = map_subject(Subject("domain", DOMAIN), SubjectRecords({}), CONTEXT)
    organization = only(mapped, "Organization")
    assert (organization["id"], organization["name"]) == ("qubs-acme", "Acme Imaging")
    assert organization["active"] is True
    assert mapped.sources == ((),)
    assert deep_check(organization) == []


def test_an_organization_without_a_name_has_that_of_its_domain():
    context = QubsContext(BASE, "north & west")
    mapped = map_subject(Subject("domain", "north & west"), SubjectRecords({}), context)
    organization = only(mapped, "Organization")
    assert organization["name"] == "north & west"
    assert organization["id"] == "qubs-north.20.26.20west"
    assert f"Organization/{organization['id']}" == context.organization_reference


@pytest.mark.parametrize("zone", ["Australia/Sydney", "AUS Eastern Standard Time"])
def test_a_site_is_a_location_with_its_zone_by_its_iana_name(zone):
    mapped = map_site(site_records(zone))
    location = only(mapped, "Location")
    assert location["extension"] == [
        {"url": systems.SITE_TIME_ZONE, "valueCode": "Australia/Sydney"}
    ]
    assert location["managingOrganization"] == {"reference": "Organization/qubs-acme"}
    assert (location["name"], location["status"], location["mode"]) == (SITE, "active", "instance")
    assert mapped.warnings == ()
    assert deep_check(location) == []


def test_an_unknown_zone_is_kept_as_text_and_counted():
    mapped = map_site(site_records("Atlantis/Main"))
    location = only(mapped, "Location")
    assert location["extension"][0]["valueString"] == "Atlantis/Main"
    assert mapped.warnings == (MappingWarning("unknown-time-zone", "Atlantis/Main"),)
    assert deep_check(location) == []


def test_a_site_without_settings_has_no_zone():
    mapped = map_site({("sites", SITE): {"domain": DOMAIN, "siteName": SITE}})
    assert "extension" not in only(mapped, "Location")
    assert map_site({}).resources == ()


def test_an_employee_in_several_grids_is_one_practitioner():
    first = [{"employeeId": "123", "employeeName": ""}, {"employeeId": "9"}]
    second = [{}, {"employeeId": 123, "employeeName": "Alex Reed"}]
    mapped = map_staff("123", first, second)
    practitioner = only(mapped, "Practitioner")
    assert practitioner["id"] == "qubs-123"
    assert practitioner["name"][0]["text"] == "Alex Reed"
    assert practitioner["name"][0]["_family"]["extension"][0]["valueCode"] == "unknown"
    assert mapped.sources == ((("staff-skills", "S0"), ("staff-skills", "S1")),)
    assert deep_check(practitioner) == []


def test_an_employee_without_a_name_is_a_practitioner_still():
    practitioner = only(map_staff("9", [{"employeeId": "9"}]), "Practitioner")
    assert "text" not in practitioner["name"][0]
    assert deep_check(practitioner) == []


def test_an_employee_no_grid_names_any_more_is_gone():
    assert map_staff("9", [{"employeeName": "Locum"}, {}, None]).resources == ()
