"""Code tables: what they cover, tenants' overrides, and the ConceptMaps they are published as."""

import pytest

from fhir_facade.errors import SettingsError
from fhir_facade.fhir.validation import deep_check
from fhir_facade.resources.qubs import QubsContext
from fhir_facade.resources.terminology import BUILT_IN, concept_maps, tables_for
from fhir_facade.upstream.qubs_words import STATUSES
from tests.support.qubs_records import BASE, map_appointment, only, operational, types_of


@pytest.mark.parametrize("table", list(BUILT_IN), ids=lambda t: t.id)
def test_every_target_is_a_code_of_its_system(table):
    targets = {row.target for row in table.rows.values()} | {table.default}
    assert targets - {None} <= table.targets
    for row in table.rows.values():
        assert (row.target is None) == (row.equivalence == "unmatched")
        # cmd-1 wants a reason for what is not the same.
        assert row.comment or row.equivalence in ("equivalent", "wider")


@pytest.mark.parametrize("table", [BUILT_IN.appointment_status, BUILT_IN.report_status])
def test_both_status_tables_name_all_statuses_and_no_other(table):
    assert set(table.rows) == set(STATUSES)


def test_statuses_match_byte_for_byte_and_genders_whatever_their_case():
    assert BUILT_IN.appointment_status.lookup("finalised") == ("pending", False)
    assert BUILT_IN.gender.lookup("FEMALE") == ("female", True)
    assert BUILT_IN.gender.lookup("f") == ("female", True)
    assert BUILT_IN.gender.lookup("?") == ("unknown", False)


@pytest.mark.parametrize("resource", concept_maps(BASE), ids=lambda r: r["id"])
def test_each_table_is_a_valid_concept_map_under_the_base_of_the_tenant(resource):
    assert deep_check(resource) == []
    assert resource["url"] == f"{BASE}/ConceptMap/{resource['id']}"
    (group,) = resource["group"]
    assert len(group["element"]) == len({e["code"] for e in group["element"]})


def test_the_default_is_published():
    status, report, gender, attachment = concept_maps(BASE)
    assert status["group"][0]["unmapped"] == {"mode": "fixed", "code": "pending"}
    assert gender["group"][0]["unmapped"]["code"] == "unknown"
    assert "unmapped" not in report["group"][0]
    assert "unmapped" not in attachment["group"][0]


def test_a_tenant_may_override_and_add_rows_and_they_are_published():
    tables = tables_for(
        {
            "qubs-appointment-status": {"ARRIVED": "checked-in", "ON HOLD": "proposed"},
            "qubs-report-status": {"DICTATED": ""},
            "qubs-gender": {"FEMALE": "other"},
        }
    )
    assert tables.appointment_status.lookup("ARRIVED") == ("checked-in", True)
    assert tables.appointment_status.lookup("ON HOLD") == ("proposed", True)
    assert tables.gender.lookup("Female") == ("other", True)
    assert BUILT_IN.appointment_status.lookup("ARRIVED") == ("arrived", True)
    for resource in concept_maps(BASE, tables):
        assert deep_check(resource) == []
    context = QubsContext(BASE, "acme", tables=tables)
    mapped = map_appointment(operational(status="ARRIVED"), context=context)
    assert only(mapped, "Appointment")["status"] == "checked-in"
    assert types_of(map_appointment(operational(status="DICTATED"), context=context)) == [
        "Appointment"
    ]


@pytest.mark.parametrize(
    "overrides",
    [
        {"qubs-colour": {"x": "y"}},
        {"qubs-gender": {"F": "woman"}},
        {"qubs-appointment-status": {"ARRIVED": ""}},
    ],
)
def test_an_override_that_means_nothing_stops_the_start_by_name(overrides):
    with pytest.raises(SettingsError, match="code_overrides"):
        tables_for(overrides)
