"""Launches that a host EHR makes over HTTP, and the ticket its user's browser opens."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import time_machine
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.records import User
from smart_auth.server import AuthServer
from smart_auth.settings import Limits
from smart_auth.store import AuthStore
from tests.support.smart_auth import (
    ASSERTION_TYPE,
    LAUNCH_SCOPE,
    PUBLIC_URL,
    REDIRECT,
    SETTINGS,
    FakeFacade,
    Tab,
    assertion,
    backend_key,
    code_form,
    make_app,
    make_server,
    public_jwks,
)

BASE = f"{PUBLIC_URL}/fhir/acme"
LAUNCH = "/fhir/acme/auth/launch"
LAUNCH_URI = "https://app.example/launch?x=1"
HOST = ("host", "host secret of some length")
KEY = backend_key("ES384")
RSA_KEY = backend_key("RS384", "rsa")


@pytest.fixture
def host(store: AuthStore, facade: FakeFacade, people: dict[str, User]) -> None:
    """A host EHR by secret and one by key, an app to launch, and what a launch can be about."""
    facade.resources |= {
        "Encounter/e1": frozenset({"p1"}),
        "DiagnosticReport/r1": frozenset({"p1"}),
        "DiagnosticReport/r2": frozenset({"p2"}),
        "Location/l1": frozenset(),
        "Patient/p1": frozenset({"p1"}),
    }
    for metadata in (
        {"client_id": HOST[0], "client_secret": HOST[1], "may_launch": True},
        {"client_id": "keyed", "jwks": public_jwks(KEY, RSA_KEY), "may_launch": True},
        {
            "client_id": "app",
            "redirect_uris": [REDIRECT],
            "launch_uri": LAUNCH_URI,
            "scope": LAUNCH_SCOPE,
        },
    ):
        admin.create_client(store, "acme", metadata)


def order(http: FlaskClient, auth: tuple[str, str] | None = HOST, **changes: Any) -> Any:
    """Ask for a launch; a member given as None is left out."""
    body = {"user": "nurse", "client_id": "app", "patient": "p1"} | changes
    wanted = {name: value for name, value in body.items() if value is not None}
    return http.post(LAUNCH, json=wanted, auth=auth)


def path_of(url: str) -> str:
    assert url.startswith(PUBLIC_URL)
    return url[len(PUBLIC_URL) :]


@pytest.mark.usefixtures("host")
class TestMaking:
    def test_one_call_gives_all_that_is_needed(self, http: FlaskClient, facade: FakeFacade) -> None:
        answer = order(http)
        assert answer.status_code == 201
        assert answer.headers["Cache-Control"] == "no-store"
        said = answer.get_json()
        assert (said["iss"], said["expires_in"]) == (BASE, 300)
        url = urlsplit(said["launch_url"])
        assert said["launch_url"].startswith(LAUNCH_URI + "&")
        assert parse_qs(url.query) == {"x": ["1"], "iss": [BASE], "launch": [said["launch"]]}
        assert said["open_url"].startswith(f"{BASE}/auth/open?ticket=")
        (event,) = facade.events
        assert (event.action, event.outcome, event.client_id) == ("launch", "success", "host")
        assert said["launch"] not in repr(event)

    def test_the_browser_opens_it_without_another_login(
        self, tab: Tab, facade: FakeFacade, people: dict[str, User]
    ) -> None:
        said = order(
            tab.client,
            encounter="e1",
            intent="review",
            need_patient_banner=False,
            fhirContext=[
                {"reference": "DiagnosticReport/r1", "type": "DiagnosticReport"},
                {"reference": "Location/l1", "role": "https://host.example/room"},
                {"reference": f"{BASE}/Patient/p1", "role": "https://host.example/self"},
                {"canonical": "http://x/Questionnaire/q|1", "type": "Questionnaire"},
                {"identifier": {"system": "urn:acc", "value": "A1"}, "type": "ImagingStudy"},
            ],
        ).get_json()
        opened = tab.client.get(path_of(said["open_url"]))
        assert (opened.status_code, opened.headers["Location"]) == (303, said["launch_url"])
        assert opened.headers["Referrer-Policy"] == "no-referrer"
        tab.authorize(client_id="app", launch=said["launch"], scope="launch openid patient/*.rs")
        assert tab.title.startswith("Allow")
        tab.allow()
        form = code_form(tab.sent_back["code"], client_id="app")
        body = tab.client.post("/fhir/acme/auth/token", data=form).get_json()
        assert (body["patient"], body["encounter"], body["intent"]) == ("p1", "e1", "review")
        assert body["need_patient_banner"] is False
        assert body["fhirContext"] == [
            {"reference": "DiagnosticReport/r1", "type": "DiagnosticReport"},
            {"reference": "Location/l1", "role": "https://host.example/room"},
            {"reference": "Patient/p1", "role": "https://host.example/self"},
            {"canonical": "http://x/Questionnaire/q|1", "type": "Questionnaire"},
            {"identifier": {"system": "urn:acc", "value": "A1"}, "type": "ImagingStudy"},
        ]

    def test_by_fhir_user_and_without_patient(self, tab: Tab) -> None:
        for reference in ("Practitioner/n", f"{BASE}/Practitioner/n"):
            answer = order(tab.client, user=None, fhirUser=reference, patient=None)
            assert answer.status_code == 201
        tab.client.get(path_of(answer.get_json()["open_url"]))
        tab.authorize(
            client_id="app", launch=answer.get_json()["launch"], scope="launch patient/*.rs"
        )
        assert tab.title == "Choose a patient"

    @pytest.mark.parametrize("key", [KEY, RSA_KEY])
    @pytest.mark.parametrize("path", ["launch", "token", "token/"])
    def test_a_host_with_a_key(self, http: FlaskClient, key: Any, path: str) -> None:
        signed = assertion(key, "keyed", aud=f"{BASE}/auth/{path}")
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        assert order(http, None, **proof).status_code == 201
        again = order(http, None, **proof)
        assert (again.status_code, again.get_json()["error"]) == (401, "invalid_client")

    def test_an_app_that_waits_is_launched_for_its_developer_only(
        self, http: FlaskClient, store: AuthStore, people: dict[str, User]
    ) -> None:
        app = store.clients.get("acme", "app")
        assert app is not None
        admin.change_client(store, app, approved_at=None, owner=people["nurse"].user_id)
        assert order(http).status_code == 201
        assert order(http, user="doctor").status_code == 400


REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"user": None}, 400, "request", "user"),
    ({"fhirUser": "Practitioner/n"}, 400, "request", "either"),
    ({"user": "nobody"}, 400, "login", "active user"),
    ({"user": ""}, 400, "request", "user"),
    ({"user": 5}, 400, "request", "user"),
    ({"user": None, "fhirUser": "Practitioner/x"}, 400, "login", "active user"),
    ({"client_id": None}, 400, "request", "client_id"),
    ({"client_id": "nobody"}, 400, "client", "client_id"),
    ({"client_id": "public"}, 400, "redirect", "launch_uri"),
    ({"client_id": "keyed"}, 400, "redirect", "launch_uri"),
    ({"patient": "p3"}, 403, "compartment", "patient"),
    ({"patient": "p9"}, 403, "compartment", "patient"),
    ({"patient": "Patient/p1"}, 400, "request", "without type"),
    ({"patient": 5}, 400, "request", "patient"),
    ({"encounter": "e9"}, 400, "launch", "not on this server"),
    ({"encounter": "e1", "patient": "p2"}, 400, "compartment", "another patient"),
    ({"encounter": "e1", "patient": None}, 400, "launch", "send patient"),
    ({"encounter": "../Patient/p1"}, 400, "request", "encounter"),
    ({"fhirContext": {"reference": "Location/l1"}}, 400, "request", "list"),
    ({"fhirContext": ["Location/l1"]}, 400, "request", "object"),
    ({"fhirContext": [{}]}, 400, "request", "reference"),
    ({"fhirContext": [{"reference": 5}]}, 400, "request", "reference"),
    ({"fhirContext": [{"reference": "Location"}]}, 400, "request", "relative"),
    ({"fhirContext": [{"reference": "https://x/Location/l1"}]}, 400, "request", "relative"),
    ({"fhirContext": [{"reference": "Location/l1", "x": 1}]}, 400, "request", "object of"),
    ({"fhirContext": [{"reference": "Location/l1", "type": "Patient"}]}, 400, "request", "type"),
    ({"fhirContext": [{"reference": "Location/l9"}]}, 400, "launch", "not on this server"),
    ({"fhirContext": [{"reference": "DiagnosticReport/r2"}]}, 400, "compartment", "another"),
    ({"fhirContext": [{"reference": "Patient/p1"}]}, 400, "request", "role"),
    (
        {"fhirContext": [{"reference": "Encounter/e1", "role": "launch"}]},
        400,
        "request",
        "role",
    ),
    ({"fhirContext": [{"identifier": "x"}]}, 400, "request", "identifier"),
    ({"fhirContext": [{"identifier": {"value": "x" * 600}}]}, 400, "request", "identifier"),
    ({"fhirContext": [{"reference": "Location/l1"}] * 21}, 400, "request", "at most"),
    ({"need_patient_banner": "yes"}, 400, "request", "need_patient_banner"),
    ({"intent": "x" * 501}, 400, "request", "intent"),
    ({"intent": "a\nb"}, 400, "request", "intent"),
    ({"patientId": "p1"}, 400, "request", "may hold only"),
]


@pytest.mark.usefixtures("host")
class TestRefusals:
    @pytest.mark.parametrize(("changes", "status", "step", "says"), REFUSED)
    def test_what_is_wrong_is_said_and_traced_and_nothing_is_made(
        self,
        http: FlaskClient,
        store: AuthStore,
        facade: FakeFacade,
        changes: dict[str, Any],
        status: int,
        step: str,
        says: str,
    ) -> None:
        answer = order(http, **changes)
        assert answer.status_code == status
        assert says in answer.get_json()["error_description"]
        assert answer.get_json()["error"] in ("invalid_request", "access_denied")
        assert answer.headers["Cache-Control"] == "no-store"
        (shown,) = facade.refusals("acme", "host")
        assert (shown.endpoint, shown.refusal.step) == ("launch", step)
        for table in ("launch", "login_ticket"):
            with store.database.read() as connection:
                count = connection.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar()
            assert count == 0

    @pytest.mark.parametrize(
        ("auth", "status", "error"),
        [
            (None, 401, "invalid_client"),
            (("host", "wrong"), 401, "invalid_client"),
            (("nobody", "x"), 401, "invalid_client"),
            (("keyed", "x"), 401, "invalid_client"),
            (("old", "old-secret"), 403, "unauthorized_client"),
        ],
    )
    def test_only_a_host_that_proves_itself(
        self, http: FlaskClient, auth: tuple[str, str] | None, status: int, error: str
    ) -> None:
        answer = order(http, auth)
        assert (answer.status_code, answer.get_json()["error"]) == (status, error)
        assert ("WWW-Authenticate" in answer.headers) is (status == 401)

    def test_a_host_that_was_stopped(self, http: FlaskClient, store: AuthStore) -> None:
        admin.deactivate_client(store, "acme", "host")
        assert order(http).status_code == 401

    def test_people_and_apps_that_were_stopped(
        self, http: FlaskClient, store: AuthStore, people: dict[str, User]
    ) -> None:
        user = admin.change_user(store, people["nurse"], active=False)
        assert order(http).status_code == 400
        admin.change_user(store, user, active=True)
        admin.deactivate_client(store, "acme", "app")
        assert order(http).status_code == 400

    def test_a_patient_taken_from_the_app(self, http: FlaskClient, store: AuthStore) -> None:
        app = store.clients.get("acme", "app")
        assert app is not None
        admin.change_client(store, app, patients=frozenset({"p2"}))
        assert order(http).status_code == 403
        assert order(http, patient="p2").status_code == 201

    def test_an_assertion_for_another_address(self, http: FlaskClient) -> None:
        signed = assertion(KEY, "keyed", aud=f"{BASE}/auth/introspect")
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed}
        assert order(http, None, **proof).status_code == 401

    @pytest.mark.parametrize(
        "body", [{"data": "{}"}, {"json": []}, {"data": "{", "content_type": "application/json"}]
    )
    def test_one_json_object(self, http: FlaskClient, body: dict[str, Any]) -> None:
        answer = http.post(LAUNCH, auth=HOST, **body)
        assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_request")

    def test_a_large_body(self, http: FlaskClient) -> None:
        assert order(http, intent="x" * 70_000).status_code == 413

    def test_one_fhir_user_of_two_people(
        self, http: FlaskClient, store: AuthStore, people: dict[str, User]
    ) -> None:
        admin.change_user(store, people["idle"], fhir_user="Practitioner/n")
        answer = order(http, user=None, fhirUser="Practitioner/n")
        assert "Several" in answer.get_json()["error_description"]

    def test_too_many(self, store: AuthStore) -> None:
        settings = replace(SETTINGS, limits=Limits(launches_per_minute=2))
        http = make_app(AuthServer(store, FakeFacade(), settings)).test_client()
        assert {order(http).status_code for _ in range(6)} == {201, 429}


@pytest.mark.usefixtures("host")
class TestOpening:
    def test_once(self, http: FlaskClient) -> None:
        url = path_of(order(http).get_json()["open_url"])
        assert http.head(url).status_code == 405
        assert http.post(url).status_code == 405
        assert http.get(url).status_code == 303
        again = http.get(url)
        assert again.status_code == 400
        assert "used before or has expired" in again.get_data(as_text=True)
        assert "Location" not in again.headers

    @pytest.mark.parametrize("query", ["", "?ticket=", "?ticket=nonsense", "?x=1"])
    def test_garbage(self, http: FlaskClient, query: str) -> None:
        assert http.get(f"/fhir/acme/auth/open{query}").status_code == 400

    def test_as_long_as_the_launch(self, http: FlaskClient) -> None:
        url = path_of(order(http).get_json()["open_url"])
        with time_machine.travel(time.time() + 301, tick=True):
            assert http.get(url).status_code == 400

    def test_at_its_own_tenant(self, http: FlaskClient) -> None:
        url = path_of(order(http).get_json()["open_url"])
        assert http.get(url.replace("acme", "beta")).status_code == 400
        assert http.get(url).status_code == 303

    def test_not_for_a_user_who_was_stopped(
        self, http: FlaskClient, store: AuthStore, people: dict[str, User]
    ) -> None:
        url = path_of(order(http).get_json()["open_url"])
        admin.change_user(store, people["nurse"], active=False)
        answer = http.get(url)
        assert answer.status_code == 400
        assert "smart_session" not in answer.headers.get("Set-Cookie", "")

    def test_racing_browsers(self, store: AuthStore) -> None:
        browsers = [make_app(make_server(store)).test_client() for _ in range(5)]
        facade = FakeFacade()
        url = path_of(
            order(make_app(make_server(store, facade)).test_client()).get_json()["open_url"]
        )
        start = threading.Barrier(len(browsers))
        statuses: list[int] = []

        def open_it(browser: FlaskClient) -> None:
            start.wait()
            statuses.append(browser.get(url).status_code)

        threads = [threading.Thread(target=open_it, args=(one,)) for one in browsers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(statuses) == [303, 400, 400, 400, 400]

    def test_a_second_app_leaves_the_session_of_the_first(self, http: FlaskClient) -> None:
        first = http.get(path_of(order(http).get_json()["open_url"]))
        assert "smart_session" in first.headers["Set-Cookie"]
        second = http.get(path_of(order(http).get_json()["open_url"]))
        assert "Set-Cookie" not in second.headers

    def test_another_user_takes_the_browser_over(
        self, tab: Tab, server: AuthServer, people: dict[str, User]
    ) -> None:
        tab.authorize().login("doctor")
        old = tab.client.get_cookie("smart_session", path="/fhir/acme/auth")
        assert old is not None
        tab.client.get(path_of(order(tab.client).get_json()["open_url"]))
        new = tab.client.get_cookie("smart_session", path="/fhir/acme/auth")
        assert new is not None
        assert new.value != old.value
        other = Tab(make_app(server).test_client())
        other.client.set_cookie("smart_session", old.value, path="/fhir/acme/auth")
        assert other.authorize().title == "Log in"

    def test_the_link_says_nothing_of_the_launch(self, http: FlaskClient, store: AuthStore) -> None:
        said = order(http).get_json()
        assert said["launch"] not in said["open_url"]
        with store.database.read() as connection:
            row = connection.exec_driver_sql("SELECT * FROM login_ticket").one()
        assert said["launch"] not in repr(row)
        assert said["open_url"].partition("ticket=")[2] not in repr(row)
