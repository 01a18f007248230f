"""Launches through the browser: standalone and from an EHR, and every way they are refused."""

from __future__ import annotations

import base64
import json
import time
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import time_machine
from flask.testing import FlaskClient
from joserfc import jwt
from joserfc.jwk import KeySet

from smart_auth import admin
from smart_auth.ports import AccessEvent
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from smart_auth.tokens import half_hash
from tests.support.smart_auth import (
    ASSERTION_TYPE,
    PUBLIC_URL,
    REDIRECT,
    VERIFIER,
    FakeFacade,
    Tab,
    add_apps,
    add_people,
    assertion,
    authorize_query,
    backend_key,
    code_form,
    make_app,
    make_server,
    public_jwks,
)

AUTHORIZE = "/fhir/acme/auth/authorize"
TOKEN = "/fhir/acme/auth/token"
BASE = f"{PUBLIC_URL}/fhir/acme"


def exchange(tab: Tab, **changes: str | None) -> Any:
    """The token answer for the code the tab came back with."""
    form = code_form(**({"code": tab.sent_back["code"]} | changes))
    return tab.client.post(f"/fhir/{tab.tenant}/auth/token", data=form)


def launched(tab: Tab, user: str = "doctor", patient: str = "p2", **changes: Any) -> Any:
    """Go all the way; the token answer's body."""
    tab.authorize(**changes).login(user)
    if "patient" in tab.title:
        tab.pick(patient)
    tab.allow()
    answer = exchange(tab)
    assert answer.status_code == 200, answer.get_json()
    return answer.get_json()


class TestStandalone:
    def test_login_picker_consent_token(
        self, tab: Tab, server: AuthServer, people: dict[str, User]
    ) -> None:
        tab.authorize()
        assert (tab.answer.status_code, tab.title) == (200, "Log in")
        tab.login("doctor")
        assert tab.title == "Choose a patient"
        tab.pick("p2")
        assert tab.title == "Allow Public <app>?"
        assert "Brown, Bob" in tab.text
        tab.allow()
        assert tab.answer.status_code == 302
        assert tab.sent_back["state"] == "st4te"
        assert tab.sent_back["code"].isalnum()
        answer = exchange(tab)
        body = answer.get_json()
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Pragma"] == "no-cache"
        assert body["token_type"] == "Bearer"
        assert body["expires_in"] == 3600
        assert body["patient"] == "p2"
        assert body["need_patient_banner"] is True
        assert body["scope"] == "launch/patient openid fhirUser offline_access patient/*.rs"
        assert body["smart_style_url"].startswith(BASE)
        assert tab.client.get(body["smart_style_url"][len(PUBLIC_URL) :]).get_json()[
            "dim_font_size"
        ]
        verified = server.verify("acme", body["access_token"])
        assert verified.kind == "launch"
        assert verified.patient == "p2"
        assert verified.user_id == people["doctor"].user_id
        assert verified.fhir_user == "Practitioner/d1"
        assert verified.user_whole_tenant

    def test_the_access_token_is_an_rfc_9068_jwt(self, tab: Tab) -> None:
        token = launched(tab)["access_token"]
        header, payload = (
            json.loads(base64.urlsafe_b64decode(part + "==")) for part in token.split(".")[:2]
        )
        assert (header["typ"], header["alg"]) == ("at+jwt", "ES256")
        assert payload["iss"] == payload["aud"] == BASE
        assert {"sub", "client_id", "exp", "iat", "jti", "scope"} <= set(payload)

    def test_the_id_token(self, tab: Tab, people: dict[str, User]) -> None:
        body = launched(tab, nonce="n-0nce ü")
        jwks = tab.client.get("/fhir/acme/.well-known/jwks.json").get_json()
        assert all("d" not in key for key in jwks["keys"])
        claims = jwt.decode(
            body["id_token"], KeySet.import_key_set(jwks), algorithms=["RS256"]
        ).claims
        assert claims["iss"] == BASE
        assert claims["aud"] == "public"
        assert claims["sub"] == people["doctor"].user_id
        assert claims["nonce"] == "n-0nce ü"
        assert claims["fhirUser"] == claims["profile"] == f"{BASE}/Practitioner/d1"
        assert claims["at_hash"] == half_hash(body["access_token"])
        assert claims["exp"] > claims["iat"] >= claims["auth_time"]

    def test_openid_without_fhiruser_names_nobody_in_the_directory(self, tab: Tab) -> None:
        body = launched(tab, scope="openid patient/*.rs")
        payload = json.loads(base64.urlsafe_b64decode(body["id_token"].split(".")[1] + "=="))
        assert "fhirUser" not in payload

    def test_no_id_token_and_no_refresh_token_unless_asked(self, tab: Tab) -> None:
        body = launched(tab, scope="launch/patient patient/*.rs fhirUser")
        assert "id_token" not in body
        assert "refresh_token" not in body

    def test_a_patient_gets_the_own_record_without_picking(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        assert tab.title.startswith("Allow")
        tab.allow()
        assert exchange(tab).get_json()["patient"] == "p1"

    def test_the_picker_shows_only_patients_the_user_may_see(self, tab: Tab) -> None:
        tab.authorize().login("nurse")
        assert "Adams" in tab.text
        assert "Clark" not in tab.text
        tab.pick("p3")
        assert (tab.answer.status_code, tab.title) == (400, "Choose a patient")
        tab.pick("p9")
        assert tab.answer.status_code == 400
        tab.pick("p1")
        assert tab.title.startswith("Allow")

    def test_the_picker_searches_by_post_and_enter_searches(self, tab: Tab) -> None:
        tab.authorize().login("doctor")
        tab.submit("patient", q="brown", action="search")
        assert "Brown" in tab.text
        assert "Adams" not in tab.text
        tab.submit("patient", q="clark", patient="p2", action="continue")
        assert tab.title == "Choose a patient"
        assert "Clark" in tab.text
        tab.submit("patient", q="nobody at all", action="search")
        assert "Nobody found" in tab.text

    def test_each_look_for_patients_leaves_a_row_without_words(
        self, tab: Tab, facade: FakeFacade, people: dict[str, User]
    ) -> None:
        tab.authorize().login("doctor")
        tab.submit("patient", q="bro\0wn" + " x" * 5000, action="search")
        assert "Nobody found" in tab.text
        looks = [event for event in facade.events if event.action == "patient-search"]
        doctor = people["doctor"].user_id
        assert looks == [AccessEvent("acme", "patient-search", "success", "public", doctor)] * 2

    def test_enter_on_a_chosen_patient_goes_on(self, tab: Tab) -> None:
        """Enter presses the form's first button, which is Search."""
        tab.authorize().login("doctor")
        tab.submit("patient", patient="p2", action="search")
        assert tab.title.startswith("Allow")

    def test_nothing_chosen_is_said(self, tab: Tab) -> None:
        tab.authorize().login("doctor")
        tab.submit("patient", action="continue")
        assert "Choose a patient of the list" in tab.text

    def test_without_patients_a_patient_scope_is_refused(self, tab: Tab) -> None:
        tab.authorize().login("idle")
        assert tab.sent_back["error"] == "access_denied"
        assert tab.sent_back["state"] == "st4te"

    def test_user_scopes_need_no_patient(self, tab: Tab) -> None:
        body = launched(tab, scope="openid fhirUser user/*.rs")
        assert "patient" not in body
        assert body["scope"] == "openid fhirUser user/*.rs"

    def test_system_scopes_are_not_for_launches(self, tab: Tab) -> None:
        tab.authorize(scope="system/*.rs")
        assert tab.sent_back["error"] == "invalid_scope"

    def test_launch_scope_without_a_launch_is_dropped(self, tab: Tab) -> None:
        assert launched(tab, scope="launch patient/*.rs")["scope"] == "patient/*.rs"

    def test_by_post(self, tab: Tab) -> None:
        tab.authorize("post").login("ann")
        tab.allow()
        assert exchange(tab).status_code == 200

    def test_scopes_answer_in_the_dialect_asked_for(self, tab: Tab) -> None:
        asked = "patient/*.read patient/Observation.r patient/Condition.rs?category=http://x|y"
        assert launched(tab, scope=asked)["scope"] == asked

    def test_unknown_and_forbidden_scopes_are_dropped(self, tab: Tab) -> None:
        body = launched(tab, scope="patient/*.rs user/*.cruds bogus patient/Bogus.rs")
        assert body["scope"] == "patient/*.rs user/*.rs"

    def test_a_code_buys_nothing_after_all_grants_were_ended(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        tab.authorize().login("ann")
        tab.allow()
        admin.end_grants(store, "acme", user_id=people["ann"].user_id)
        answer = exchange(tab)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
        assert "expired" in answer.get_json()["error_description"]

    def test_online_access_begins_in_a_login_only(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        tab.authorize(scope="launch/patient online_access patient/*.rs").login("ann")
        tab.allow()
        admin.end_sessions(store, people["ann"])
        answer = exchange(tab)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
        assert "login" in answer.get_json()["error_description"]

    def test_a_scope_without_end_is_refused(self, tab: Tab) -> None:
        sent = tab.authorize(scope="patient/*.rs " * 1000).sent_back
        assert (sent["error"], "at most" in sent["error_description"]) == ("invalid_scope", True)

    def test_a_users_own_limit_counts(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        admin.change_user(store, people["doctor"], scope="patient/Patient.rs")
        body = launched(tab, scope="launch/patient openid patient/*.cruds user/*.rs")
        assert body["scope"] == "launch/patient openid patient/Patient.rs"

    def test_a_user_limited_to_nothing_of_it_is_refused(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        admin.change_user(store, people["doctor"], scope="user/Location.rs")
        tab.authorize(scope="patient/*.rs").login("doctor")
        assert tab.sent_back["error"] == "invalid_scope"

    def test_unticked_scopes_are_not_granted(self, tab: Tab, server: AuthServer) -> None:
        tab.authorize().login("ann")
        tab.allow(without={"offline_access", "fhirUser"})
        body = exchange(tab).get_json()
        assert body["scope"] == "launch/patient openid patient/*.rs"
        assert "refresh_token" not in body

    def test_scopes_that_were_not_offered_cannot_be_ticked(self, tab: Tab) -> None:
        tab.authorize(scope="patient/Patient.rs").login("ann")
        tab.submit("consent", scope=["patient/Patient.rs", "user/*.cruds"], decision="allow")
        assert exchange(tab).get_json()["scope"] == "patient/Patient.rs"

    def test_a_patient_scope_always_carries_its_patient(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        tab.allow(without={"launch/patient"})
        assert exchange(tab).get_json()["patient"] == "p1"

    def test_nothing_ticked_is_access_denied(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        tab.allow(without=set(tab.offered))
        assert tab.sent_back["error"] == "access_denied"

    def test_deny(self, tab: Tab, store: AuthStore, people: dict[str, User]) -> None:
        tab.authorize().login("ann").deny()
        assert tab.sent_back == {
            "error": "access_denied",
            "error_description": "The user denied access",
            "state": "st4te",
        }
        (consent,) = store.grants.consents("acme", people["ann"].user_id)
        assert consent.decision == "denied"

    def test_consent_is_asked_each_time(self, tab: Tab) -> None:
        launched(tab, user="ann", patient="p1")
        tab.authorize()
        assert tab.title.startswith("Allow")

    def test_consent_history(self, tab: Tab, store: AuthStore, people: dict[str, User]) -> None:
        launched(tab, user="ann")
        (consent,) = store.grants.consents("acme", people["ann"].user_id)
        assert consent.decision == "granted"
        assert consent.patient_id == "p1"
        assert "patient/*.rs" in consent.granted_scope


class TestRefusedBeforeRedirect:
    @pytest.mark.parametrize(
        "changes",
        [
            {"client_id": None},
            {"client_id": "nobody"},
            {"client_id": "<script>alert(1)</script>"},
            {"redirect_uri": None},
            {"redirect_uri": "https://evil.example/"},
            {"redirect_uri": REDIRECT + "/"},
            {"redirect_uri": REDIRECT + "?x=1"},
            {"redirect_uri": REDIRECT.upper()},
            {"redirect_uri": "http://localhost:8766/app.html"},
            {"redirect_uri": "javascript:alert(1)"},
        ],
    )
    def test_a_page_and_no_redirect(self, tab: Tab, changes: dict[str, str | None]) -> None:
        tab.authorize(**changes)
        assert tab.answer.status_code == 400
        assert "Location" not in tab.answer.headers
        assert tab.title == "This cannot go on"
        assert "<script>" not in tab.text

    def test_the_received_redirect_uri_is_named(self, tab: Tab) -> None:
        tab.authorize(redirect_uri="https://evil.example/cb")
        assert "https://evil.example/cb" in tab.text

    @pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
    def test_twice(self, tab: Tab, name: str) -> None:
        query = list(authorize_query().items())
        query += [(name, dict(query)[name])]
        answer = tab.client.get(AUTHORIZE, query_string=query)
        assert answer.status_code == 400
        assert "Location" not in answer.headers

    def test_a_post_must_be_a_form(self, tab: Tab) -> None:
        assert tab.client.post(AUTHORIZE, json=authorize_query()).status_code == 400

    def test_never_cors(self, tab: Tab) -> None:
        answer = tab.client.get(
            AUTHORIZE, query_string=authorize_query(), headers={"Origin": "https://a.example"}
        )
        assert not [name for name in answer.headers.keys() if name.startswith("Access-Control")]


class TestRefusedByRedirect:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"response_type": None}, "invalid_request"),
            ({"response_type": "token"}, "unsupported_response_type"),
            ({"response_type": "code token"}, "unsupported_response_type"),
            ({"response_mode": "fragment"}, "invalid_request"),
            ({"aud": None}, "invalid_request"),
            ({"aud": "https://elsewhere/fhir"}, "invalid_request"),
            ({"aud": BASE + "/x"}, "invalid_request"),
            ({"aud": BASE.replace("acme", "beta")}, "invalid_request"),
            ({"aud": BASE.replace("http:", "https:")}, "invalid_request"),
            ({"scope": None}, "invalid_scope"),
            ({"scope": "bogus"}, "invalid_scope"),
            ({"scope": "offline_access"}, "invalid_scope"),
            ({"code_challenge": None}, "invalid_request"),
            ({"code_challenge": None, "code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": None}, "invalid_request"),
            ({"code_challenge_method": "plain"}, "invalid_request"),
            ({"code_challenge_method": "s256"}, "invalid_request"),
            ({"code_challenge": "short"}, "invalid_request"),
            ({"code_challenge": "!" * 50}, "invalid_request"),
            ({"client_id": "secret", "code_challenge": None, "code_challenge_method": None},
             "invalid_request"),
            ({"request": "eyJ"}, "request_not_supported"),
            ({"request_uri": "https://a.example"}, "request_uri_not_supported"),
            ({"prompt": "none"}, "login_required"),
            ({"prompt": "none login"}, "invalid_request"),
            ({"max_age": "-1"}, "invalid_request"),
            ({"launch": "nonsense"}, "invalid_request"),
        ],
    )  # fmt: skip
    def test_error_and_state(self, tab: Tab, changes: dict[str, str | None], error: str) -> None:
        tab.authorize(**changes)
        assert tab.answer.status_code == 302
        assert tab.sent_back["error"] == error
        assert tab.sent_back["state"] == "st4te"
        assert tab.sent_back["error_description"]
        assert "code" not in tab.sent_back

    def test_state_is_required(self, tab: Tab) -> None:
        tab.authorize(state=None)
        assert tab.sent_back["error"] == "invalid_request"
        assert "state" not in tab.sent_back

    @pytest.mark.parametrize("name", ["state", "scope", "aud", "code_challenge"])
    def test_repeated_parameters(self, tab: Tab, name: str) -> None:
        query = [*authorize_query().items(), (name, "again")]
        answer = tab.client.get(AUTHORIZE, query_string=query)
        assert parse_qs(urlsplit(answer.headers["Location"]).query)["error"] == ["invalid_request"]

    def test_an_inactive_app(self, tab: Tab, store: AuthStore) -> None:
        admin.deactivate_client(store, "acme", "public")
        tab.authorize()
        assert tab.sent_back["error"] == "unauthorized_client"

    def test_an_app_deactivated_before_consent(self, tab: Tab, store: AuthStore) -> None:
        tab.authorize().login("ann")
        admin.deactivate_client(store, "acme", "public")
        tab.allow()
        assert tab.sent_back["error"] == "unauthorized_client"

    def test_prompt_none_with_a_session_needs_consent(self, tab: Tab) -> None:
        tab.authorize().login("ann")
        tab.authorize(prompt="none")
        assert tab.sent_back["error"] == "consent_required"

    def test_aud_tolerates_a_trailing_slash(self, tab: Tab) -> None:
        tab.authorize(aud=BASE + "/")
        assert tab.title == "Log in"


@pytest.mark.parametrize(
    "raw",
    ["abc", "a%20b", "a+b", "%C3%A9%ff", "a%26b%3Dc", "%22%3Cscript%3E", "x" * 2000, "a/b?c:d@e"],
)
@pytest.mark.parametrize("outcome", ["allow", "deny", "error"])
def test_state_comes_back_byte_for_byte(tab: Tab, raw: str, outcome: str) -> None:
    query = authorize_query(state=None)
    if outcome == "error":
        query["aud"] = "https://elsewhere"
    encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    tab._follow(tab.client.get(f"{AUTHORIZE}?{encoded}&state={raw}"))
    if outcome != "error":
        tab.login("ann")
        getattr(tab, outcome)()
    location = tab.answer.headers["Location"]
    assert location.partition("state=")[2] == raw


class TestEHRLaunch:
    @pytest.fixture
    def doctor(self, tab: Tab, server: AuthServer, people: dict[str, User]) -> User:
        """The doctor, logged in by the EHR."""
        self.log_in(tab, server, people["doctor"])
        return people["doctor"]

    @staticmethod
    def log_in(tab: Tab, server: AuthServer, user: User) -> None:
        value = server.sessions.start("acme", user.user_id, origin="ehr")
        tab.client.set_cookie("smart_session", value, path="/fhir/acme/auth")

    def test_patient_and_context_of_the_launch(
        self, tab: Tab, server: AuthServer, doctor: User
    ) -> None:
        launch = server.launches.create(
            "acme",
            doctor.user_id,
            "public",
            "p3",
            encounter="e1",
            fhir_context=[{"reference": "DiagnosticReport/r1"}],
            need_patient_banner=False,
            intent="review",
        )
        tab.authorize(launch=launch, scope="launch openid patient/*.rs")
        assert tab.title.startswith("Allow")
        assert "Clark" in tab.text
        tab.allow()
        body = exchange(tab).get_json()
        assert body["patient"] == "p3"
        assert body["encounter"] == "e1"
        assert body["fhirContext"] == [{"reference": "DiagnosticReport/r1"}]
        assert body["intent"] == "review"
        assert body["need_patient_banner"] is False
        assert body["scope"] == "launch openid patient/*.rs"

    def test_a_launch_is_good_once(self, tab: Tab, server: AuthServer, doctor: User) -> None:
        launch = server.launches.create("acme", doctor.user_id, "public", "p1")
        query = {"launch": launch, "scope": "launch patient/*.rs"}
        other = Tab(tab.client)
        tab.authorize(**query)
        other.authorize(**query)
        tab.allow()
        assert "code" in tab.sent_back
        other.allow()
        assert other.sent_back["error"] == "invalid_request"
        assert "used before" in other.sent_back["error_description"]
        tab.authorize(**query)
        assert tab.sent_back["error"] == "invalid_request"

    def test_a_launch_is_for_one_app(self, tab: Tab, server: AuthServer, doctor: User) -> None:
        launch = server.launches.create("acme", doctor.user_id, "secret", "p1")
        tab.authorize(launch=launch, scope="launch patient/*.rs")
        assert tab.sent_back["error"] == "invalid_request"

    def test_a_launch_is_for_one_user(
        self, tab: Tab, server: AuthServer, people: dict[str, User]
    ) -> None:
        launch = server.launches.create("acme", people["nurse"].user_id, "public", "p1")
        self.log_in(tab, server, people["doctor"])
        tab.authorize(launch=launch, scope="launch patient/*.rs")
        assert tab.sent_back["error"] == "access_denied"

    def test_a_launch_lasts_five_minutes(self, tab: Tab, server: AuthServer, doctor: User) -> None:
        launch = server.launches.create("acme", doctor.user_id, "public", "p1")
        with time_machine.travel(_in(301), tick=True):
            tab.authorize(launch=launch, scope="launch patient/*.rs")
            assert tab.sent_back["error"] == "invalid_request"

    @pytest.mark.parametrize("patient", ["p3", "p9"])
    def test_a_launch_gives_no_patient_the_user_may_not_see(
        self, tab: Tab, server: AuthServer, people: dict[str, User], patient: str
    ) -> None:
        launch = server.launches.create("acme", people["nurse"].user_id, "public", patient)
        self.log_in(tab, server, people["nurse"])
        tab.authorize(launch=launch, scope="launch patient/*.rs")
        assert tab.sent_back["error"] == "access_denied"

    def test_a_launch_without_patient_asks_for_one(
        self, tab: Tab, server: AuthServer, doctor: User
    ) -> None:
        launch = server.launches.create("acme", doctor.user_id, "public", None)
        tab.authorize(launch=launch, scope="launch patient/*.rs")
        assert tab.title == "Choose a patient"

    def test_a_launch_does_not_log_anybody_in(
        self, tab: Tab, server: AuthServer, people: dict[str, User]
    ) -> None:
        launch = server.launches.create("acme", people["doctor"].user_id, "public", "p1")
        tab.authorize(launch=launch, scope="launch patient/*.rs")
        assert tab.title == "Log in"

    @pytest.mark.parametrize(
        ("user", "client", "context"),
        [("nobody", "public", ()), ("doctor", "nobody", ()), ("doctor", "public", ({"x": 1},))],
    )
    def test_bad_launches_are_not_made(
        self, server: AuthServer, people: dict[str, User], user: str, client: str, context: Any
    ) -> None:
        user_id = people[user].user_id if user in people else user
        with pytest.raises((LookupError, ValueError)):
            server.launches.create("acme", user_id, client, "p1", fhir_context=context)


def _in(seconds: int) -> float:
    return time.time() + seconds


class TestCodeExchange:
    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"code": None}, "invalid_request"),
            ({"code": "nonsense"}, "invalid_grant"),
            ({"redirect_uri": None}, "invalid_grant"),
            ({"redirect_uri": "http://localhost:8765/other"}, "invalid_grant"),
            ({"code_verifier": None}, "invalid_request"),
            ({"code_verifier": "w" * 64}, "invalid_grant"),
            ({"code_verifier": "short"}, "invalid_request"),
            ({"client_id": None}, "invalid_client"),
            ({"client_id": "nobody"}, "invalid_client"),
            ({"client_id": "secret"}, "invalid_client"),
            ({"client_secret": "x"}, "invalid_client"),
            ({"grant_type": "refresh_token"}, "invalid_request"),
        ],
    )
    def test_a_mistake_buys_nothing_and_costs_nothing(
        self, tab: Tab, changes: dict[str, str | None], error: str
    ) -> None:
        tab.authorize().login("ann").allow()
        wrong = exchange(tab, **changes)
        assert (wrong.status_code, wrong.get_json()["error"]) == (400, error)
        assert wrong.get_json()["error_description"]
        assert wrong.headers["Cache-Control"] == "no-store"
        assert exchange(tab).status_code == 200

    def test_a_code_lasts_a_minute(self, tab: Tab) -> None:
        tab.authorize().login("ann").allow()
        with time_machine.travel(_in(61), tick=True):
            answer = exchange(tab)
        assert answer.get_json()["error"] == "invalid_grant"

    def test_replay_revokes_what_was_bought(
        self, tab: Tab, store: AuthStore, server: AuthServer, facade: FakeFacade
    ) -> None:
        other = make_app(make_server(store, facade)).test_client()
        tab.authorize().login("ann").allow()
        body = exchange(tab).get_json()
        form = code_form(tab.sent_back["code"])
        replay = other.post(TOKEN, data=form)
        assert (replay.status_code, replay.get_json()["error"]) == (400, "invalid_grant")
        (told,) = [event for event in facade.events if event.action == "code-replay"]
        assert told.patient_id == "p1", "the patient's own log says so"
        with pytest.raises(Exception, match="revoked"):
            server.verify("acme", body["access_token"])
        refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        assert tab.client.post(TOKEN, data=refresh).get_json()["error"] == "invalid_grant"

    def test_codes_cross_between_workers(self, tab: Tab, store: AuthStore) -> None:
        worker = make_server(store)
        other = make_app(worker).test_client()
        tab.authorize().login("ann").allow()
        answer = other.post(TOKEN, data=code_form(tab.sent_back["code"]))
        assert worker.verify("acme", answer.get_json()["access_token"]).patient == "p1"

    def test_of_another_app_is_refused(self, tab: Tab, store: AuthStore) -> None:
        admin.create_client(store, "acme", {"client_id": "public2", "redirect_uris": [REDIRECT]})
        tab.authorize().login("ann").allow()
        answer = exchange(tab, client_id="public2")
        assert answer.get_json()["error"] == "invalid_grant"
        assert exchange(tab).status_code == 200

    def test_a_deactivated_user_gets_nothing(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        tab.authorize().login("ann").allow()
        admin.change_user(store, people["ann"], active=False)
        assert exchange(tab).get_json()["error"] == "invalid_grant"


def _basic(pair: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


class TestClientAuthentication:
    ENCODED = "secret:s3cret+%2B%25%2F%C3%A9"

    @pytest.fixture
    def form(self, tab: Tab) -> dict[str, str]:
        tab.authorize(client_id="secret").login("ann").allow()
        return code_form(tab.sent_back["code"], client_id=None)

    @pytest.mark.parametrize(
        "pair", [ENCODED, ENCODED + "\r\n", ENCODED + "\n", "secret:s3cret +%/é"]
    )
    def test_basic(self, tab: Tab, form: dict[str, str], pair: str) -> None:
        answer = tab.client.post(TOKEN, data=form, headers=_basic(pair))
        assert answer.status_code == 200, answer.get_json()

    def test_post(self, tab: Tab, form: dict[str, str]) -> None:
        credentials = {"client_id": "secret", "client_secret": "s3cret +%/é"}
        assert tab.client.post(TOKEN, data=form | credentials).status_code == 200

    @pytest.mark.parametrize(
        "headers",
        [
            _basic("secret:wrong"),
            _basic("nobody:wrong"),
            _basic("secret"),
            _basic("public:"),
            _basic("eyJhbGciOiJIUzI1NiJ9.e30.AAAA"),
            {"Authorization": "Basic !!!"},
            {"Authorization": "Basic"},
            {"Authorization": "Bearer abc"},
        ],
    )
    def test_bad_basic_is_401_with_a_challenge(
        self, tab: Tab, form: dict[str, str], headers: dict[str, str]
    ) -> None:
        answer = tab.client.post(TOKEN, data=form, headers=headers)
        assert (answer.status_code, answer.get_json()["error"]) == (401, "invalid_client")
        assert answer.headers["WWW-Authenticate"].startswith('Basic realm="http')
        assert answer.headers["Access-Control-Allow-Origin"] == "*"

    def test_a_confidential_app_must_authenticate(self, tab: Tab, form: dict[str, str]) -> None:
        answer = tab.client.post(TOKEN, data=form | {"client_id": "secret"})
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_client")

    def test_client_id_may_repeat_but_not_differ(self, tab: Tab, form: dict[str, str]) -> None:
        headers = _basic(self.ENCODED)
        wrong = tab.client.post(TOKEN, data=form | {"client_id": "public"}, headers=headers)
        assert wrong.get_json()["error"] == "invalid_request"
        right = tab.client.post(TOKEN, data=form | {"client_id": "secret"}, headers=headers)
        assert right.status_code == 200

    def test_pkce_is_still_checked(self, tab: Tab, form: dict[str, str]) -> None:
        del form["code_verifier"]
        answer = tab.client.post(TOKEN, data=form, headers=_basic(self.ENCODED))
        assert answer.get_json()["error"] == "invalid_request"

    def test_an_old_app_may_go_without_pkce(self, tab: Tab) -> None:
        none = {"code_challenge": None, "code_challenge_method": None}
        tab.authorize(client_id="old", **none).login("ann").allow()
        form = code_form(tab.sent_back["code"], client_id=None, code_verifier=None)
        with_verifier = form | {"code_verifier": VERIFIER}
        headers = _basic("old:old-secret")
        wrong = tab.client.post(TOKEN, data=with_verifier, headers=headers)
        assert wrong.get_json()["error"] == "invalid_request"
        assert tab.client.post(TOKEN, data=form, headers=headers).status_code == 200


@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_launch_clients_may_use_private_key_jwt(tab: Tab, store: AuthStore, alg: str) -> None:
    key = backend_key(alg)
    metadata = {"client_id": "keyed", "redirect_uris": [REDIRECT], "jwks": public_jwks(key)}
    admin.create_client(store, "acme", metadata)
    tab.authorize(client_id="keyed").login("ann").allow()

    def post(form: dict[str, str], signed: str | None) -> Any:
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        return tab.client.post(TOKEN, data=form | (proof if signed else {}))

    code = code_form(tab.sent_back["code"], client_id=None)
    assert post(code | {"client_id": "keyed"}, None).get_json()["error"] == "invalid_client"
    signed = assertion(key, "keyed")
    answer = post(code | {"client_id": "keyed"}, signed)
    assert answer.status_code == 200
    refresh = {"grant_type": "refresh_token", "refresh_token": answer.get_json()["refresh_token"]}
    for bad in (None, signed, assertion(backend_key(alg), "keyed")):
        assert post(refresh, bad).get_json()["error"] == "invalid_client"
    again = post(refresh, assertion(key, "keyed"))
    assert again.get_json()["refresh_token"] != refresh["refresh_token"]


class TestTenantsShareNothing:
    @pytest.fixture
    def beta(self, http: FlaskClient, store: AuthStore, people: dict[str, User]) -> Tab:
        add_apps(store, "beta")
        add_people(store, "beta")
        return Tab(http, "beta")

    def test_codes(self, tab: Tab, beta: Tab) -> None:
        tab.authorize().login("ann").allow()
        form = code_form(tab.sent_back["code"])
        answer = tab.client.post("/fhir/beta/auth/token", data=form)
        assert answer.get_json()["error"] == "invalid_grant"
        assert exchange(tab).status_code == 200

    def test_sessions(self, tab: Tab, beta: Tab) -> None:
        tab.authorize().login("ann")
        assert tab.authorize().title.startswith("Allow")
        assert beta.authorize().title == "Log in"

    def test_a_session_cookie_moved_by_hand(
        self, beta: Tab, server: AuthServer, people: dict[str, User]
    ) -> None:
        value = server.sessions.start("acme", people["doctor"].user_id)
        beta.client.set_cookie("smart_session", value, path="/fhir/beta/auth")
        assert beta.authorize().title == "Log in"

    def test_launches(self, beta: Tab, server: AuthServer, people: dict[str, User]) -> None:
        launch = server.launches.create("acme", people["doctor"].user_id, "public", "p1")
        beta.authorize(launch=launch, scope="launch patient/*.rs")
        assert beta.sent_back["error"] == "invalid_request"

    def test_pending_requests(self, tab: Tab, beta: Tab) -> None:
        tab.authorize()
        value = tab.text.partition('name="request" value="')[2].partition('"')[0]
        answer = tab.client.get(f"/fhir/beta/auth/continue?request={value}")
        assert answer.status_code == 400

    def test_tokens(self, tab: Tab, beta: Tab, server: AuthServer) -> None:
        body = launched(tab, user="ann")
        with pytest.raises(Exception, match=r"unknown key|another server"):
            server.verify("beta", body["access_token"])
        form = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        answer = tab.client.post("/fhir/beta/auth/token", data=form | {"client_id": "public"})
        assert answer.get_json()["error"] == "invalid_grant"
        seen = tab.client.post(
            "/fhir/beta/auth/introspect",
            data={"token": body["access_token"]},
            headers=_basic("old:old-secret"),
        )
        assert seen.get_json() == {"active": False}

    def test_unknown_tenant(self, tab: Tab, server: AuthServer) -> None:
        assert tab.client.get("/fhir/nobody/.well-known/smart-configuration").status_code == 404
        assert tab.client.post("/fhir/nobody/auth/token").status_code == 404
        with pytest.raises(Exception, match="unknown tenant"):
            server.verify("nobody", "x")


def test_parallel_tabs_keep_their_own_requests(tab: Tab) -> None:
    other = Tab(tab.client)
    tab.authorize(state="one")
    other.authorize(state="two", scope="patient/Patient.rs")
    tab.login("doctor")
    other.login("doctor").pick("p3").allow()
    tab.pick("p2").allow()
    assert (tab.sent_back["state"], other.sent_back["state"]) == ("one", "two")
    assert exchange(tab).get_json()["patient"] == "p2"
    assert exchange(other).get_json()["patient"] == "p3"
