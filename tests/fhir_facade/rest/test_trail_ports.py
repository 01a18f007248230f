"""What people are shown of the trail: an app's refusals, a patient's access log with the exports of
its groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from fhir_facade.mirror.groups import GroupDefinition, GroupStore, listed
from fhir_facade.mirror.retention import drop_old
from fhir_facade.resources.registry import REGISTRY
from fhir_facade.rest.auth_ports import FacadePorts
from smart_auth.ports import (
    AccessEvent,
    AccessShown,
    CategoryChoice,
    Facade,
    Refusal,
    TenantInfo,
)
from tests.support.exports import run_all
from tests.support.published import location, patient, publish, report
from tests.support.rest_app import SYDNEY, RestApp, base_of
from tests.support.tokens import backend_token, user_token

DOCTOR = user_token("user/*.rs")
NOTHING = user_token("user/Observation.rs")
BACKEND = backend_token("system/*.rs", whole_tenant=True)
ASYNC = {"Accept": "application/fhir+json", "Prefer": "respond-async"}
REFUSAL = Refusal("pkce", "invalid_grant", "No.", "S256", "plain")


def ports(rest: RestApp) -> Facade:
    rest.audit.close()  # writes what is queued
    tenants = {"acme": TenantInfo("acme", base_of("acme"), "Acme", SYDNEY)}
    return FacadePorts(tenants, rest.database, rest.audit, REGISTRY)


def log(rest: RestApp, patient_id: str, **more: object) -> list[tuple[str, str | None, str]]:
    shown = ports(rest).accesses("acme", patient_id, **more)  # type: ignore[arg-type]
    return [(line.kind, line.resource_type, line.outcome) for line in shown]


def test_refusals_of_both_rooms_newest_first(rest: RestApp) -> None:
    ports(rest).record(AccessEvent("acme", "token", "refused", client_id="app", refusal=REFUSAL))
    rest.get("/Patient/p1", DOCTOR)
    rest.get("/Patient/p1", NOTHING, headers={"X-Correlation-Id": "corr-123456"})
    newest, oldest = ports(rest).refusals("acme", "app")
    assert (oldest.endpoint, oldest.status, oldest.refusal) == ("token", None, REFUSAL)
    assert (newest.endpoint, newest.status) == ("read Patient", 403)
    assert newest.refusal == Refusal(
        "scope",
        "forbidden",
        "The token's scopes do not cover this interaction on Patient.",
        "Ask for the scope user/Patient.r.",
        "user/Observation.rs",
    )
    assert newest.at >= oldest.at > 1_700_000_000
    facade = ports(rest)
    assert facade.refusals("acme", "app", correlation_id="corr-123456") == [newest]
    assert facade.refusals("acme", "app", correlation_id="corr-unknown") == []
    assert facade.refusals("acme", "app", limit=1) == [newest]
    assert facade.refusals("acme", "other") == []
    assert facade.refusals("globex", "app") == []


def test_an_access_log_pages_on(rest: RestApp) -> None:
    for path in ("/Patient/p1", "/Patient?_id=p1,p2", "/Patient/p2", "/Appointment/a1"):
        rest.get(path, DOCTOR)
    own = [
        ("read", "Appointment", "success"),
        ("search-type", "Patient", "success"),
        ("read", "Patient", "success"),
    ]
    assert log(rest, "p1") == own
    facade = ports(rest)
    seen: list[AccessShown] = []
    while page := facade.accesses("acme", "p1", after=seen[-1].cursor if seen else "", limit=2):
        seen += page
    assert [(line.kind, line.resource_type, line.outcome) for line in seen] == own
    assert {(line.client_id, line.user_id) for line in seen} == {("app", "u1")}
    assert log(rest, "p3") == []
    assert facade.accesses("globex", "p1") == []
    assert len(facade.accesses("acme", "p1", after="not a cursor")) == 3


def test_a_log_shows_what_was_granted_and_not_the_life_of_its_tokens(rest: RestApp) -> None:
    facade = ports(rest)
    for action in ("consent", "token", "refresh", "introspect", "revoke"):
        facade.record(AccessEvent("acme", action, "success", client_id="app", patient_id="p1"))
    assert [kind for kind, _, _ in log(rest, "p1")] == ["revoke", "consent"]


def group(rest: RestApp, *members: str) -> None:
    store = GroupStore(rest.database)
    store.define("acme", GroupDefinition("g", "Some", "listed", members=listed(members)))
    store.refresh("acme")


def export(rest: RestApp) -> None:
    answer = rest.get("/Group/g/$export", BACKEND, headers=ASYNC)
    assert answer.status_code == 202


def test_an_export_is_in_the_log_of_each_who_was_a_member_then(rest: RestApp) -> None:
    group(rest, "p1", "p2")
    export(rest)
    group(rest, "p2", "p3")
    export(rest)
    group(rest, "p1")
    for member, exports in (("p1", 1), ("p2", 2), ("p3", 1), ("p4", 0)):
        assert log(rest, member) == [("export", "Group", "success")] * exports, member
    # Refused kick-offs, polls and files are no lines of their own.
    rest.get("/Group/g/$export", DOCTOR, headers=ASYNC)
    run_all(rest.bulk)
    assert len(log(rest, "p2")) == 2


def test_exports_and_accesses_come_in_one_order(rest: RestApp) -> None:
    group(rest, "p1")
    rest.get("/Patient/p1", DOCTOR)
    rest.audit.close()
    export(rest)
    rest.get("/Patient/p1", DOCTOR)
    assert [kind for kind, _, _ in log(rest, "p1")] == ["read", "export", "read"]
    newest = ports(rest).accesses("acme", "p1", limit=1)
    rest_of = log(rest, "p1", after=newest[0].cursor)
    assert [kind for kind, _, _ in rest_of] == ["export", "read"]


def test_retention_takes_no_export_out_of_a_log(
    rest: RestApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    group(rest, "p1")
    export(rest)
    group(rest, "p2")
    run_all(rest.bulk)
    from fhir_facade import clock

    later = clock.now_us() + 400 * 86_400_000_000
    monkeypatch.setattr(clock, "now_us", lambda: later)
    publish(rest.database, patient(9))
    drop_old(rest.database, "acme", 86_400_000_000)
    assert log(rest, "p1") == [("export", "Group", "success")]


def test_a_mirror_that_was_set_up_anew_claims_no_export_of_the_old_one(
    rest: RestApp, tmp_path: Path
) -> None:
    from fhir_facade.mirror import migrate
    from fhir_facade.mirror.database import open_database

    group(rest, "p1")
    export(rest)
    url = f"sqlite:///{tmp_path}/anew.sqlite"
    migrate.upgrade(url)
    anew = open_database(url)
    publish(anew, location("l1"), patient(1), patient(2))
    store = GroupStore(anew)
    store.define("acme", GroupDefinition("g", "Some", "tenant"))
    store.refresh("acme")
    for number in range(20):  # past the revision of the export
        publish(anew, patient(number + 10))
    tenants = {"acme": TenantInfo("acme", base_of("acme"), "Acme", SYDNEY)}
    rest.audit.close()
    facade = FacadePorts(tenants, anew, rest.audit, REGISTRY)
    assert list(facade.accesses("acme", "p1")) == []
    anew.close()


def test_patients_are_found_by_birth_date_too(rest: RestApp) -> None:
    publish(rest.database, patient(7, "Family1", birthDate="1999-12-31"))
    facade = ports(rest)

    def found(text: str) -> list[str]:
        return [choice.id for choice in facade.choose_patients("acme", None, text, 10)]

    assert found("1999-12-31") == ["p7"]
    assert found("family1 1999-12-31") == ["p7"]
    assert found("family1 1980-05-01") == ["p1"]
    assert found("1999-12-30") == []
    assert found("1999-13-45") == []
    assert found("1999-12") == []
    assert facade.choose_patients("acme", frozenset({"p1"}), "1999-12-31", 10) == ()


def test_categories_in_use_are_named_as_resources_name_them(rest: RestApp) -> None:
    system = "http://terminology.hl7.org/CodeSystem/v2-0074"
    facade = ports(rest)
    assert facade.categories("acme", "DiagnosticReport") == (
        CategoryChoice(system, "CT", "CT"),
        CategoryChoice(system, "RAD", "RAD"),
    )
    named = report(3, 3, category="MRI")
    named["category"][0]["coding"][0]["display"] = "Another name"
    long = "x" * 300
    named["category"].append({"coding": [{"code": long, "display": "Long"}]})
    publish(rest.database, named)
    # Asked again within a minute it is what it was.
    assert len(facade.categories("acme", "DiagnosticReport")) == 2
    assert ports(rest).categories("acme", "DiagnosticReport") == (
        CategoryChoice(system, "MRI", "Another name"),
        CategoryChoice(system, "CT", "CT"),
        CategoryChoice("", long, "Long"),
        CategoryChoice(system, "RAD", "RAD"),
    )
    assert facade.categories("acme", "Patient") == ()
    assert facade.categories("acme", "Nonsense") == ()
    assert facade.categories("globex", "DiagnosticReport") == ()
