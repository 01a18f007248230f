"""A person's own pages: the account, the apps they allowed, the log of who used their record."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import Any

import pytest
import time_machine

from smart_auth import admin, factors, logins
from smart_auth.access_words import what
from smart_auth.logins import LoginOutcome
from smart_auth.ports import AccessEvent, AccessShown
from smart_auth.records import User
from smart_auth.server import AuthServer, InvalidToken
from smart_auth.store import AuthStore
from smart_auth.web import log_views
from tests.support.smart_auth import PASSWORD, FakeFacade, Tab, code_form, make_app

ACCOUNT = "/fhir/acme/auth/account"
LOG = "/fhir/acme/auth/log"
MANAGE = "/fhir/acme/auth/manage"
NEW = "quite another password"
PIN = "274951"


@pytest.fixture
def ann(tab: Tab) -> Tab:
    """A patient on the account page."""
    return open_page(tab, ACCOUNT, "ann")


def open_page(tab: Tab, url: str, username: str) -> Tab:
    """A page of ours, behind a login."""
    tab.answer = tab.client.get(url)
    return tab.login(username)


def other_browser(server: AuthServer, username: str = "ann") -> Tab:
    return open_page(Tab(make_app(server).test_client()), ACCOUNT, username)


class TestPassword:
    def change(self, tab: Tab, old: str = PASSWORD, new: str = NEW, again: str = NEW) -> Tab:
        return tab.submit("account/password", old=old, new=new, again=again)

    def test_a_new_one_counts_and_the_old_one_does_not(
        self, ann: Tab, server: AuthServer, facade: FakeFacade
    ) -> None:
        elsewhere = other_browser(server)
        self.change(ann)
        assert "Your password is changed" in ann.text
        assert ann.client.get(ACCOUNT).status_code == 200
        elsewhere.answer = elsewhere.client.get(ACCOUNT)
        assert elsewhere.title == "Log in"
        assert elsewhere.login("ann").answer.status_code == 403
        assert elsewhere.login("ann", NEW).title == "Account"
        acts = [(e.action, e.reason) for e in facade.events if e.action == "account"]
        assert acts == [("account", "password changed")]
        assert NEW not in repr(facade.events)

    @pytest.mark.parametrize("apps", [["yes"], []], ids=["ticked", "unticked"])
    def test_it_ends_the_access_of_apps_unless_that_is_unticked(
        self, tab: Tab, server: AuthServer, facade: FakeFacade, apps: list[str]
    ) -> None:
        tab.authorize().login("ann").allow()
        form = code_form(tab.sent_back["code"])
        token = tab.client.post("/fhir/acme/auth/token", data=form).get_json()["access_token"]
        tab.answer = tab.client.get(ACCOUNT)
        assert 'name="apps" value="yes" checked' in tab.text
        user = server.verify("acme", token).user_id
        tab.submit("account/password", old=PASSWORD, new=NEW, again=NEW, apps=apps)
        revoked = [e for e in facade.events if e.action == "revoke"]
        if not apps:
            assert server.verify("acme", token)
            assert revoked == []
            return
        with pytest.raises(InvalidToken):
            server.verify("acme", token)
        assert [(e.client_id, e.user_id, e.patient_id) for e in revoked] == [("public", user, "p1")]

    @pytest.mark.parametrize(
        ("fields", "problem"),
        [
            ({"old": "not the password"}, "The password is wrong."),
            ({"again": "something else"}, "The two new passwords differ."),
            ({"new": "short", "again": "short"}, "at least 8 characters"),
            ({"new": "x" * 201, "again": "x" * 201}, "at most 200 characters"),
        ],
    )
    def test_what_is_wrong_is_said_and_nothing_changes(
        self, ann: Tab, fields: dict[str, str], problem: str, server: AuthServer
    ) -> None:
        self.change(ann, **fields)
        assert ann.answer.status_code == 422
        assert problem in ann.text
        assert 'aria-invalid="true"' in ann.text
        assert not [value for value in fields.values() if f'value="{value}"' in ann.text]
        assert other_browser(server).title == "Account"

    def test_not_the_user_name(self, store: AuthStore, people: dict[str, User]) -> None:
        user = admin.create_user(store, "acme", "Long.Name", PASSWORD, role="patient")
        with pytest.raises(ValueError, match="user name"):
            admin.set_password(store, user, "long.name")

    def test_administrators_need_longer_ones(self, store: AuthStore) -> None:
        with pytest.raises(ValueError, match="12"):
            admin.create_user(store, "acme", "root", "elevenchars", role="admin")

    def test_guessing_here_waits_like_at_the_login(self, ann: Tab) -> None:
        for _ in range(5):
            self.change(ann, old="not the password")
        assert "Too many attempts" in self.change(ann).text
        with time_machine.travel(time.time() + 40, tick=True):
            assert "Your password is changed" in self.change(ann).text

    def test_an_account_that_is_stopped_meanwhile_stays_so(
        self,
        ann: Tab,
        store: AuthStore,
        people: dict[str, User],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def stopped(_core: object, _tenant: object, user: User, *_: object) -> LoginOutcome:
            admin.change_user(store, user, active=False)
            return LoginOutcome(user)

        monkeypatch.setattr(logins, "confirm_password", stopped)
        assert "changed at the same moment" in self.change(ann).text
        found = store.users.get("acme", people["ann"].user_id)
        assert found is not None
        assert not found.active

    def test_needs_our_form_and_a_login(self, ann: Tab, tab: Tab) -> None:
        fields = {"old": PASSWORD, "new": NEW, "again": NEW}
        assert ann.client.post(f"{ACCOUNT}/password", data=fields).status_code == 400
        ann.client.delete_cookie("smart_session", path="/fhir/acme/auth")
        assert self.change(ann).title == "Log in"


class TestSecondStep:
    def test_a_pin_is_set_and_asked(
        self, ann: Tab, server: AuthServer, store: AuthStore, people: dict[str, User]
    ) -> None:
        elsewhere = other_browser(server)
        ann.answer = ann.client.get(f"{ACCOUNT}/factor")
        ann.submit("account/factor", kind="pin", password=PASSWORD, pin=PIN, pin_again=PIN)
        assert "Your second step is set up" in ann.text
        assert "A PIN, besides your password" in ann.text
        elsewhere.answer = elsewhere.client.get(ACCOUNT)
        assert elsewhere.title == "Log in"
        assert elsewhere.login("ann").second(PIN).title == "Account"
        assert "Password and PIN" in elsewhere.text

    def test_an_app_is_set_up_and_its_first_code_used_up(
        self, ann: Tab, server: AuthServer
    ) -> None:
        ann.answer = ann.client.get(f"{ACCOUNT}/factor")
        seed = ann.seed
        assert "<svg" in ann.text
        code = factors.code_at(seed, int(time.time()))
        ann.submit("account/factor", kind="totp", password="wrong one", code=code)
        assert (ann.answer.status_code, ann.seed) == (422, seed)
        ann.submit("account/factor", kind="totp", password=PASSWORD, code=f"{code[:3]} {code[3:]}")
        assert "An authenticator app, besides" in ann.text
        elsewhere = Tab(make_app(server).test_client())
        elsewhere.authorize().login("ann").second(code)
        assert elsewhere.answer.status_code == 403

    def test_a_new_page_has_a_new_key(self, ann: Tab) -> None:
        seeds = set()
        for _ in range(2):
            ann.answer = ann.client.get(f"{ACCOUNT}/factor")
            seeds.add(ann.seed)
        assert len(seeds) == 2

    def test_a_key_is_good_for_half_an_hour(self, ann: Tab) -> None:
        ann.answer = ann.client.get(f"{ACCOUNT}/factor")
        seed = ann.seed
        with time_machine.travel(time.time() + 1801, tick=True):
            code = factors.code_at(seed, int(time.time()))
            ann.submit("account/factor", kind="totp", password=PASSWORD, code=code)
            assert "open too long" in ann.text
            assert ann.seed != seed

    def test_removing_it_needs_the_password(
        self, tab: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        admin.give_pin(store, people["ann"], PIN)
        tab.answer = tab.client.get(ACCOUNT)
        tab.login("ann").second(PIN)
        tab.submit("account/factor", kind="none", remove="wrong one")
        assert (tab.answer.status_code, admin.factor_of(store, people["ann"])) == (422, "pin")
        tab.submit("account/factor", kind="none", remove=PASSWORD)
        assert "Your second step is removed" in tab.text
        assert admin.factor_of(store, people["ann"]) is None

    def test_needs_our_form(self, ann: Tab, store: AuthStore, people: dict[str, User]) -> None:
        fields = {"kind": "pin", "password": PASSWORD, "pin": PIN, "pin_again": PIN}
        assert ann.client.post(f"{ACCOUNT}/factor", data=fields).status_code == 400
        assert admin.factor_of(store, people["ann"]) is None

    def test_people_without_a_password_here_are_told_so(
        self, ann: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        admin.change_user(store, people["ann"], password_hash="")
        ann.answer = ann.client.get(ACCOUNT)
        assert "external provider" in ann.text
        assert 'type="password"' not in ann.text


class TestLogins:
    def test_are_listed_and_ended(self, ann: Tab, server: AuthServer) -> None:
        elsewhere = other_browser(server)
        ann.answer = ann.client.get(ACCOUNT)
        assert ann.text.count("this browser") == 1
        found = re.findall(r'name="session" value="([0-9a-f]+)"', ann.text)
        assert len(found) == 1
        ann.submit("account/sessions", session=found[0])
        assert "The login is ended" in ann.text
        elsewhere.answer = elsewhere.client.get(ACCOUNT)
        assert elsewhere.title == "Log in"

    def test_all_but_this_one(self, ann: Tab, server: AuthServer) -> None:
        others = [other_browser(server) for _ in range(2)]
        ann.answer = ann.client.get(ACCOUNT)
        ann.submit("account/sessions", session="others")
        assert ann.title == "Account"
        for other in others:
            other.answer = other.client.get(ACCOUNT)
            assert other.title == "Log in"
        assert not re.findall(r'name="session"', ann.text)

    def test_those_of_others_stay(self, ann: Tab, server: AuthServer, store: AuthStore) -> None:
        nurse = other_browser(server, "nurse")
        user = store.users.by_username("acme", "nurse")
        assert user is not None
        theirs = store.sessions.list("acme", user.user_id, int(time.time()))[0]
        ann.submit("account/sessions", session=theirs.session_hash)
        nurse.answer = nurse.client.get(ACCOUNT)
        assert nurse.title == "Account"

    def test_ending_one_ends_its_online_access(
        self, ann: Tab, server: AuthServer, facade: FakeFacade
    ) -> None:
        elsewhere = Tab(make_app(server).test_client())
        elsewhere.authorize(scope="online_access patient/*.rs").login("ann").allow()
        code = elsewhere.sent_back["code"]
        token = elsewhere.client.post("/fhir/acme/auth/token", data=code_form(code)).get_json()
        assert server.verify("acme", token["access_token"])
        ann.submit("account/sessions", session="others")
        form = {
            "grant_type": "refresh_token",
            "refresh_token": token["refresh_token"],
            "client_id": "public",
        }
        answer = elsewhere.client.post("/fhir/acme/auth/token", data=form)
        assert answer.get_json()["error"] == "invalid_grant"
        assert [(e.client_id, e.patient_id) for e in facade.events if e.action == "revoke"] == [
            ("public", "p1")
        ]


class TestManage:
    def test_decisions_are_listed(self, tab: Tab) -> None:
        tab.authorize(scope="patient/*.rs").login("ann").allow()
        tab.authorize(scope="patient/*.rs").deny()
        tab.answer = tab.client.get(MANAGE)
        badges = re.findall(r'class="badge (?:good|bad)">(\w+)<', tab.text)
        assert sorted(badges) == ["allowed", "denied"]

    def test_loading_the_page_again_ends_nothing_again(self, tab: Tab) -> None:
        tab.authorize().login("ann").allow()
        tab.client.post("/fhir/acme/auth/token", data=code_form(tab.sent_back["code"]))
        tab.answer = tab.client.get(MANAGE)
        grant = re.search(r'name="grant" value="(\w+)"', tab.text)
        assert grant is not None
        answer = tab.client.post(MANAGE, data={"csrf": csrf_of_main(tab), "grant": grant[1]})
        assert answer.status_code == 303
        assert answer.headers["Location"] == f"{MANAGE}?done=ended"


class TestAccessLog:
    def test_says_who_did_what(
        self, tab: Tab, facade: FakeFacade, people: dict[str, User], store: AuthStore
    ) -> None:
        doctor = admin.change_user(store, people["doctor"], name="Dr. Ida <Roe>")
        for event in (
            AccessEvent("acme", "consent", "success", "public", people["ann"].user_id, "p1"),
            AccessEvent("acme", "read", "success", "public", doctor.user_id, "p1"),
            AccessEvent("acme", "export", "success", "gone", None, "p1"),
            AccessEvent("acme", "read", "success", "public", doctor.user_id, "p2"),
        ):
            facade.record(event)
        open_page(tab, LOG, "ann")
        lines = lines_of(tab)
        assert lines == [
            ("An app that was deleted", "The data was exported, with that of a whole group",
             "done"),
            ("Dr. Ida &lt;Roe&gt; (a practitioner), with Public &lt;app&gt;",
             "The record was used", "done"),
            ("You, with Public &lt;app&gt;", "Access was allowed", "done"),
        ]  # fmt: skip

    def test_names_an_app_that_was_deleted(
        self, tab: Tab, facade: FakeFacade, store: AuthStore
    ) -> None:
        facade.record(AccessEvent("acme", "read", "success", "public", None, "p1"))
        admin.delete_client(store, "acme", "public")
        open_page(tab, LOG, "ann")
        assert lines_of(tab) == [("Public &lt;app&gt; (deleted)", "The record was used", "done")]

    def test_names_a_person_who_was_deleted(
        self, tab: Tab, facade: FakeFacade, store: AuthStore, people: dict[str, User]
    ) -> None:
        doctor = admin.change_user(store, people["doctor"], name="Dr. Roe")
        facade.record(AccessEvent("acme", "read", "success", "public", doctor.user_id, "p1"))
        admin.delete_user(store, replace(doctor, version=2))
        open_page(tab, LOG, "ann")
        assert lines_of(tab) == [
            (
                "Dr. Roe (a practitioner then), with Public &lt;app&gt;",
                "The record was used",
                "done",
            )
        ]

    @pytest.mark.parametrize(
        ("act", "client_id", "of", "words"),
        [
            ("patient assigned to a user", None, "doctor", "Opened to Dr. Roe (a practitioner)"),
            ("patient assigned to a user", None, "ann", "Opened to you"),
            ("patient taken from a user", None, "doctor",
             "No longer open to Dr. Roe (a practitioner)"),
            ("patient given to an app", "public", None, "Opened to an app: Public &lt;app&gt;"),
            ("grant ended", "public", "doctor",
             "Access was ended: Dr. Roe (a practitioner), with Public &lt;app&gt;"),
            ("grant ended", "public", None, "Access was ended: Public &lt;app&gt;"),
            ("something new", "public", "doctor",
             "The clinic&#39;s settings for the record were changed"),
        ],
    )  # fmt: skip
    def test_says_who_administered_what(
        self,
        tab: Tab,
        facade: FakeFacade,
        people: dict[str, User],
        store: AuthStore,
        act: str,
        client_id: str | None,
        of: str | None,
        words: str,
    ) -> None:
        admin.change_user(store, people["doctor"], name="Dr. Roe")
        boss = admin.create_user(store, "acme", "boss", PASSWORD, role="admin", name="Bo Ss")
        named = None if of is None else people[of].user_id
        for actor in (boss.user_id, admin.OPERATOR):
            facade.record(
                AccessEvent(
                    "acme", "admin", "success", client_id, named, "p1", reason=act, actor=actor
                )
            )
        open_page(tab, LOG, "ann")
        assert lines_of(tab) == [
            ("The clinic", words, "done"),
            ("Bo Ss (an administrator)", words, "done"),
        ]

    def test_goes_on_by_links(
        self, tab: Tab, facade: FakeFacade, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(log_views, "LINES", 2)
        for number in range(5):
            facade.record(AccessEvent("acme", "read", "success", f"app{number}", None, "p1"))
        open_page(tab, LOG, "ann")
        seen = [len(lines_of(tab))]
        while older := re.search(r'href="([^"]+)" rel="next"', tab.text):
            tab.answer = tab.client.get(older[1].replace("&amp;", "&"))
            seen.append(len(lines_of(tab)))
        assert seen == [2, 2, 1]
        assert "Newest" in tab.text

    @pytest.mark.parametrize("username", ["doctor", "nurse"])
    def test_is_not_for_others(self, tab: Tab, username: str, facade: FakeFacade) -> None:
        facade.record(AccessEvent("acme", "read", "success", "app", None, "p1"))
        open_page(tab, LOG, username)
        assert tab.answer.status_code == 403
        assert "Access log" not in tab.text
        assert lines_of(tab) == []

    def test_another_patient_cannot_be_asked_for(self, tab: Tab, facade: FakeFacade) -> None:
        facade.record(AccessEvent("acme", "read", "success", "app", None, "p2"))
        open_page(tab, LOG, "ann")
        tab.answer = tab.client.get(f"{LOG}?patient=p2")
        assert lines_of(tab) == []
        assert "Adams, Ann" in tab.text

    @pytest.mark.parametrize(
        ("kind", "resource_type", "outcome", "words"),
        [
            ("read", "Appointment", "success", "Read: appointments"),
            ("search-type", "DiagnosticReport", "success", "Searched: reports of examinations"),
            ("history-instance", "Patient", "success", "Read earlier versions: personal details"),
            ("consent", None, "refused", "Access was denied"),
            ("export-file", None, "success", "A file of an export was fetched"),
            ("something-new", None, "success", "The record was used"),
        ],
    )
    def test_words(
        self,
        people: dict[str, User],
        kind: str,
        resource_type: str | None,
        outcome: str,
        words: str,
    ) -> None:
        access = AccessShown(0, kind, resource_type, None, None, outcome, "1")
        assert what(people["ann"], None, None, access) == words


class TestHeader:
    @pytest.mark.parametrize(
        ("role", "links"),
        [
            ("patient", ["manage", "log", "account"]),
            ("practitioner", ["manage", "account"]),
            ("developer", ["manage", "account", "portal"]),
            ("admin", ["manage", "account", "console"]),
        ],
    )
    def test_has_the_links_of_the_role(
        self, tab: Tab, store: AuthStore, role: Any, links: list[str]
    ) -> None:
        admin.create_user(store, "acme", "x", PASSWORD, role=role, patients=["p1"])
        open_page(tab, ACCOUNT, "x")
        header = tab.text.partition("</header>")[0]
        assert re.findall(r'href="/fhir/acme/auth/(\w+)"', header) == links
        assert re.findall(r'/(\w+)" aria-current="page"', header) == ["account"]

    def test_leads_back_to_our_pages_only(self, tab: Tab) -> None:
        for back in (
            "https://evil.example",
            "//evil.example",
            "../../x",
            "log?x=y",
            "/etc",
            "a//b",
        ):
            tab.answer = tab.client.get(ACCOUNT)
            tab.submit("login", username="ann", password=PASSWORD, back=back)
            assert tab.title == "Your apps"
            tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")

    def test_logging_out_needs_our_form(self, ann: Tab) -> None:
        assert ann.client.post("/fhir/acme/auth/logout").status_code == 400
        assert ann.log_out().title == "Log in"


def lines_of(tab: Tab) -> list[tuple[str, ...]]:
    """Who, what and outcome of each line of the log."""
    rows = re.findall(r'<tr role="row">(.*?)</tr>', tab.text, re.DOTALL)[1:]
    cells = [re.findall(r'data-label="\w+">(.*?)</td>', row, re.DOTALL) for row in rows]
    return [tuple(re.sub(r"<[^>]+>", "", cell).strip() for cell in row[1:]) for row in cells]


def csrf_of_main(tab: Tab) -> str:
    """The token of the page's own form."""
    found = re.search(r'name="csrf" value="(\w+)"', tab.text.partition("</header>")[2])
    assert found is not None
    return found[1]
