"""What the authorization server learns of patients, and the rows it leaves."""

from __future__ import annotations

from fhir_facade import telemetry
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest.auth_ports import FacadePorts
from smart_auth.ports import AccessEvent, Facade, PatientChoice, TenantInfo
from tests.support.published import patient, publish
from tests.support.rest_app import RestApp, base_of


def ports(rest: RestApp) -> Facade:
    tenants = {"acme": TenantInfo("acme", base_of("acme"), "Acme")}
    return FacadePorts(tenants, rest.database, rest.audit, REGISTRY)


def found(
    rest: RestApp, text: str, allowed: frozenset[str] | None = None, limit: int = 10
) -> list[str]:
    return [choice.id for choice in ports(rest).choose_patients("acme", allowed, text, limit)]


def test_offers_patients_by_name_and_identifier(rest: RestApp) -> None:
    assert found(rest, "") == ["p1", "p2", "p3", "p4", "p5"]
    assert found(rest, "", limit=2) == ["p1", "p2"]
    assert found(rest, "ADA family3") == ["p3"]
    assert found(rest, "4") == ["p4"]
    assert found(rest, " p4 ") == ["p4"]
    assert found(rest, "nobody") == []
    assert found(rest, "%") == []
    assert ports(rest).choose_patients("acme", None, "family1", 5) == (
        PatientChoice("p1", "Ada Family1", "1980-05-01", "female"),
    )


def test_never_offers_others_than_the_allowed(rest: RestApp) -> None:
    assert found(rest, "family", frozenset({"p2", "p9"})) == ["p2"]
    assert found(rest, "p3", frozenset({"p2", "p9"})) == []
    assert found(rest, "", frozenset()) == []


def test_knows_who_exists(rest: RestApp) -> None:
    publish(rest.database, patient(9), tenant="globex")
    facade = ports(rest)
    assert facade.patient_exists("acme", "p1")
    assert not facade.patient_exists("acme", "p9")
    assert facade.patient_exists("globex", "p9")
    assert not facade.patient_exists("acme", "not an id")


def test_names_types(rest: RestApp) -> None:
    assert set(ports(rest).resource_types("acme", "system")) == set(REGISTRY)
    assert set(REGISTRY) - set(ports(rest).resource_types("acme", "user")) == {"AuditEvent"}
    for_patients = set(ports(rest).resource_types("acme", "patient"))
    assert set(REGISTRY) - for_patients == {"AuditEvent", "Group"}
    assert {"Observation", "Patient"} <= set(ports(rest).scope_types())


def test_keeps_what_happened(rest: RestApp) -> None:
    event = AccessEvent("acme", "login", "refused", user_id="u1", patient_id="p1", reason="x")
    with telemetry.bind_correlation("c-12345678"):
        ports(rest).record(event)
    (row,) = rest.audited()
    assert row["correlation_id"] == "c-12345678"
    assert (row["action"], row["outcome"], row["user_id"], row["patients"]) == (
        "login",
        "refused",
        "u1",
        "p1",
    )
