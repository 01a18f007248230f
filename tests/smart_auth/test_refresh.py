"""Refresh tokens: rotation with a grace, reuse that ends the family, narrowing, life and death."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import time_machine
from flask.testing import FlaskClient

from smart_auth import admin
from smart_auth.records import User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.store import AuthStore
from tests.support.smart_auth import REDIRECT, FakeFacade, Tab, code_form, make_app, make_server

TOKEN = "/fhir/acme/auth/token"
DAY = 86_400


def buy(tab: Tab, scope: str | None = None) -> dict[str, Any]:
    changes = {} if scope is None else {"scope": scope}
    tab.authorize(**changes).login("ann").allow()
    answer = tab.client.post(TOKEN, data=code_form(tab.sent_back["code"]))
    return dict(answer.get_json())


def refresh(http: FlaskClient, token: str, **more: str) -> Any:
    form = {"grant_type": "refresh_token", "refresh_token": token} | more
    return http.post(TOKEN, data=form)


def test_each_use_gives_the_next(tab: Tab, server: AuthServer) -> None:
    first = buy(tab)
    second = refresh(tab.client, first["refresh_token"], client_id="public").get_json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["scope"] == first["scope"]
    assert second["patient"] == "p1"
    assert second["expires_in"] == 3600
    assert "id_token" in second
    third = refresh(tab.client, second["refresh_token"]).get_json()
    assert server.verify("acme", third["access_token"]).patient == "p1"
    assert server.verify("acme", first["access_token"]).grant_id == (
        server.verify("acme", third["access_token"]).grant_id
    )


def test_a_public_client_need_not_name_itself_but_not_somebody_else(
    tab: Tab, store: AuthStore
) -> None:
    admin.create_client(store, "acme", {"client_id": "public2", "redirect_uris": [REDIRECT]})
    token = buy(tab)["refresh_token"]
    other = refresh(tab.client, token, client_id="public2")
    assert other.get_json()["error"] == "invalid_grant"
    assert refresh(tab.client, token).status_code == 200


def test_a_confidential_client_must_authenticate(tab: Tab) -> None:
    tab.authorize(client_id="old").login("ann").allow()
    form = code_form(tab.sent_back["code"], client_id=None)
    credentials = ("old", "old-secret")
    token = tab.client.post(TOKEN, data=form, auth=credentials).get_json()["refresh_token"]
    assert refresh(tab.client, token).get_json()["error"] == "invalid_client"
    assert refresh(tab.client, token, client_id="old").get_json()["error"] == "invalid_client"
    form = {"grant_type": "refresh_token", "refresh_token": token}
    assert tab.client.post(TOKEN, data=form, auth=credentials).status_code == 200


def test_a_lost_answer_is_forgiven_for_half_a_minute(tab: Tab, store: AuthStore) -> None:
    other = make_app(make_server(store)).test_client()
    first = buy(tab)["refresh_token"]
    lost = refresh(tab.client, first).get_json()
    sibling = refresh(other, first)
    assert sibling.status_code == 200
    assert sibling.get_json()["refresh_token"] not in (first, lost["refresh_token"])
    assert refresh(tab.client, sibling.get_json()["refresh_token"]).status_code == 200


def test_two_holders_of_one_family_end_it(tab: Tab, server: AuthServer, facade: FakeFacade) -> None:
    """Who stole a token and used it at once is found out when both go on."""
    first = buy(tab)["refresh_token"]
    owner = refresh(tab.client, first).get_json()
    thief = refresh(tab.client, first).get_json()
    fresh = refresh(tab.client, thief["refresh_token"]).get_json()
    assert server.verify("acme", fresh["access_token"])
    late = refresh(tab.client, owner["refresh_token"])
    assert (late.status_code, late.get_json()["error"]) == (400, "invalid_grant")
    assert refresh(tab.client, fresh["refresh_token"]).get_json()["error"] == "invalid_grant"
    with pytest.raises(InvalidToken, match="revoked"):
        server.verify("acme", fresh["access_token"])
    reasons = {event.reason for event in facade.events}
    assert "a rotated refresh token was reused: its family is revoked" in reasons


def test_reuse_after_the_grace_ends_the_family(
    tab: Tab, server: AuthServer, facade: FakeFacade
) -> None:
    first = buy(tab)
    second = refresh(tab.client, first["refresh_token"]).get_json()
    with time_machine.travel(time.time() + 31, tick=True):
        again = refresh(tab.client, first["refresh_token"])
        assert (again.status_code, again.get_json()["error"]) == (400, "invalid_grant")
        assert refresh(tab.client, second["refresh_token"]).get_json()["error"] == "invalid_grant"
        with pytest.raises(InvalidToken, match="revoked"):
            server.verify("acme", second["access_token"])
    reasons = [event.reason for event in facade.events if event.action == "refresh"]
    assert "a rotated refresh token was reused: its family is revoked" in reasons


def test_a_refresh_token_lives_ninety_days_and_slides(tab: Tab) -> None:
    token = buy(tab)["refresh_token"]
    start = time.time()
    with time_machine.travel(start + 89 * DAY, tick=True):
        token = refresh(tab.client, token).get_json()["refresh_token"]
    with time_machine.travel(start + 178 * DAY, tick=True):
        token = refresh(tab.client, token).get_json()["refresh_token"]
    with time_machine.travel(start + 269 * DAY, tick=True):
        assert refresh(tab.client, token).get_json()["error"] == "invalid_grant"


def test_online_access_ends_with_the_session(tab: Tab, server: AuthServer) -> None:
    body = buy(tab, "launch/patient online_access patient/*.rs")
    assert "online_access" in body["scope"]
    token = refresh(tab.client, body["refresh_token"]).get_json()["refresh_token"]
    with time_machine.travel(time.time() + DAY, tick=True):
        assert refresh(tab.client, token).get_json()["error"] == "invalid_grant"
    assert refresh(tab.client, token).status_code == 200
    tab.answer = tab.client.get("/fhir/acme/auth/manage")
    tab.log_out()
    with pytest.raises(InvalidToken):
        server.verify("acme", body["access_token"])


def test_offline_access_outlives_the_session(tab: Tab) -> None:
    token = buy(tab)["refresh_token"]
    tab.answer = tab.client.get("/fhir/acme/auth/manage")
    tab.submit("logout")
    assert refresh(tab.client, token).status_code == 200


@pytest.mark.parametrize("narrow", ["patient/Patient.r", "openid patient/*.rs", "patient/*.read"])
def test_scope_may_be_narrowed_for_one_access_token(
    tab: Tab, server: AuthServer, narrow: str
) -> None:
    first = buy(tab)
    answer = refresh(tab.client, first["refresh_token"], scope=narrow).get_json()
    assert answer["scope"] == narrow
    assert str(server.verify("acme", answer["access_token"]).scopes) == narrow
    whole = refresh(tab.client, answer["refresh_token"]).get_json()
    assert whole["scope"] == first["scope"]


@pytest.mark.parametrize(
    "wide",
    [
        "patient/*.cruds",
        "user/*.rs",
        "system/*.rs",
        "profile",
        "bogus",
        "openid bogus",
        " ",
        "fhirUser",
    ],
)
def test_scope_cannot_be_widened(tab: Tab, wide: str) -> None:
    token = buy(tab)["refresh_token"]
    answer = refresh(tab.client, token, scope=wide)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_scope")
    assert refresh(tab.client, token).status_code == 200


@pytest.mark.parametrize("token", ["nonsense", "x" * 5000])
def test_unknown_tokens(tab: Tab, token: str) -> None:
    assert refresh(tab.client, token).get_json()["error"] == "invalid_client"
    answer = refresh(tab.client, token, client_id="public")
    assert answer.get_json()["error"] == "invalid_grant"


def test_a_missing_token_is_named(tab: Tab) -> None:
    answer = tab.client.post(TOKEN, data={"grant_type": "refresh_token", "client_id": "public"})
    assert answer.get_json()["error"] == "invalid_request"


def test_an_inactive_user_or_client_is_refused(
    tab: Tab, store: AuthStore, people: dict[str, User]
) -> None:
    token = buy(tab)["refresh_token"]
    inactive = admin.change_user(store, people["ann"], active=False)
    assert refresh(tab.client, token).get_json()["error"] == "invalid_grant"
    admin.change_user(store, inactive, active=True)
    admin.deactivate_client(store, "acme", "public")
    assert refresh(tab.client, token).get_json()["error"] == "invalid_client"


def test_a_client_without_the_grant_type_gets_no_refresh_token(tab: Tab, store: AuthStore) -> None:
    client = store.clients.get("acme", "public")
    assert client is not None
    admin.change_client(store, client, grant_types=("authorization_code",))
    body = buy(tab)
    assert "refresh_token" not in body
    assert "offline_access" not in body["scope"]


def test_racing_exchanges_of_one_code_leave_nothing_behind(tab: Tab, store: AuthStore) -> None:
    tab.authorize().login("ann").allow()
    form = code_form(tab.sent_back["code"])
    answers: list[Any] = []
    start = threading.Barrier(6)
    workers = [make_server(store) for _ in range(6)]
    clients = [make_app(worker).test_client() for worker in workers]

    def exchange(client: FlaskClient) -> None:
        start.wait()
        answers.append(client.post(TOKEN, data=form))

    threads = [threading.Thread(target=exchange, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    good = [answer.get_json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {answer.status_code for answer in answers} == {200, 400}
    with pytest.raises(InvalidToken, match="revoked"):
        workers[0].verify("acme", good[0]["access_token"])


def test_racing_refreshes_all_get_a_token_of_one_family(tab: Tab, store: AuthStore) -> None:
    token = buy(tab)["refresh_token"]
    answers: list[Any] = []
    start = threading.Barrier(4)
    workers = [make_server(store) for _ in range(4)]
    clients = [make_app(worker).test_client() for worker in workers]

    def use(client: FlaskClient) -> None:
        start.wait()
        answers.append(refresh(client, token))

    threads = [threading.Thread(target=use, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status_code for answer in answers] == [200] * 4
    grants = {
        workers[0].verify("acme", answer.get_json()["access_token"]).grant_id for answer in answers
    }
    assert len(grants) == 1


def test_online_access_tokens_do_not_outlive_the_grant(tab: Tab) -> None:
    body = buy(tab, "launch/patient online_access patient/*.rs")
    assert body["expires_in"] == 3600
    with time_machine.travel(time.time() + 8 * 3600 - 600, tick=True):
        answer = refresh(tab.client, body["refresh_token"]).get_json()
    assert 500 <= answer["expires_in"] <= 600


def test_a_patient_taken_from_the_user_ends_the_refreshing(tab: Tab, store: AuthStore) -> None:
    body = buy(tab)
    user = next(one for one in admin.list_users(store, "acme") if one.username == "ann")
    admin.change_user(store, user, whole_tenant=False, patients=frozenset())
    answer = refresh(tab.client, body["refresh_token"])
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
