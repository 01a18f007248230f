"""Two at once, on all workers: whatever may happen once happens once, and what was ended stays
ended.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin

import pytest
import requests

from smart_auth import keyring
from tests.support.demo_tokens import http_session
from tests.support.oauth_browser import OwnBrowser, field
from tests.support.oauth_checks import SEEN
from tests.support.oauth_flow import BackendFlow, OAuthFlow, basic
from tests.support.oauth_kit import KitApp, allow, begin, register

MANY = 6
SCOPE = "launch/patient offline_access patient/*.rs"

Ask = Callable[[requests.Session], requests.Response]


def at_once(asks: Sequence[Ask]) -> list[requests.Response]:
    """The answers to requests sent at the same time, each on a connection of its own."""

    def ask(one: Ask) -> requests.Response:
        with http_session() as own:
            return one(own)

    with ThreadPoolExecutor(len(asks)) as pool:
        return list(pool.map(ask, asks))


def through(app: KitApp, own: requests.Session) -> KitApp:
    """The app on another connection."""
    return replace(app, flow=replace(app.flow, http=own))


def statuses(answers: Sequence[requests.Response]) -> list[int]:
    return sorted(one.status_code for one in answers)


def launched(app: KitApp) -> tuple[str, str]:
    visit = begin(app, SCOPE, user="patient", ehr=False)
    return allow(visit)["code"], visit.verifier


@pytest.mark.parametrize("method", ["none", "client_secret_basic", "ES384"])
def test_a_code_is_redeemed_once_at_most(flow: OAuthFlow, method: str) -> None:
    """Whoever comes second ends what the first one bought: all of them may be attackers."""
    app = register(flow, method)
    code, verifier = launched(app)
    answers = at_once([lambda own: through(app, own).redeem(code, verifier)] * MANY)
    assert statuses(answers)[1:] == [400] * (MANY - 1)
    for one in answers:
        if one.ok:
            token = one.json()["access_token"]
            assert flow.fhir(f"Patient/{one.json()['patient']}", token).status_code == 401
            assert app.refresh(one.json()["refresh_token"]).status_code == 400


def test_codes_of_two_apps_do_not_disturb_each_other(flow: OAuthFlow) -> None:
    apps = [register(flow, "none") for _ in range(3)]
    codes = [launched(app) for app in apps]

    def ask(app: KitApp, code: tuple[str, str]) -> Ask:
        return lambda own: through(app, own).redeem(*code)

    answers = at_once([ask(app, code) for app, code in zip(apps, codes, strict=True)])
    assert statuses(answers) == [200] * 3


def test_refreshing_at_once_within_grace_gives_siblings(flow: OAuthFlow) -> None:
    """Several tabs refresh together: each gets tokens that work, none of them the same."""
    app = register(flow, "none")
    token = app.redeem(*launched(app)).json()["refresh_token"]
    answers = at_once([lambda own: through(app, own).refresh(token)] * MANY)
    assert statuses(answers) == [200] * MANY
    assert len({one.json()["refresh_token"] for one in answers}) == MANY
    for one in answers:
        read = flow.fhir(f"Patient/{one.json()['patient']}", one.json()["access_token"])
        assert read.status_code == 200


def test_reusing_at_once_beyond_grace_ends_all(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    first = app.redeem(*launched(app)).json()
    second = app.refresh(first["refresh_token"]).json()
    digest = keyring.hash_token(first["refresh_token"])
    flow.age("UPDATE refresh_token SET rotated_at = 1 WHERE token_hash = ?", digest)
    answers = at_once([lambda own: through(app, own).refresh(first["refresh_token"])] * MANY)
    assert statuses(answers) == [400] * MANY
    assert app.refresh(second["refresh_token"]).status_code == 400
    for tokens in (first, second):
        read = flow.fhir(f"Patient/{tokens['patient']}", tokens["access_token"])
        assert read.status_code == 401


def test_a_stolen_token_and_its_owner_at_once_beyond_grace(flow: OAuthFlow) -> None:
    """The owner uses the new token while a thief uses the old one: the thief gets nothing, and the
    family is over for both.
    """
    app = register(flow, "none")
    old = app.redeem(*launched(app)).json()["refresh_token"]
    new = app.refresh(old).json()["refresh_token"]
    digest = keyring.hash_token(old)
    flow.age("UPDATE refresh_token SET rotated_at = 1 WHERE token_hash = ?", digest)
    thief, owner = at_once(
        [
            lambda own: through(app, own).refresh(old),
            lambda own: through(app, own).refresh(new),
        ]
    )
    assert thief.status_code == 400
    if owner.ok:
        assert app.refresh(owner.json()["refresh_token"]).status_code == 400
        read = flow.fhir(f"Patient/{owner.json()['patient']}", owner.json()["access_token"])
        assert read.status_code == 401


def test_revoking_wins_over_refreshing(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    token = app.redeem(*launched(app)).json()["refresh_token"]
    asks: list[Ask] = [lambda own: through(app, own).refresh(token)] * 4
    asks.insert(2, lambda own: through(app, own).post("revoke", {"token": token}))
    revoked, *others = sorted(at_once(asks), key=lambda one: len(one.content))
    assert revoked.status_code == 200
    for one in others:
        if one.ok:
            told = one.json()
            assert app.refresh(told["refresh_token"]).status_code == 400
            read = flow.fhir(f"Patient/{told['patient']}", told["access_token"])
            assert read.status_code == 401


@pytest.mark.parametrize("name", ["backend", "other_key_backend"])
def test_an_assertion_is_taken_once(flow: OAuthFlow, name: str) -> None:
    service = BackendFlow(flow, name)
    text = service.assertion()
    answers = at_once([lambda own: BackendFlow(replace(flow, http=own), name).ask(text)] * MANY)
    assert statuses(answers) == [200] + [400] * (MANY - 1)


def test_one_jti_in_different_assertions_is_taken_once(flow: OAuthFlow) -> None:
    service = BackendFlow(flow)
    jti = secrets.token_hex(8)
    texts = [service.assertion({"jti": jti}) for _ in range(MANY)]

    def ask(text: str) -> Ask:
        return lambda own: BackendFlow(replace(flow, http=own)).ask(text)

    assert statuses(at_once([ask(text) for text in texts])) == [200] + [400] * (MANY - 1)


def decided(browser: OwnBrowser, decision: str) -> Ask:
    """A request that answers the consent page of a browser, with its cookies."""
    form = browser.form("decision")
    data = form.data({}, f"decision={decision}")
    url = urljoin(browser.url, form.action)
    cookies = "; ".join(f"{one.name}={one.value}" for one in browser.session.cookies)
    return lambda own: own.post(
        url, data=data, headers={"Cookie": cookies}, allow_redirects=False, timeout=30
    )


def codes_of(answers: Sequence[requests.Response]) -> list[str]:
    found = [one.headers.get("Location", "") for one in answers]
    return [one for one in found if "code=" in one]


def test_a_page_is_answered_once(flow: OAuthFlow) -> None:
    app = register(flow, "none")
    visit = begin(app, SCOPE, user="patient", ehr=False)
    answers = at_once([decided(visit.browser, "allow")] * MANY)
    visit.browser.close()
    assert len(codes_of(answers)) == 1


def test_yes_and_no_at_once_count_once(flow: OAuthFlow) -> None:
    """A double answer gives one code at most, and never after a no was taken."""
    app = register(flow, "none")
    for _ in range(3):
        visit = begin(app, SCOPE, user="patient", ehr=False)
        yes, no = decided(visit.browser, "allow"), decided(visit.browser, "deny")
        answers = at_once([yes, no, yes, no])
        visit.browser.close()
        assert len(codes_of(answers)) <= 1


def test_a_launch_value_gives_one_code(flow: OAuthFlow) -> None:
    """Two tabs on one launch value, both allowed at once."""
    browser, launch = flow.from_ehr()
    browser.close()
    visits = []
    for _ in range(3):
        one = OwnBrowser(stop_at=flow.redirect_uri)
        one.session.cookies.update(browser.session.cookies)
        sent, verifier = flow.query(scope="launch patient/*.rs", launch=launch)
        SEEN.add(verifier)
        one.open(flow.authorize_url(sent))
        visits.append(one)
    answers = at_once([decided(one, "allow") for one in visits])
    assert len(codes_of(answers)) == 1
    for one in visits:
        one.close()


def test_a_ticket_logs_in_once(flow: OAuthFlow) -> None:
    demo = flow.demo.demo
    ehr = demo["host_ehr"]
    document = {
        "user": demo["users"]["practitioner"]["username"],
        "client_id": demo["clients"]["public"]["client_id"],
        "patient": demo["patient_id"],
    }
    header = {"Authorization": basic(ehr["client_id"], ehr["client_secret"])}
    made = flow.post("launch", None, json=document, headers=header).json()
    SEEN.update((made["launch"], made["open_url"].rpartition("=")[2]))
    answers = at_once(
        [lambda own: own.get(made["open_url"], allow_redirects=False, timeout=30)] * MANY
    )
    assert statuses(answers) == [303] + [400] * (MANY - 1)
    sessions = [one for one in answers if "smart_session" in one.headers.get("Set-Cookie", "")]
    assert len(sessions) == 1


def test_two_changes_of_a_registration_at_once_leave_one_of_them(flow: OAuthFlow) -> None:
    metadata = {"client_name": "Racing", "redirect_uris": ["https://kit.example/redirect"]}
    made = flow.post("register", None, json=metadata).json()
    header = {"Authorization": f"Bearer {made['registration_access_token']}"}
    names = [f"Racing {number}" for number in range(MANY)]

    def ask(name: str) -> Ask:
        body = {**metadata, "client_id": made["client_id"], "client_name": name}
        return lambda own: own.put(
            made["registration_client_uri"], json=body, headers=header, timeout=30
        )

    answers = at_once([ask(name) for name in names])
    assert {one.status_code for one in answers} <= {200, 503}
    taken = [name for name, one in zip(names, answers, strict=True) if one.ok]
    assert taken
    kept = flow.get(made["registration_client_uri"], headers=header).json()
    assert kept["client_name"] in taken


def test_a_registration_that_is_deleted_is_gone_for_all(flow: OAuthFlow) -> None:
    metadata = {"client_name": "Going", "redirect_uris": ["https://kit.example/redirect"]}
    made = flow.post("register", None, json=metadata).json()
    header = {"Authorization": f"Bearer {made['registration_access_token']}"}
    url = made["registration_client_uri"]
    body = {**metadata, "client_id": made["client_id"], "client_name": "Staying"}
    asks: list[Ask] = [lambda own: own.put(url, json=body, headers=header, timeout=30)] * 3
    asks.insert(1, lambda own: own.delete(url, headers=header, timeout=30))
    answers = at_once(asks)
    assert answers[1].status_code == 204
    assert {one.status_code for one in answers} <= {200, 204, 401, 503}
    assert flow.get(url, headers=header).status_code == 401


def test_failures_at_once_are_all_counted(flow: OAuthFlow) -> None:
    """A guesser who sends them side by side is slowed as one who sends them in turn."""
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        csrf = field(browser.form("password"), "csrf")
        cookies = f"smart_browser={browser.cookie('smart_browser')}"
    data: dict[str, Any] = {"csrf": csrf, "request": "", "username": "racing", "password": "x"}
    url = f"{flow.base}/auth/login"

    def ask(own: requests.Session) -> requests.Response:
        return own.post(url, data=data, headers={"Cookie": cookies}, timeout=30)

    seen = {one.status_code for _ in range(4) for one in at_once([ask] * 12)}
    assert seen == {403, 429}
