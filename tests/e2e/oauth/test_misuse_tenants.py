"""Nothing of one practice is good at another on the same server: clients, codes, tokens, launches,
forms, cookies, people.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support.demo import RunningDemo
from tests.support.oauth_browser import OwnBrowser, field
from tests.support.oauth_checks import SEEN, claims_of, log_in, refused
from tests.support.oauth_flow import BackendFlow, OAuthFlow, basic
from tests.support.oauth_kit import KitApp, allow, begin, register

SCOPE = "launch/patient openid fhirUser offline_access patient/*.rs"


@pytest.fixture(scope="module")
def zenith(demo: RunningDemo) -> Iterator[OAuthFlow]:
    """The other practice, as if it were the demo's first."""
    part = demo.demo["tenants"]["zenith"]
    contract = {"fhir_base": part["fhir_base"], "demo": {**part, "tenants": {}}}
    one = OAuthFlow(replace(demo, contract=contract), seen=SEEN)
    yield one
    one.close()


@dataclass(frozen=True)
class Here:
    """An app at the first practice with all that a launch gave, and the same app at the other: same
    client_id, same redirect URI, nothing else in common.
    """

    app: KitApp
    there: KitApp
    tokens: dict[str, Any]


@pytest.fixture(scope="module")
def here(flow: OAuthFlow, zenith: OAuthFlow) -> Here:
    app = register(flow, "client_secret_basic")
    visit = begin(app, SCOPE, user="patient", ehr=False)
    tokens = app.redeem(allow(visit)["code"], visit.verifier).json()
    return Here(app, KitApp(zenith, app.method, app.client_id, app.secret), tokens)


def test_a_client_is_known_at_its_own_practice_only(here: Here, zenith: OAuthFlow) -> None:
    sent, _ = zenith.query(
        client_id=here.app.client_id, redirect_uri="https://kit.example/redirect"
    )
    answer = zenith.get(zenith.authorize_url(sent))
    assert answer.status_code == 400
    assert "Location" not in answer.headers
    refused(here.there.redeem("x", "v" * 43), "invalid_client", 401)
    for endpoint in ("introspect", "revoke"):
        refused(here.there.post(endpoint, {"token": "x"}), "invalid_client", 401)


@pytest.mark.parametrize("which", ["access_token", "refresh_token", "id_token"])
def test_a_token_says_nothing_elsewhere(here: Here, zenith: OAuthFlow, which: str) -> None:
    known = zenith.demo.demo["clients"]["confidential"]
    header = {"Authorization": basic(known["client_id"], known["client_secret"])}
    told = zenith.post("introspect", {"token": here.tokens[which]}, headers=header)
    assert told.json() == {"active": False}
    assert zenith.post("revoke", {"token": here.tokens[which]}, headers=header).status_code == 200
    assert here.app.flow.fhir(f"Patient/{here.tokens['patient']}", here.tokens["access_token"]).ok


@pytest.mark.parametrize(
    "path", ["Patient", "Patient/{patient}", "Organization", "Group", "$export"]
)
def test_an_access_token_opens_nothing_elsewhere(here: Here, zenith: OAuthFlow, path: str) -> None:
    answer = zenith.fhir(path.format(**here.tokens), here.tokens["access_token"])
    assert answer.status_code == 401
    assert here.tokens["patient"] not in answer.text


def test_a_public_app_cannot_carry_its_refresh_token_over(
    flow: OAuthFlow, zenith: OAuthFlow
) -> None:
    """Both practices have a public app; the one's token is not good for the other's."""
    tokens = flow.tokens()
    for client_id in (flow.client["client_id"], zenith.client["client_id"], None):
        answer = zenith.refresh(tokens["refresh_token"], client_id=client_id)
        refused(answer, answer.json()["error"])
        assert answer.json()["error"] in ("invalid_grant", "invalid_client")
    assert flow.refresh(tokens["refresh_token"]).status_code == 200


def test_a_code_is_redeemed_at_home_only(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    code, verifier = flow.code()
    for client_id in (flow.client["client_id"], zenith.client["client_id"]):
        answer = zenith.redeem(code, verifier, client_id=client_id)
        assert answer.json()["error"] in ("invalid_grant", "invalid_client")
    assert flow.redeem(code, verifier).status_code == 200


def test_a_launch_is_good_at_home_only(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    browser, launch = flow.from_ehr()
    browser.close()
    answer = zenith.ask(launch=launch, scope="launch patient/*.rs")
    assert "error=invalid_request" in answer.headers["Location"]


def test_an_audience_is_of_one_practice(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    assert "error=invalid_request" in flow.ask(aud=zenith.base).headers["Location"]
    assert "error=invalid_request" in zenith.ask(aud=flow.base).headers["Location"]


def test_an_assertion_for_one_practice_is_none_for_the_other(
    flow: OAuthFlow, zenith: OAuthFlow
) -> None:
    """Even of a service both know by the same id and key, which these two do not."""
    here, there = BackendFlow(flow), BackendFlow(zenith)
    refused(there.ask(here.assertion()), "invalid_client")
    wrong_audience = there.assertion({"aud": f"{flow.base}/auth/token"})
    refused(there.ask(wrong_audience), "invalid_client")
    name = here.client["client_id"]
    borrowed = there.assertion({"iss": name, "sub": name})
    refused(there.ask(borrowed), "invalid_client")


def test_signing_keys_are_the_practices_own(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    def kids(one: OAuthFlow) -> set[str]:
        keys = one.get(f"{one.base}/.well-known/jwks.json").json()["keys"]
        return {key["kid"] for key in keys}

    assert kids(flow).isdisjoint(kids(zenith))


def test_people_are_known_at_their_own_practice_only(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    with OwnBrowser() as browser:
        browser.open(f"{zenith.base}/auth/manage")
        log_in(browser, flow.demo.demo["users"]["practitioner"])
        assert browser.status == 403
        assert browser.cookie("smart_session") is None


PATHS = ("manage", "account", "console", "portal", "log")


@pytest.mark.parametrize("page", PATHS)
def test_a_session_is_carried_over_by_nobody(flow: OAuthFlow, zenith: OAuthFlow, page: str) -> None:
    """The browser would not send the cookie; a person who copies it gets nothing by it either."""
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        log_in(browser, flow.demo.demo["admin"])
        value = browser.cookie("smart_session")
        assert value
        browser.open(f"{zenith.base}/auth/{page}")
        assert "password" in browser.text or browser.status == 403
        answer = zenith.get(
            f"{zenith.base}/auth/{page}", headers={"Cookie": f"smart_session={value}"}
        )
    assert "password" in answer.text
    assert "Log out" not in answer.text


def test_forms_are_the_practices_own(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    """A form's token is of one practice, though the browser's mark were the same at both."""
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        csrf = field(browser.form("password"), "csrf")
        mark = browser.cookie("smart_browser")
    person = zenith.demo.demo["users"]["patient"]
    answer = zenith.post(
        "login",
        {
            "csrf": csrf,
            "request": "",
            "username": person["username"],
            "password": person["password"],
        },
        headers={"Cookie": f"smart_browser={mark}"},
    )
    assert answer.status_code == 400
    assert "smart_session" not in answer.headers.get("Set-Cookie", "")


def test_a_request_goes_on_at_home_only(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    with OwnBrowser() as browser:
        browser.open(flow.authorize_url(flow.query()[0]))
        value = field(browser.form("password"), "request")
        browser.open(f"{zenith.base}/auth/continue?request={value}")
        assert browser.status == 400
        assert "password" not in browser.text


def _open(demo: dict[str, Any], flow: OAuthFlow) -> tuple[dict[str, str], dict[str, Any]]:
    ehr = demo["host_ehr"]
    user = demo["users"]["practitioner"]["username"]
    document = {
        "user": user,
        "client_id": demo["clients"]["public"]["client_id"],
        "patient": demo["patient_id"],
    }
    return {"Authorization": basic(ehr["client_id"], ehr["client_secret"])}, document


def test_a_host_ehr_launches_at_home_only(flow: OAuthFlow, zenith: OAuthFlow) -> None:
    header, document = _open(flow.demo.demo, flow)
    assert zenith.post("launch", None, json=document, headers=header).status_code == 401
    made = flow.post("launch", None, json=document, headers=header)
    assert made.status_code == 201
    ticket = urlsplit(made.json()["open_url"]).query
    answer = zenith.get(f"{zenith.base}/auth/open?{ticket}")
    assert answer.status_code == 400
    assert "smart_session" not in answer.headers.get("Set-Cookie", "")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_registration_is_kept_at_home_only(
    flow: OAuthFlow, zenith: OAuthFlow, method: str
) -> None:
    metadata = {"client_name": "Two homes", "redirect_uris": ["https://kit.example/redirect"]}
    made = flow.post("register", None, json=metadata).json()
    header = {"Authorization": f"Bearer {made['registration_access_token']}"}
    url = made["registration_client_uri"]
    elsewhere = url.replace(flow.base, zenith.base)
    assert elsewhere != url
    body = {**metadata, "client_id": made["client_id"]}
    answer = zenith.http.request(method, elsewhere, headers=header, json=body, timeout=30)
    assert answer.status_code == 401
    assert flow.get(url, headers=header).status_code == 200


@pytest.mark.parametrize(
    "slug",
    ["ACME", "acme%00", "acme%2F..%2Fzenith", "nobody", "%61cme%20", "acme;x", "..%2Fzenith"],
)
@pytest.mark.parametrize(
    "path", ["auth/authorize", "auth/token", ".well-known/smart-configuration"]
)
def test_a_practice_has_one_spelling(flow: OAuthFlow, slug: str, path: str) -> None:
    root = flow.base.removesuffix("acme")
    answer = flow.get(f"{root}{slug}/{path}")
    assert answer.status_code in (400, 404)


def test_a_token_names_its_practice(here: Here, flow: OAuthFlow) -> None:
    claims = claims_of(here.tokens["access_token"])
    assert claims["iss"] == claims["aud"] == flow.base
    assert here.tokens["tenant"] == "acme"
