"""Who is let in, and which forms count."""

from __future__ import annotations

import pytest

from tests.support.console import CONSOLE, Browser, House


def routes(house: House) -> list[tuple[str, frozenset[str]]]:
    """Every route of the console as a path, and the methods it takes."""
    prefix = "/fhir/<tenant>/auth/console"
    found = [rule for rule in house.app.url_map.iter_rules() if rule.rule.startswith(prefix)]
    return [
        (
            rule.rule.replace("<tenant>", "acme").replace("<key>", "app"),
            frozenset(rule.methods or ()),
        )
        for rule in found
    ]


def test_every_page_is_for_administrators_only(house: House) -> None:
    paths = [path for path, _ in routes(house)]
    assert len(paths) > 25
    for username in ("doctor", "ann", "dev"):
        browser = house.browser(username)
        for path in paths:
            for answer in (browser.client.get(path), browser.client.post(path)):
                assert answer.status_code in (403, 405), (username, path)
                assert b"not for your account" in answer.data or answer.status_code == 405


def test_who_is_not_logged_in_is_asked_to(house: House) -> None:
    asked = 0
    for path, _ in routes(house):
        for answer in (house.app.test_client().get(path), house.app.test_client().post(path)):
            if answer.status_code != 405:
                asked += 1
                assert b"<h1>Log in</h1>" in answer.data, path
    assert asked > 35


def test_the_login_leads_back_to_the_page(house: House) -> None:
    browser = house.browser()
    browser.open("/users/new")
    assert browser.page.title == "Log in"
    browser.log_in("chief")
    assert browser.page.title == "Make a user"


def test_who_lost_the_role_is_out_at_once(house: House, chief: Browser) -> None:
    user = house.user("deputy")
    deputy = house.browser("deputy")
    assert deputy.open("").status == 200
    chief.open(f"/users/{user.user_id}")
    chief.send(f"/users/{user.user_id}", role="practitioner")
    assert deputy.open("").status == 403


def test_a_form_without_its_token_changes_nothing(house: House, chief: Browser) -> None:
    for path, _ in routes(house):
        answer = chief.client.post(path, data={"csrf": "0" * 64, "once": "1"})
        assert answer.status_code in (400, 405), path
    assert house.acts() == []
    assert house.user("chief").active
    assert house.client("app").active


def test_a_form_is_good_for_its_page_its_administrator_and_its_browser(house: House) -> None:
    chief, other = house.browser("chief"), house.browser("deputy")
    chief.open("/apps/app")
    state = next(f for f in chief.page.forms() if f["action"] == f"{CONSOLE}/apps/app/state")
    fields = state["fields"]
    assert other.post("/apps/app/state", **fields).status == 400
    assert chief.post("/apps/backend/state", **fields).status == 400
    assert chief.post("/apps/app/approval", **fields).status == 400
    assert house.browser().post("/apps/app/state", **fields).title == "Log in"
    assert house.client("app").active
    assert chief.post("/apps/app/state", **fields).status == 200
    assert not house.client("app").active


@pytest.mark.parametrize("path", ["/users/nobody", "/apps/nothing", "/groups/none", "/apps/-%%%"])
def test_what_is_not_there_is_not_found(chief: Browser, path: str) -> None:
    assert chief.open(path).status == 404
    assert "There is no such" in chief.page.text


def test_pages_cannot_be_framed_cached_or_run_scripts(chief: Browser) -> None:
    for path in ("", "/users", "/apps", "/groups", "/grants", "/tokens", "/audit", "/keys"):
        answer = chief.client.get(CONSOLE + path)
        assert answer.status_code == 200, path
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["Cache-Control"] == "no-store"
        assert b"<script" not in answer.data
        assert b" style=" not in answer.data


def test_names_are_escaped(chief: Browser) -> None:
    assert "Odd &lt;one&gt;" in chief.open("/apps").text
