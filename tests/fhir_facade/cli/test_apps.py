"""`app`: what is registered, changed, limited and launched."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from joserfc.jwk import ECKey

from smart_auth import keyring
from smart_auth.ports import AccessEvent, Refusal
from smart_auth.records import Client
from tests.fhir_facade.cli.conftest import PATIENTS, Clinic, register
from tests.support import exports


def stored(clinic: Clinic, client_id: str) -> Client:
    client = clinic.facade.auth_store.clients.get("acme", client_id)
    assert client is not None
    return client


def keys(kid: str) -> dict[str, object]:
    return {"keys": [ECKey.generate_key("P-384", {"kid": kid}).as_dict(private=False)]}


@pytest.fixture
def backend(clinic: Clinic) -> str:
    return register(clinic, client_id="registry", jwks=keys("1"))["client_id"]


def test_a_new_app_is_the_operators_and_approved_unless_told(clinic: Clinic) -> None:
    register(clinic, client_id="one", redirect_uris=["https://a.example/cb"])
    assert clinic.read("app", "show", "one")["approved_by"] == "operator"
    words = ("user", "add", "dev", "--role", "developer", "--service", "provider", "--stdin")
    clinic.done(*words, given="a-long-password\n")
    document = json.dumps({"client_id": "two", "redirect_uris": ["https://a.example/cb"]})
    words = ("app", "add", "-", "--owner", "dev", "--unapproved")
    (act,) = clinic.acts_of(*words, given=document)
    assert (act.reason, act.client_id) == ("app registered", "two")
    assert [one["client_id"] for one in clinic.read("app", "list", "--waiting")] == ["two"]
    assert [line.split("\t")[-2:] for line in clinic.done("app", "list").splitlines()] == [
        ["active", "approved"],
        ["active", "waits"],
    ]
    assert [one["client_id"] for one in clinic.read("app", "list", "--owner", "dev")] == ["two"]
    assert clinic.read("app", "show", "two")["owner"] == "dev"
    seen = clinic.read("app", "show", "two")["version"]
    clinic.done("app", "set", "two", "--name", "Another")
    assert "changed meanwhile" in clinic.refused("app", "approve", "two", "--version", str(seen))
    assert stored(clinic, "two").approved_at is None
    (act,) = clinic.acts_of("app", "approve", "two", "--version", str(seen + 1))
    assert act.reason == "app approved"
    shown, after = clinic.read("app", "approve", "two"), clinic.read("app", "show", "two")
    assert (shown["client_name"], shown["redirect_uris"]) == ("Another", ["https://a.example/cb"])
    assert {shown[name] == after[name] for name in set(shown) - {"fhir_base"}} == {True}
    assert stored(clinic, "two").approved_by == "operator"
    assert clinic.acts_of("app", "withdraw", "two")[0].reason == "app approval withdrawn"
    assert stored(clinic, "two").approved_at is None


def test_show_gives_what_a_developer_needs(clinic: Clinic, chart: str) -> None:
    shown = clinic.read("app", "show", chart)
    base = "http://127.0.0.1:1/fhir/acme"
    assert shown["fhir_base"] == base
    assert shown["discovery_url"] == f"{base}/.well-known/smart-configuration"
    assert f"client_id: {chart}\n" in clinic.done("app", "show", chart)
    assert "no app" in clinic.refused("app", "show", "nothing")


def test_set_changes_each_member_and_nothing_else(clinic: Clinic, chart: str) -> None:
    clinic.done("app", "rotate-secret", make_confidential(clinic))
    before = stored(clinic, "server")
    (act,) = clinic.acts_of(
        "app", "set", "server",
        "--name", "Server", "--redirect-uri", "https://b.example/1",
        "--redirect-uri", "https://b.example/2", "--launch-uri", "https://b.example/launch",
        "--scope", "openid patient/*.rs", "--client-uri", "https://b.example",
        "--policy-uri", "https://b.example/privacy", "--contact", "dev@b.example",
        "--valid-from", "2026-01-01", "--valid-to", "2026-12-31",
        "--may-introspect", "--may-launch", "--pkce-optional", "--whole-tenant",
    )  # fmt: skip
    after = stored(clinic, "server")
    assert (act.reason, act.client_id) == ("app changed", "server")
    assert after.name == "Server"
    assert after.redirect_uris == ("https://b.example/1", "https://b.example/2")
    assert after.launch_uri == "https://b.example/launch"
    assert after.scope == "openid patient/*.rs"
    assert after.details["client_uri"] == "https://b.example"
    assert after.details["policy_uri"] == "https://b.example/privacy"
    assert after.details["contacts"] == ["dev@b.example"]
    # In Sydney the year begins and ends eleven hours before it does in Greenwich.
    assert (after.valid_from, after.valid_to) == (1767186000, 1798722000)
    assert after.may_introspect
    assert after.may_launch
    assert after.pkce_optional
    assert after.whole_tenant
    assert after.secret_hash == before.secret_hash
    assert after.approved_at == before.approved_at
    cleared = ("--launch-uri", "", "--client-uri", "", "--valid-from", "", "--valid-to", "")
    clinic.done("app", "set", "server", *cleared, "--no-may-launch", "--pkce")
    again = stored(clinic, "server")
    assert again.launch_uri is None
    assert "client_uri" not in again.details
    assert again.details["policy_uri"] == "https://b.example/privacy"
    assert (again.valid_from, again.valid_to) == (None, None)
    assert again.may_introspect
    assert not again.may_launch
    assert not again.pkce_optional


def make_confidential(clinic: Clinic) -> str:
    uris = {"redirect_uris": ["https://a.example/cb"]}
    method = {"token_endpoint_auth_method": "client_secret_basic"}
    return register(clinic, client_id="server", **uris, **method)["client_id"]


def test_a_host_ehr_without_redirects_can_be_changed(clinic: Clinic) -> None:
    method = {"token_endpoint_auth_method": "client_secret_basic"}
    register(clinic, client_id="ehr", may_launch=True, **method)
    clinic.done("app", "set", "ehr", "--name", "Our EHR", "--no-may-launch")
    clinic.done("app", "set", "ehr", "--name", "Our old EHR")
    changed = stored(clinic, "ehr")
    assert (changed.name, changed.may_launch, changed.may_introspect) == (
        "Our old EHR", False, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--redirect-uri", "http://a.example/cb"), "redirect_uri"),
        (("--launch-uri", "javascript:alert(1)"), "launch_uri"),
        (("--scope", "openid patient/Nothing.rs"), "patient/Nothing.rs"),
        (("--valid-from", "soon"), "Write a day as"),
        (("--may-launch",), "public"),
        (("--pkce-optional",), "public"),
    ],
)
def test_what_could_not_be_registered_cannot_be_set(
    clinic: Clinic, chart: str, words: tuple[str, ...], said: str
) -> None:
    before = stored(clinic, chart)
    assert said in clinic.refused("app", "set", chart, *words)
    assert stored(clinic, chart) == before


def test_a_new_secret_is_shown_once_and_kept_as_a_hash(clinic: Clinic, chart: str) -> None:
    client_id = make_confidential(clinic)
    made = json.loads(clinic.done("app", "rotate-secret", client_id))
    client = stored(clinic, client_id)
    assert client.secret_hash == keyring.hash_token(made["client_secret"])
    assert made["client_secret"] not in clinic.done("app", "show", client_id, "--json")
    assert "no secret" in clinic.refused("app", "rotate-secret", chart)


def test_keys_are_replaced_when_they_are_good(
    clinic: Clinic, backend: str, chart: str, tmp_path: Path
) -> None:
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(keys("2")))
    (act,) = clinic.acts_of("app", "keys", backend, "--jwks", str(file))
    assert act.reason == "app keys replaced"
    assert json.loads(stored(clinic, backend).jwks or "")["keys"][0]["kid"] == "2"
    file.write_text('{"keys": []}')
    assert "jwks needs a key" in clinic.refused("app", "keys", backend, "--jwks", str(file))
    unreachable = ("app", "keys", backend, "--jwks-uri", "http://127.0.0.1:9/jwks.json")
    assert "cannot be used" in clinic.refused(*unreachable)
    file.write_text(json.dumps(keys("3")))
    assert "private_key_jwt" in clinic.refused("app", "keys", chart, "--jwks", str(file))
    assert "exactly one" in clinic.misused("app", "keys", backend)
    assert json.loads(stored(clinic, backend).jwks or "")["keys"][0]["kid"] == "2"


def test_limits_narrow_what_may_be_granted(clinic: Clinic, chart: str, backend: str) -> None:
    core = clinic.facade.auth.core
    (act,) = clinic.acts_of("app", "limit", chart, "--scope", "patient/Patient.rs")
    assert act.reason == "app scopes limited"
    allowed = core.allowed_to(stored(clinic, chart))
    assert allowed.allows("patient", "Patient", "r")
    assert not allowed.allows("patient", "Appointment", "r")
    clinic.done("app", "limit", chart, "--none")
    assert core.allowed_to(stored(clinic, chart)).allows("patient", "Appointment", "r")
    clinic.done("app", "export-types", backend, "Patient", "Appointment")
    exported = core.allowed_to(stored(clinic, backend))
    assert exported.allows("system", "Appointment", "s")
    assert not exported.allows("system", "DiagnosticReport", "s")
    clinic.done("app", "export-types", backend, "--all")
    assert stored(clinic, backend).scope_limit is None
    assert "no backend" in clinic.refused("app", "export-types", chart, "Patient")
    assert "Medication" in clinic.refused("app", "export-types", backend, "Medication")
    assert "exactly one" in clinic.misused("app", "limit", chart)


def test_groups_and_patients_are_assigned_and_taken(clinic: Clinic, backend: str) -> None:
    acts = clinic.acts_of(
        "app", "assign", backend, "--group", exports.GROUP, "--patient", PATIENTS[1]
    )
    assert [row.reason for row in acts] == [
        "groups of an app changed",
        "list of patients begun",
        "patient given to an app",
    ]
    assert stored(clinic, backend).groups == {exports.GROUP}
    assert stored(clinic, backend).patients == {PATIENTS[1]}
    assert "no group" in clinic.refused("app", "assign", backend, "--group", "nothing")
    assert "not known" in clinic.refused("app", "assign", backend, "--patient", "nobody")
    clinic.done("app", "unassign", backend, "--patient", PATIENTS[1], "--group", exports.GROUP)
    assert stored(clinic, backend).patients == frozenset()
    assert stored(clinic, backend).groups == frozenset()
    clinic.done("app", "unassign", backend, "--no-list")
    assert stored(clinic, backend).patients is None


def test_activity_and_removal(clinic: Clinic, chart: str) -> None:
    assert clinic.acts_of("app", "deactivate", chart)[0].reason == "app made inactive"
    assert not stored(clinic, chart).active
    clinic.done("app", "activate", chart)
    assert stored(clinic, chart).active
    assert clinic.run("app", "delete", "--tenant", "acme", chart, given="n\n").exit_code != 0
    assert stored(clinic, chart).active
    (act,) = clinic.acts_of("app", "delete", chart, "--yes")
    assert (act.reason, act.client_id) == ("app deleted", chart)
    assert "no app" in clinic.refused("app", "show", chart)


def test_the_trace_says_what_was_wrong(clinic: Clinic, chart: str) -> None:
    refusal = Refusal("redirect", "invalid_request", "It is not registered", "this", "that")
    event = AccessEvent("acme", "authorize", "refused", client_id=chart, refusal=refusal)
    clinic.facade.auth.ports.record(event)
    (shown,) = clinic.read("app", "trace", chart)
    assert (shown["step"], shown["expected"], shown["received"]) == ("redirect", "this", "that")
    assert "It is not registered" in clinic.done("app", "trace", chart)
    assert clinic.read("app", "trace", chart, "--correlation-id", "another") == []


def test_a_launch_is_made_by_the_rules_of_host_ehrs(
    clinic: Clinic, chart: str, ada: str, backend: str
) -> None:
    words = ("app", "launch", chart, "--user", ada, "--patient", PATIENTS[0])
    assert "not one this user" in clinic.refused(*words)
    clinic.done("user", "assign", ada, PATIENTS[0])
    url = urlsplit(clinic.done(*words).strip())
    assert url.path == "/fhir/acme/auth/open"
    assert url.query.startswith("ticket=")
    act = clinic.acts()[-1]
    assert (act.reason, act.client_id, act.patient_ids) == ("launch made", chart, (PATIENTS[0],))
    assert "about another patient" in clinic.refused(*words, "--context", "Appointment/qubs-A00001")
    assert "launch_uri" in clinic.refused("app", "launch", backend, "--user", ada)


def test_initial_access_tokens(clinic: Clinic) -> None:
    made = json.loads(clinic.done("app", "token", "add", "Acme developers", "--uses", "3"))
    (listed,) = clinic.read("app", "token", "list")
    assert listed["token_id"] == made["token_id"]
    assert (listed["name"], listed["uses_left"]) == ("Acme developers", 3)
    assert made["initial_access_token"] not in json.dumps(listed)
    clinic.done("app", "token", "revoke", made["token_id"])
    assert clinic.read("app", "token", "list")[0]["revoked_at"]
    assert "No such token" in clinic.refused("app", "token", "revoke", made["token_id"])
    assert "1 to 366 days" in clinic.refused("app", "token", "add", "x", "--days", "0")
