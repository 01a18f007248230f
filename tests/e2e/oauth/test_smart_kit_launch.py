"""What the public SMART App Launch and (g)(10) kits ask of a launch: each kind of app, standalone
and from an EHR, in both dialects of scopes; then discovery, OpenID Connect, introspection, refresh
and revocation with what the launch gave.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

import pytest
import requests
from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_checks import claims_of, no_store
from tests.support.oauth_flow import OAuthFlow
from tests.support.oauth_kit import HOST, KitApp, allow, begin, register

TYPES = ("Patient", "Appointment", "DiagnosticReport", "Location", "Organization", "Practitioner")
SHOWS = ("Patient", "Practitioner", "RelatedPerson", "Person")


def scopes(level: str, access: str, *more: str) -> str:
    return " ".join([*more, *(f"{level}/{one}.{access}" for one in TYPES)])


@dataclass(frozen=True)
class Case:
    """A launch of the kit."""

    method: str
    scope: str
    ehr: bool = False
    user: str = "practitioner"
    post: bool = False


STANDALONE = ("launch/patient", "openid", "fhirUser", "offline_access")
EHR = ("launch", "openid", "fhirUser", "offline_access")
CASES = {
    "standalone": Case("client_secret_basic", scopes("patient", "rs", *STANDALONE)),
    "standalone, v1": Case("client_secret_basic", scopes("patient", "read", *STANDALONE)),
    "standalone, patient": Case(
        "client_secret_basic", scopes("patient", "rs", *STANDALONE), user="patient"
    ),
    "standalone, by POST": Case(
        "client_secret_basic", scopes("patient", "rs", *STANDALONE), post=True
    ),
    "public": Case("none", scopes("patient", "rs", *STANDALONE)),
    "public, v1": Case("none", scopes("patient", "read", *STANDALONE)),
    "ES384": Case("ES384", scopes("patient", "rs", *STANDALONE)),
    "RS384": Case("RS384", scopes("patient", "rs", *STANDALONE)),
    "EHR": Case("client_secret_basic", scopes("user", "rs", *EHR), ehr=True),
    "EHR, v1": Case("client_secret_basic", scopes("user", "read", *EHR), ehr=True),
    "EHR, patient scopes": Case(
        "client_secret_basic", scopes("patient", "rs", *EHR, "fhirUser"), ehr=True
    ),
    "EHR, public": Case("none", scopes("patient", "rs", *EHR), ehr=True),
    "EHR, ES384": Case("ES384", scopes("user", "rs", *EHR), ehr=True, post=True),
}


@dataclass(frozen=True)
class Launched:
    case: Case
    app: KitApp
    sent: dict[str, str]
    callback: dict[str, str]
    answer: requests.Response

    @property
    def tokens(self) -> dict[str, Any]:
        found: dict[str, Any] = self.answer.json()
        return found

    def fhir(self, path: str, **options: Any) -> requests.Response:
        return self.app.flow.fhir(path, self.tokens["access_token"], **options)

    @property
    def patient(self) -> str:
        demo = self.app.flow.demo.demo
        users = demo["users"]
        return str(
            users["patient"]["patient_id"] if self.case.user == "patient" else demo["patient_id"]
        )


@pytest.fixture(scope="module", params=CASES)
def launched(flow: OAuthFlow, request: pytest.FixtureRequest) -> Launched:
    case = CASES[request.param]
    app = register(flow, case.method)
    visit = begin(app, case.scope, user=case.user, ehr=case.ehr, post=case.post)
    callback = allow(visit)
    answer = app.redeem(callback["code"], visit.verifier)
    return Launched(case, app, dict(visit.sent), callback, answer)


def test_the_app_is_called_back_with_code_and_state(launched: Launched) -> None:
    assert launched.callback.keys() == {"code", "state"}
    assert launched.callback["state"] == launched.sent["state"]


def test_the_token_answer_is_whole(launched: Launched) -> None:
    assert launched.answer.status_code == 200
    assert launched.answer.headers["Content-Type"].startswith("application/json")
    no_store(launched.answer)
    tokens = launched.tokens
    for name in ("access_token", "token_type", "scope", "refresh_token", "id_token"):
        assert isinstance(tokens[name], str)
        assert tokens[name]
    assert tokens["token_type"].lower() == "bearer"
    assert isinstance(tokens["expires_in"], int)
    assert 0 < tokens["expires_in"] <= 3600


def test_all_that_was_asked_is_granted_in_its_dialect(launched: Launched) -> None:
    assert set(launched.tokens["scope"].split()) == set(launched.case.scope.split())


def test_a_browser_app_may_read_the_token_answer(launched: Launched) -> None:
    assert launched.answer.headers["Access-Control-Allow-Origin"] in ("*", HOST)


def test_the_patient_in_context_can_be_read(launched: Launched) -> None:
    assert launched.tokens["patient"] == launched.patient
    answer = launched.fhir(f"Patient/{launched.patient}")
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "Patient"
    assert answer.json()["id"] == launched.patient


def test_without_the_token_nothing_can_be_read(launched: Launched) -> None:
    assert (
        launched.app.flow.get(f"{launched.app.flow.base}/Patient/{launched.patient}").status_code
        == 401
    )


@pytest.mark.parametrize("resource_type", TYPES)
def test_every_type_granted_can_be_searched(launched: Launched, resource_type: str) -> None:
    query = {
        "Patient": f"_id={launched.patient}",
        "Appointment": f"patient={launched.patient}",
        "DiagnosticReport": f"patient={launched.patient}",
    }.get(resource_type, "_count=2")
    answer = launched.fhir(f"{resource_type}?{query}")
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == "Bundle"


def test_style_and_banner_are_told(launched: Launched) -> None:
    assert isinstance(launched.tokens["need_patient_banner"], bool)
    style = launched.app.flow.get(launched.tokens["smart_style_url"])
    assert style.status_code == 200
    assert isinstance(style.json(), dict)


def test_the_id_token_is_signed_by_a_published_key(launched: Launched) -> None:
    issuer = claims_of(launched.tokens["id_token"])["iss"]
    found = launched.app.flow.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    assert found.headers["Content-Type"].startswith("application/json")
    configuration = found.json()
    assert {
        "issuer",
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    } <= configuration.keys()
    assert "RS256" in configuration["id_token_signing_alg_values_supported"]
    keys = launched.app.flow.get(configuration["jwks_uri"]).json()["keys"]
    rsa = [RSAKey.import_key(key) for key in keys if key["kty"] == "RSA"]
    assert rsa
    token = jwt.decode(launched.tokens["id_token"], KeySet([*rsa]), algorithms=["RS256"])
    assert token.header["kid"] in {key.kid for key in rsa}
    assert token.claims["iss"] == configuration["issuer"]
    assert token.claims["aud"] in (launched.app.client_id, [launched.app.client_id])
    assert 0 < len(token.claims["sub"]) < 256
    assert token.claims["exp"] > time.time() - 60
    assert token.claims["iat"] <= time.time() + 60


def test_the_current_user_can_be_read(launched: Launched) -> None:
    named = claims_of(launched.tokens["id_token"])["fhirUser"]
    resource_type, resource_id = named.split("/")[-2:]
    assert resource_type in SHOWS
    answer = launched.fhir(f"{resource_type}/{resource_id}", headers={"Origin": HOST})
    assert answer.status_code == 200
    assert answer.json()["resourceType"] == resource_type
    assert answer.headers["Access-Control-Allow-Origin"] in ("*", HOST)


def test_an_unknown_refresh_token_is_refused(launched: Launched) -> None:
    assert launched.app.refresh(secrets.token_urlsafe(32)).status_code in (400, 401)


def test_introspection_tells_what_the_launch_told(
    launched: Launched, resource_server: KitApp
) -> None:
    answer = resource_server.post("introspect", {"token": launched.tokens["access_token"]})
    assert answer.status_code == 200
    told = answer.json()
    identity = claims_of(launched.tokens["id_token"])
    assert told["active"] is True
    assert told["client_id"] == launched.app.client_id
    assert sorted(told["scope"].split()) == sorted(launched.tokens["scope"].split())
    assert told["exp"] >= time.time() - 600
    assert told["patient"] == launched.tokens["patient"]
    assert (told["iss"], told["sub"]) == (identity["iss"], identity["sub"])
    assert told["fhirUser"] == identity["fhirUser"]


@pytest.mark.parametrize("with_scope", [False, True], ids=["without scope", "with scope"])
def test_refreshed_tokens_open_the_same(
    launched: Launched, newest: dict[str, str], with_scope: bool
) -> None:
    asked = {"scope": launched.tokens["scope"]} if with_scope else {}
    answer = launched.app.refresh(newest["token"], **asked)
    assert answer.status_code == 200
    no_store(answer)
    told = answer.json()
    newest["token"] = told["refresh_token"]
    assert told["token_type"].lower() == "bearer"
    assert isinstance(told["expires_in"], int)
    assert set(told["scope"].split()) <= set(launched.tokens["scope"].split())
    assert told["patient"] == launched.patient
    read = launched.app.flow.fhir(f"Patient/{launched.patient}", told["access_token"])
    assert read.status_code == 200


@pytest.fixture(scope="module")
def newest(launched: Launched) -> dict[str, str]:
    """The refresh token that is next, of the launch at hand."""
    return {"token": launched.tokens["refresh_token"]}


def test_the_person_takes_the_grant_back(launched: Launched, newest: dict[str, str]) -> None:
    """The last test of a launch: the person opens the page of their apps and ends it."""
    person = launched.app.flow.demo.demo["users"][launched.case.user]
    grant = claims_of(launched.tokens["access_token"])["gid"]
    with OwnBrowser() as browser:
        browser.open(f"{launched.app.flow.base}/auth/manage")
        login = browser.form("username", "password")
        browser.submit(login, {"username": person["username"], "password": person["password"]})
        browser.submit(next(one for one in browser.forms() if grant in one.options("grant")))
        assert "has ended" in browser.text
    assert launched.fhir(f"Patient/{launched.patient}").status_code == 401
    assert launched.app.refresh(newest["token"]).status_code in (400, 401)


@pytest.fixture(scope="module")
def resource_server(flow: OAuthFlow) -> KitApp:
    """The demo's client that may introspect any token."""
    client = flow.demo.demo["clients"]["confidential"]
    return KitApp(flow, "client_secret_basic", client["client_id"], client["client_secret"])


# --- what the person chooses --------------------------------------------------------------------


@pytest.fixture(scope="module")
def limited(flow: OAuthFlow) -> tuple[OAuthFlow, dict[str, Any]]:
    """A standalone launch in which the patient leaves two types ticked."""
    app = register(flow, "client_secret_basic")
    visit = begin(app, scopes("patient", "rs", *STANDALONE), user="patient", ehr=False)
    kept = [*STANDALONE, "patient/Patient.rs", "patient/Appointment.rs"]
    code = allow(visit, kept)["code"]
    return flow, app.redeem(code, visit.verifier).json()


def test_only_what_was_left_ticked_is_granted(limited: tuple[OAuthFlow, dict[str, Any]]) -> None:
    _, tokens = limited
    granted = set(tokens["scope"].split())
    assert granted == {*STANDALONE, "patient/Patient.rs", "patient/Appointment.rs"}


@pytest.mark.parametrize("resource_type", TYPES)
def test_only_what_was_left_ticked_is_served(
    limited: tuple[OAuthFlow, dict[str, Any]], resource_type: str
) -> None:
    flow, tokens = limited
    field = "_id" if resource_type == "Patient" else "patient"
    query = f"?{field}={tokens['patient']}" if resource_type in TYPES[:3] else ""
    answer = flow.fhir(f"{resource_type}{query}", tokens["access_token"])
    expected = (200,) if resource_type in ("Patient", "Appointment") else (401, 403)
    assert answer.status_code in expected


SECTION = "http://terminology.hl7.org/CodeSystem/v2-0074"


@pytest.mark.parametrize("left", ["RAD", "LAB"])
def test_the_person_chooses_categories_of_a_type(flow: OAuthFlow, left: str) -> None:
    """The kit's granular scope selection: the person grants some categories of what was asked, and
    no scope of the whole type is among the granted.
    """
    app = register(flow, "none")
    wide = f"patient/DiagnosticReport.rs?category={SECTION}|RAD,{SECTION}|LAB"
    visit = begin(app, f"launch/patient patient/Patient.rs {wide}", user="patient", ehr=False)
    boxes = visit.browser.form("decision").options("scope")
    one = f"patient/DiagnosticReport.rs?category={SECTION}|{left}"
    assert one in boxes
    assert wide not in boxes
    kept = ["launch/patient", "patient/Patient.rs", one]
    tokens = app.redeem(allow(visit, kept)["code"], visit.verifier).json()
    assert set(tokens["scope"].split()) == set(kept)
    search = f"DiagnosticReport?patient={tokens['patient']}"
    found = flow.fhir(search, tokens["access_token"]).json()["total"]
    assert (found > 0) is (left == "RAD"), "the demo's reports are of radiology"


CONDITION = "http://terminology.hl7.org/CodeSystem/condition-category"
US_CORE = "http://hl7.org/fhir/us/core/CodeSystem"
OBSERVATION = "http://terminology.hl7.org/CodeSystem/observation-category"
GRANULAR = {
    "first": (
        f"patient/Condition.rs?category={CONDITION}|encounter-diagnosis",
        f"patient/Condition.rs?category={US_CORE}/condition-category|health-concern",
        f"patient/Observation.rs?category={OBSERVATION}|laboratory",
        f"patient/Observation.rs?category={OBSERVATION}|social-history",
    ),
    "second": (
        f"patient/Condition.rs?category={CONDITION}|problem-list-item",
        f"patient/Observation.rs?category={OBSERVATION}|vital-signs",
        f"patient/Observation.rs?category={OBSERVATION}|survey",
        f"patient/Observation.rs?category={US_CORE}/us-core-category|sdoh",
    ),
}


@pytest.mark.parametrize("which", GRANULAR)
def test_the_granular_scopes_of_the_certification_are_granted_as_asked(
    flow: OAuthFlow, which: str
) -> None:
    app = register(flow, "none", scope="launch/patient patient/*.rs")
    asked = ["launch/patient", "patient/Patient.rs", *GRANULAR[which]]
    visit = begin(app, " ".join(asked), user="patient", ehr=False)
    tokens = app.redeem(allow(visit)["code"], visit.verifier).json()
    assert sorted(tokens["scope"].split()) == sorted(asked)


# --- requests that must fail ------------------------------------------------------------------


@pytest.mark.parametrize("aud", ["https://inferno.example/invalid_aud", "http://127.0.0.1/fhir"])
def test_no_code_for_another_audience(flow: OAuthFlow, aud: str) -> None:
    answer = flow.ask(aud=aud)
    assert "code=" not in answer.headers.get("Location", "")
    assert answer.status_code in (302, 303, 400)


@pytest.mark.parametrize("kind", ["none", "blank", "other", "the challenge itself"])
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "ES384"])
def test_a_wrong_verifier_buys_nothing(flow: OAuthFlow, method: str, kind: str) -> None:
    app = register(flow, method)
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    code = allow(visit)["code"]
    verifier = {
        "none": None,
        "blank": "",
        "other": secrets.token_urlsafe(48),
        "the challenge itself": visit.sent["code_challenge"],
    }[kind]
    assert app.redeem(code, "", code_verifier=verifier).status_code in (400, 401)
    assert app.redeem(code, visit.verifier).status_code == 200, "a wrong guess must not spend it"


def test_an_unknown_code_and_an_unknown_client(flow: OAuthFlow) -> None:
    app = register(flow, "client_secret_basic")
    assert app.redeem("BAD_CODE", "v" * 43).status_code == 400
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    code = allow(visit)["code"]
    stranger = KitApp(flow, app.method, "BAD_CLIENT_ID", app.secret)
    assert stranger.redeem(code, visit.verifier).status_code in (400, 401)


# --- what the kit asks a tester to attest -------------------------------------------------------


def test_the_person_is_told_of_lasting_access(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    for scope, told in (("", False), (" offline_access", True)):
        visit = begin(app, f"launch/patient patient/*.rs{scope}", user="patient", ehr=False)
        visit.browser.close()
        assert ("offline_access" in visit.browser.form("decision").options("scope")) is told
        assert ("not using" in visit.browser.text) is told


def test_the_page_names_the_app_the_person_and_whose_data(flow: OAuthFlow) -> None:
    app = register(flow, "none", client_name="Kit of attestation")
    visit = begin(app, "launch/patient patient/*.rs", user="practitioner", ehr=False)
    visit.browser.close()
    name = flow.fhir(
        f"Patient/{flow.demo.demo['patient_id']}",
        flow.tokens("launch patient/Patient.r")["access_token"],
    ).json()["name"][0]["family"]
    assert "Kit of attestation" in visit.browser.text
    assert name in visit.browser.text


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "ES384"])
def test_refresh_tokens_can_last(flow: OAuthFlow, resource_server: KitApp, method: str) -> None:
    """Native apps too get refresh tokens, of about three months by default."""
    app = register(flow, method)
    visit = begin(app, "launch/patient offline_access patient/*.rs", user="patient", ehr=False)
    tokens = app.redeem(allow(visit)["code"], visit.verifier).json()
    told = resource_server.post("introspect", {"token": tokens["refresh_token"]}).json()
    assert told["active"] is True
    assert told["exp"] - time.time() > 89 * 86_400
