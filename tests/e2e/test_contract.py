"""`contract.json` has the members that clients of the demo rely on, and what they name is true."""

from __future__ import annotations

import stat
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sandbox.demo.forms import FormBrowser
from smart_auth import factors
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import backend_token, http_session, launch_token, of_tenant

EC = {"kty": "EC", "crv": "P-384", "kid": str, "alg": "ES384", "d": str, "x": str, "y": str}
RSA = {"kty": "RSA", "kid": str, "alg": "RS384", "n": str, "e": str, "d": str}
PERSON = {"username": str, "password": str}
TENANT: dict[str, Any] = {
    "ehr_launch_url": str,
    "clients": {
        "public": {
            "client_id": str,
            "redirect_uri": "http://localhost:8765/app.html",
            "launch_url": "http://localhost:8765/launch.html",
            "scope": str,
        },
        "confidential": {
            "client_id": str,
            "client_secret": str,
            "redirect_uri": "http://localhost:8765/cb",
            "scope": str,
        },
        "backend": {"client_id": str, "jwk": EC},
    },
    "users": {"practitioner": PERSON, "patient": {**PERSON, "patient_id": str}},
    "group_id": str,
    "patient_id": str,
    "other_patient_id": str,
    "second_backend": {"client_id": str, "jwk": EC},
    "other_key_backend": {"client_id": str, "jwk": RSA},
    "timezone": str,
    "deleted": str,
    "patient_types": ["Appointment", "DiagnosticReport"],
    "sandbox": {"qubs": str},
    "admin": PERSON,
    "developer": PERSON,
    "practitioner_totp": {**PERSON, "totp_secret": str},
    "patient_pin": {**PERSON, "pin": str, "patient_id": str},
    "host_ehr": {"client_id": str, "client_secret": str, "launch_endpoint": str},
}
TENANTS = (None, "zenith")
MORE_PEOPLE = ("admin", "developer", "practitioner_totp", "patient_pin")


def differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Where `found` lacks a member of `wanted` or holds another value or an empty one."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping):
            return [f"{path}: no object"]
        return [
            line
            for name in wanted
            for line in differences(wanted[name], found.get(name), f"{path}.{name}")
        ]
    if wanted is str:
        return [] if isinstance(found, str) and found else [f"{path}: no text"]
    return [] if found == wanted else [f"{path}: another value"]


def test_the_comparison_sees_what_is_missing() -> None:
    assert differences({"a": {"b": str}}, {"a": {"b": ""}}) == [".a.b: no text"]
    assert differences({"a": 1}, {"a": 2}) == [".a: another value"]
    assert differences({"a": {"b": str}}, {}) == [".a: no object"]


def test_the_members_are_those_of_the_contract(demo: RunningDemo) -> None:
    base = f"http://127.0.0.1:{demo.port}/fhir/acme"
    assert set(demo.contract) == {"fhir_base", "demo"}
    assert differences({"fhir_base": base, "demo": TENANT}, demo.contract) == []
    assert list(demo.demo["tenants"]) == ["zenith"]
    second = {"fhir_base": f"http://127.0.0.1:{demo.port}/fhir/zenith", **TENANT}
    assert differences(second, demo.demo["tenants"]["zenith"]) == []
    mode = stat.S_IMODE((demo.state / "contract.json").stat().st_mode)
    assert mode == 0o600


def test_the_two_practices_share_no_secret(demo: RunningDemo) -> None:
    first, second = (of_tenant(demo, tenant)[1] for tenant in TENANTS)

    def secrets(part: Mapping[str, Any]) -> set[str]:
        return {
            part["clients"]["confidential"]["client_secret"],
            *(part[name]["jwk"]["d"] for name in ("second_backend", "other_key_backend")),
            part["clients"]["backend"]["jwk"]["d"],
            *(person["password"] for person in part["users"].values()),
            part["host_ehr"]["client_secret"],
            part["practitioner_totp"]["totp_secret"],
            *(part[name]["password"] for name in MORE_PEOPLE),
        }

    assert len(secrets(first)) == len(secrets(second)) == 12
    assert not secrets(first) & secrets(second)


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_patients_are_three_with_data(demo: RunningDemo, tenant: str | None) -> None:
    base, part = of_tenant(demo, tenant)
    third = part["users"]["patient"]["patient_id"]
    patients = (part["patient_id"], part["other_patient_id"], third)
    assert len(set(patients)) == 3
    token = backend_token(demo, tenant=tenant)
    with http_session() as http:
        http.headers["Authorization"] = f"Bearer {token}"
        for patient in patients:
            for name in part["patient_types"]:
                url = f"{base}/{name}?patient={patient}&_summary=count"
                assert http.get(url, timeout=30).json()["total"] > 0, name


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("client", ["backend", "second_backend", "other_key_backend"])
def test_each_backend_reads_its_group(demo: RunningDemo, tenant: str | None, client: str) -> None:
    base, part = of_tenant(demo, tenant)
    with http_session() as http:
        token = backend_token(demo, client, tenant=tenant)
        http.headers["Authorization"] = f"Bearer {token}"
        answer = http.get(f"{base}/Group/{part['group_id']}", timeout=30)
        assert answer.status_code == 200
        members = {one["entity"]["reference"] for one in answer.json()["member"]}
        assert f"Patient/{part['patient_id']}" in members


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_deleted_appointment_is_gone_for_those_who_could_read_it(
    demo: RunningDemo, tenant: str | None
) -> None:
    base, part = of_tenant(demo, tenant)
    own = launch_token(demo, "launch/patient patient/*.rs", tenant=tenant)["access_token"]
    other = launch_token(
        demo, "launch/patient patient/*.rs", patient=part["other_patient_id"], tenant=tenant
    )["access_token"]
    with http_session() as http:
        for token, status in ((own, 410), (backend_token(demo, tenant=tenant), 410), (other, 404)):
            answer = http.get(
                f"{base}/{part['deleted']}",
                headers={"Authorization": f"Bearer {token}"},
                timeout=30,
            )
            assert answer.status_code == status
            assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("tenant", TENANTS)
@pytest.mark.parametrize("name", ["practitioner_totp", "patient_pin"])
def test_the_others_log_in_with_their_second_factor(
    demo: RunningDemo, tenant: str | None, name: str
) -> None:
    base, part = of_tenant(demo, tenant)
    person = part[name]
    with FormBrowser() as browser:
        browser.open(f"{base}/auth/account")
        fill = {"username": person["username"], "password": person["password"]}
        browser.submit(browser.form("username", "password"), fill)
        code = person.get("pin") or factors.code_at(person["totp_secret"], int(time.time()))
        browser.submit(browser.form("code"), {"code": code})
        browser.open(f"{base}/auth/account")
        assert browser.status == 200
        assert not any("password" in form.names() for form in browser.forms())


@pytest.mark.parametrize("tenant", TENANTS)
def test_the_host_ehr_makes_launches(demo: RunningDemo, tenant: str | None) -> None:
    base, part = of_tenant(demo, tenant)
    client, ehr = part["clients"]["public"], part["host_ehr"]
    order = {
        "user": part["users"]["practitioner"]["username"],
        "client_id": client["client_id"],
        "patient": part["patient_id"],
    }
    with http_session() as http:
        answer = http.post(
            ehr["launch_endpoint"],
            json=order,
            auth=(ehr["client_id"], ehr["client_secret"]),
            timeout=30,
        )
    assert answer.status_code == 201
    with FormBrowser(stop_at=client["launch_url"]) as browser:
        browser.open(answer.json()["open_url"])
        query = parse_qs(urlsplit(browser.url).query)
        assert query["iss"] == [base]
        assert len(query["launch"]) == 1
        assert "smart_session" in {cookie.name for cookie in browser.session.cookies}


def test_the_contracts_launch_address_leads_to_the_app_at_once(demo: RunningDemo) -> None:
    client = demo.demo["clients"]["public"]
    url = demo.demo["ehr_launch_url"].format(
        patient_id=demo.demo["patient_id"], client_id=client["client_id"]
    )
    with http_session() as http:
        answer = http.get(url, allow_redirects=False, timeout=30)
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith(f"{client['launch_url']}?")
    assert "smart_session" in answer.cookies


@pytest.mark.parametrize(
    "path", ["/", "/demo/ehr", "/demo/ehr/zenith", "/demo/app/launch.html", "/demo/app/index.html"]
)
def test_the_demos_pages_have_the_look_of_the_others(demo: RunningDemo, path: str) -> None:
    with http_session() as http:
        answer = http.get(f"{demo.root}{path}", timeout=30)
        assert answer.status_code == 200
        assert f"{demo.base}/auth/style.css" in answer.text
        assert '<main id="main"' in answer.text
        if path == "/":
            for page in ("portal", "console", "signup", "manage", "log"):
                assert f"{demo.base}/auth/{page}" in answer.text
