"""What a developer may write about an app, field by field."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import ECKey

from smart_auth.client_metadata import client_from_metadata, redirect_uri_allowed
from smart_auth.outbound import Unreachable
from smart_auth.portal.advice import STEPS, advice_on
from smart_auth.portal.app_forms import (
    AppForm,
    FormRules,
    kind_of,
    kinds_for,
    metadata_of,
    problems_of,
    uri_problem,
)
from smart_auth.ports import Step, TenantInfo
from smart_auth.scopes import ScopeSet
from tests.support.smart_auth import KNOWN_TYPES, REDIRECT, backend_key, public_jwks
from tests.support.soak import examples

TENANT = TenantInfo("acme", "https://fhir.example/fhir/acme", "Acme", ZoneInfo("America/New_York"))
KEYS = json.dumps(public_jwks(backend_key()))
LAUNCH = AppForm(name="Viewer", kind="public", redirect_uris=REDIRECT)
BACKEND = AppForm(name="Reader", kind="backend", jwks=KEYS)


def unfetched(_url: str) -> str:
    raise AssertionError("the key set must not be fetched")


RULES = FormRules(
    tenant=TENANT,
    service="provider",
    parse=lambda text: ScopeSet.parse(text, KNOWN_TYPES),
    fetch=unfetched,
)


def problems(form: AppForm, **changes: Any) -> dict[str, str]:
    return problems_of(form, replace(RULES, **changes))


@pytest.mark.parametrize(
    "form",
    [
        LAUNCH,
        replace(LAUNCH, kind="secret", launch_uri="https://app.example/launch"),
        replace(LAUNCH, kind="keys", jwks=KEYS),
        replace(LAUNCH, scope="launch/patient openid patient/*.read user/Observation.rs"),
        replace(LAUNCH, redirect_uris="org.example.app:/callback\nhttp://127.0.0.1/cb\n\n"),
        replace(LAUNCH, client_uri="http://localhost:3000/", policy_uri="https://a.example/p?q=1"),
        replace(
            LAUNCH,
            valid_from="2030-01-01",
            valid_to="2030-01-01",
            contacts="a@b.example\nc@d.example",
        ),
        BACKEND,
        replace(BACKEND, scope="system/Observation.rs?category=vital-signs system/Group.read"),
    ],
)
def test_a_good_form_becomes_a_client(form: AppForm) -> None:
    assert problems(form) == {}
    client, _ = client_from_metadata("acme", metadata_of(form, TENANT))
    assert kind_of(client) == form.kind
    assert list(client.redirect_uris) == form.redirect_lines
    again = AppForm.from_client(client, TENANT)
    assert problems(again) == {}
    assert metadata_of(again, TENANT) == metadata_of(form, TENANT)


def bad_jwks(**changes: Any) -> str:
    key = public_jwks(backend_key())["keys"][0] | changes
    return json.dumps({"keys": [{name: one for name, one in key.items() if one is not None}]})


REFUSED: list[tuple[AppForm, dict[str, str], str, str]] = [
    (LAUNCH, {"name": ""}, "name", "people will see"),
    (LAUNCH, {"name": "x" * 101}, "name", "at most 100"),
    (LAUNCH, {"name": "My\u202eapp"}, "name", "cannot be seen"),
    (LAUNCH, {"kind": "admin"}, "kind", "what kind"),
    (LAUNCH, {"redirect_uris": ""}, "redirect_uris", "at least one"),
    (LAUNCH, {"redirect_uris": "\n".join(f"{REDIRECT}?{n}" for n in range(21))}, "redirect_uris",
     "at most 20"),
    (LAUNCH, {"redirect_uris": f"{REDIRECT}\napp.example/cb"}, "redirect_uris", "Line 2: write"),
    (LAUNCH, {"redirect_uris": "http://app.example/cb"}, "redirect_uris", "use https"),
    (LAUNCH, {"redirect_uris": "https://app.example/#x"}, "redirect_uris", "leave out #"),
    (LAUNCH, {"redirect_uris": "https://*.example/cb"}, "redirect_uris", "* stands for nothing"),
    (LAUNCH, {"redirect_uris": "https://me@app.example/"}, "redirect_uris", "user name"),
    (LAUNCH, {"redirect_uris": "https:///cb"}, "redirect_uris", "no complete"),
    (LAUNCH, {"redirect_uris": "https://app.example/a b"}, "redirect_uris", "no spaces"),
    (LAUNCH, {"redirect_uris": "javascript:alert(1)"}, "redirect_uris", "scheme with a dot"),
    (LAUNCH, {"redirect_uris": "https://a.example/" + "x" * 2000}, "redirect_uris", "at most 2000"),
    (BACKEND, {"redirect_uris": REDIRECT}, "redirect_uris", "not redirected"),
    (LAUNCH, {"launch_uri": "org.example.app:/launch"}, "launch_uri", "a record system"),
    (LAUNCH, {"launch_uri": "http://app.example/l"}, "launch_uri", "Use https"),
    (LAUNCH, {"launch_uri": "https://app.example/l", "scope": "openid launch/patient"},
     "launch_uri", "scope launch"),
    (BACKEND, {"launch_uri": "https://app.example/l"}, "launch_uri", "not launched"),
    (LAUNCH, {"scope": "openid patient/Observation.reed banana"}, "scope",
     "patient/Observation.reed, banana"),
    (LAUNCH, {"scope": "patient/Observation.sr"}, "scope", "patient/Observation.sr"),
    (LAUNCH, {"scope": "patient/Patient.rs?category=x"}, "scope", "No scopes"),
    (LAUNCH, {"scope": "system/*.rs"}, "scope", "for backend services"),
    (LAUNCH, {"scope": "offline_access fhirUser"}, "scope", "gives something"),
    (LAUNCH, {"scope": "openid " * 600}, "scope", "at most 4000"),
    (BACKEND, {"scope": "system/*.rs patient/*.rs openid"}, "scope", "patient/*.rs, openid"),
    (LAUNCH, {"jwks": KEYS}, "jwks", "no keys"),
    (LAUNCH, {"jwks_uri": "https://a.example/k"}, "jwks_uri", "no keys"),
    (BACKEND, {"jwks": ""}, "jwks", "Paste"),
    (BACKEND, {"jwks_uri": "https://a.example/k"}, "jwks_uri", "one way"),
    (BACKEND, {"jwks": "", "jwks_uri": "http://a.example/k"}, "jwks_uri", "https"),
    (BACKEND, {"jwks": "-----BEGIN PUBLIC KEY-----"}, "jwks", "no JSON"),
    (BACKEND, {"jwks": "[" * 60_000}, "jwks", "no JSON"),
    (BACKEND, {"jwks": "[]"}, "jwks", "list of keys"),
    (BACKEND, {"jwks": '{"keys": []}'}, "jwks", "RSA of at least 2048"),
    (BACKEND, {"jwks": bad_jwks(kid=None)}, "jwks", "kid"),
    (BACKEND, {"jwks": bad_jwks(d="AAAA")}, "jwks", "public keys only"),
    (BACKEND, {"jwks": json.dumps({"keys": [ECKey.generate_key("P-256", {"kid": "a"}).as_dict(
        private=False)]})}, "jwks", "P-384"),
    (BACKEND, {"jwks": json.dumps({"keys": [{"kty": "RSA", "kid": "a", "e": "AQAB",
        "n": "w" * 171}]})}, "jwks", "2048"),
    (BACKEND, {"jwks": json.dumps({"keys": json.loads(KEYS)["keys"] * 2})}, "jwks", "unique"),
    (BACKEND, {"jwks": " " + KEYS + " " * 65_536}, "jwks", "at most"),
    (LAUNCH, {"client_uri": "app.example"}, "client_uri", "whole address"),
    (LAUNCH, {"client_uri": "javascript:alert(1)"}, "client_uri", "whole address"),
    (LAUNCH, {"client_uri": "https://[::1"}, "client_uri", "whole address"),
    (LAUNCH, {"policy_uri": "http://app.example/p"}, "policy_uri", "https"),
    (LAUNCH, {"policy_uri": "https://bücher.example/"}, "policy_uri", "whole address"),
    (LAUNCH, {"contacts": "a@b.example\nme"}, "contacts", "name@example.org"),
    (LAUNCH, {"contacts": "\n".join(f"a{n}@b.example" for n in range(99))}, "contacts", "at most"),
    (LAUNCH, {"valid_from": "2030-02-30"}, "valid_from", "exists"),
    (LAUNCH, {"valid_to": "9999-12-31"}, "valid_to", "exists"),
    (LAUNCH, {"valid_from": "2030-01-02", "valid_to": "2030-01-01"}, "valid_to", "before"),
]  # fmt: skip


@pytest.mark.parametrize(("form", "changes", "field", "says"), REFUSED)
def test_a_problem_stands_with_its_field(
    form: AppForm, changes: dict[str, Any], field: str, says: str
) -> None:
    found = problems(replace(form, **changes))
    assert set(found) == {field}
    assert says in found[field]


def test_who_builds_for_patients_asks_for_one_record_at_a_time() -> None:
    assert "backend" not in kinds_for("patient")
    assert set(problems(BACKEND, service="patient")) == {"kind"}
    wide = replace(LAUNCH, scope="openid patient/*.rs user/Patient.rs")
    assert "user/Patient.rs" in problems(wide, service="patient")["scope"]
    assert problems(wide) == {}
    assert problems(LAUNCH, service="patient") == {}


def test_a_key_set_is_fetched_once_and_judged() -> None:
    form = replace(BACKEND, jwks="", jwks_uri="https://a.example/keys")
    asked: list[str] = []

    def answer(url: str) -> str:
        asked.append(url)
        return KEYS

    assert problems(form, fetch=answer) == {}
    assert asked == ["https://a.example/keys"]
    assert "kid" in problems(form, fetch=lambda _: '{"keys": []}')["jwks_uri"]
    assert problems(form, known_jwks_uri=form.jwks_uri) == {}, "it was judged at its first entry"

    def unreachable(_url: str) -> str:
        raise Unreachable("it leads to a private address")

    assert "private address" in problems(form, fetch=unreachable)["jwks_uri"]
    assert set(problems(replace(form, name=""))) == {"name"}, (
        "not fetched for a form that is refused"
    )


def test_days_are_the_tenants() -> None:
    form = replace(LAUNCH, valid_from="2030-03-10", valid_to="2030-03-10")
    metadata = metadata_of(form, TENANT)
    # New York sets its clocks forward on this day: it has 23 hours and begins at 05:00 UTC.
    assert metadata["valid_from"] == 1_899_349_200
    assert metadata["valid_to"] - metadata["valid_from"] == 23 * 3600


@given(
    st.text(max_size=60) | st.builds("{}://{}".format, st.text(max_size=8), st.text(max_size=40))
)
@settings(max_examples=examples(100), deadline=None)
def test_an_address_has_a_problem_exactly_when_it_may_not_be_registered(uri: str) -> None:
    assert (uri_problem(uri) == "") == redirect_uri_allowed(uri)


def test_every_step_has_advice() -> None:
    assert set(STEPS) == set(get_args(Step))
    assert advice_on("aud")[1].startswith("Send the FHIR base")
