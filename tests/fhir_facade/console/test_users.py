"""Making, changing and stopping users; who may not lock the door from inside."""

from __future__ import annotations

import re
import threading

import pytest

from fhir_facade.console import user_views
from smart_auth import admin
from smart_auth.sessions import BROWSER_COOKIE
from smart_auth.store import LastAdmin
from tests.support.console import CONSOLE, PASSWORD, Browser, House, Page, launched


def path_of(house: House, username: str, page: str = "") -> str:
    return f"/users/{house.user(username).user_id}{page}"


def reasons(house: House) -> list[str | None]:
    return [row.reason for row in house.acts()]


class TestList:
    def test_all_users_by_name(self, chief: Browser) -> None:
        text = chief.open("/users").text
        places = [text.index(f">{name}</a>") for name in ("ann", "chief", "dev", "doctor")]
        assert places == sorted(places)

    def test_found_by_part_of_either_name_and_by_role(self, chief: Browser) -> None:
        chief.open("/users")
        assert chief.send("/users", q="CHIE").text.count("/auth/console/users/") == 2
        assert ">nurse<" not in chief.page.text
        assert ">chief<" in chief.send("/users", q="the chief", role="").text
        listed = chief.send("/users", q="", role="developer").text
        assert (">dev<" in listed, ">kin<" in listed, ">nurse<" in listed) == (True, True, False)
        assert "Nobody found" in chief.send("/users", q="100%").text

    def test_page_by_page(self, chief: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(user_views, "PAGE", 3)
        page, seen = chief.open("/users"), list[str]()
        while True:
            seen += re.findall(r">(\w+)</a></td>", page.text)
            onward = re.search(r'href="([^"]+)" rel="next"', page.text)
            if onward is None:
                break
            page = chief.open(onward[1])
        assert seen == ["ann", "chief", "deputy", "dev", "doctor", "kin", "nurse"]


class TestNew:
    def form(self, **changes: str) -> dict[str, str]:
        return {"username": "newcomer", "name": "New Comer", "password": PASSWORD, **changes}

    def test_a_practitioner_can_log_in(self, house: House, chief: Browser) -> None:
        chief.open("/users/new")
        page = chief.send("/users/new", **self.form(fhir_user="Practitioner/x"))
        assert (page.title, page.said) == ("newcomer", ["The user was created."])
        user = house.user("newcomer")
        assert (user.role, user.fhir_user, user.name) == (
            "practitioner", "Practitioner/x", "New Comer",
        )  # fmt: skip
        newcomer = house.browser("newcomer")
        assert newcomer.page.title == "Choose a password"
        assert choose(newcomer).title == "Account"
        assert newcomer.open("").status == 403
        act = house.acts()[0]
        assert (act.reason, act.user_id) == ("user created", user.user_id)
        assert act.actor == house.user("chief").user_id

    def test_a_password_that_was_made_is_shown_once(self, house: House, chief: Browser) -> None:
        chief.open("/users/new")
        page = chief.send("/users/new", **self.form(password=""))
        made = page.text.split('readonly value="')[1].split('"')[0]
        assert len(made) == 20
        browser = house.browser()
        browser.open("/fhir/acme/auth/account")
        assert browser.log_in("newcomer", made).title == "Choose a password"
        assert choose(browser).title == "Account"
        assert made not in chief.open(path_of(house, "newcomer")).text

    @pytest.mark.parametrize("text", ["p2", "Brown", "brown ada", "1980-05-01 Brown"])
    def test_a_patient_has_the_own_record(self, house: House, chief: Browser, text: str) -> None:
        chief.open("/users/new")
        page = chief.send("/users/new", **self.form(role="patient", record=text))
        assert page.title == "newcomer", page.said
        user = house.user("newcomer")
        assert (user.patients, user.fhir_user) == ({"p2"}, "Patient/p2")

    def test_of_several_patients_one_is_chosen(self, house: House, chief: Browser) -> None:
        chief.open("/users/new")
        page = chief.send("/users/new", **self.form(role="patient", record="ad"))
        assert page.status == 422
        assert "Several patients match: choose one." in page.text
        assert 'value="p1"' in page.text
        assert 'value="p4"' in page.text
        page = chief.send("/users/new", password=PASSWORD, chosen="p4")
        assert page.title == "newcomer", page.said
        assert house.user("newcomer").patients == {"p4"}

    @pytest.mark.parametrize(
        ("changes", "status", "problem"),
        [
            ({"username": ""}, 422, "Write a user name"),
            ({"username": "nurse"}, 409, "There is a user of this name"),
            ({"password": "short"}, 422, "at least 8 characters"),
            ({"role": "admin", "password": "short but"}, 422, "at least 12 characters"),
            ({"password": "newcomer"}, 422, "must not be the user name"),
            ({"role": "king"}, 422, "Choose what the user is"),
            ({"role": "developer"}, 422, "Say for whom the developer builds"),
            ({"role": "developer", "service": "nobody"}, 422, "Choose for whom"),
            ({"role": "patient"}, 422, "Say whose record it is"),
            ({"role": "patient", "record": "Nobody Known"}, 422, "No patient matches"),
            ({"fhir_user": "Patient/p1"}, 422, "Only who sees the own record alone"),
            ({"fhir_user": "Device/1"}, 422, "Write a reference such as"),
            ({"record": "p1"}, 422, "assigned to this user afterwards"),
            ({"name": "x" * 201}, 422, "at most 200"),
            ({"role": "patient", "record": "p1", "whole_tenant": "yes"}, 422, "sees one record"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, house: House, chief: Browser, changes: dict[str, str], status: int, problem: str
    ) -> None:
        chief.open("/users/new")
        page = chief.send("/users/new", **self.form(**changes))
        assert page.status == status
        assert problem in page.text
        sent = self.form(**changes)
        assert f'value="{sent["username"]}"' in page.text
        assert sent["password"] not in page.text.replace(sent["username"], "")
        assert house.facade.auth_store.users.by_username("acme", "newcomer") is None
        assert house.acts() == []


class TestChange:
    def test_name_role_and_reach(self, house: House, chief: Browser) -> None:
        path = path_of(house, "nurse")
        chief.open(path)
        page = chief.send(path, name="Head Nurse", whole_tenant="yes")
        assert page.said == ["The changes are in force."]
        user = house.user("nurse")
        assert (user.name, user.whole_tenant, user.patients) == ("Head Nurse", True, {"p1"})
        assert reasons(house) == ["user changed"]

    def test_a_live_token_follows(self, house: House, chief: Browser) -> None:
        token = launched(house, "doctor")["access_token"]
        assert house.fhir("Patient/p3", token).status_code == 200
        path = path_of(house, "doctor")
        chief.open(path)
        chief.send(path, whole_tenant=None)
        assert house.fhir("Patient/p3", token).status_code == 404

    def test_a_stale_form_changes_nothing_and_shows_what_is_now(
        self, house: House, chief: Browser
    ) -> None:
        path, other = path_of(house, "nurse"), house.browser("deputy")
        chief.open(path)
        other.open(path)
        chief.send(path, name="First")
        page = other.send(path, name="Second")
        assert page.status == 409
        assert 'value="First"' in page.text
        assert house.user("nurse").name == "First"
        other.send(path, name="Second")
        assert house.user("nurse").name == "Second"

    @pytest.mark.parametrize(
        ("username", "changes", "problem"),
        [
            ("nurse", {"role": "patient"}, "Write the patient"),
            ("ann", {"fhir_user": "Patient/p2"}, "must be the one of fhirUser"),
            ("ann", {"whole_tenant": "yes"}, "sees one record"),
            ("dev", {"service": ""}, "Say for whom"),
            ("nurse", {"service": "patient"}, None),
            ("nurse", {"fhir_user": "Practitioner/a b"}, "Write a reference"),
        ],
    )
    def test_what_must_hold_of_a_user(
        self,
        house: House,
        chief: Browser,
        username: str,
        changes: dict[str, str],
        problem: str | None,
    ) -> None:
        path, before = path_of(house, username), house.user(username)
        chief.open(path)
        page = chief.send(path, **changes)
        if problem is None:
            assert page.status == 200
            assert house.user(username).service is None
        else:
            assert page.status == 422
            assert problem in page.text
            assert house.user(username) == before

    def test_inactive_and_active_again(self, house: House, chief: Browser) -> None:
        token = launched(house, "nurse", "p1")["access_token"]
        nurse, path = house.browser("nurse"), path_of(house, "nurse")
        chief.open(path)
        chief.send(f"{path}/state")
        assert not house.user("nurse").active
        assert house.fhir("Patient/p1", token).status_code == 401
        assert nurse.open("/fhir/acme/auth/account").title == "Log in"
        chief.send(f"{path}/state")
        assert house.user("nurse").active
        assert nurse.open("/fhir/acme/auth/account").title == "Log in"
        assert reasons(house) == ["user made active", "user made inactive"]

    def test_all_ends_at_once(self, house: House, chief: Browser) -> None:
        token = launched(house, "nurse", "p1")["access_token"]
        nurse, path = house.browser("nurse"), path_of(house, "nurse")
        chief.open(path)
        chief.send(f"{path}/end")
        assert house.fhir("Patient/p1", token).status_code == 401
        assert nurse.open("/fhir/acme/auth/account").title == "Log in"
        assert house.user("nurse").active
        assert reasons(house) == ["grant ended", "sessions and grants of a user ended"]
        assert house.acts()[0].patient_ids == ("p1",)

    def test_a_lost_factor_is_forgotten(self, house: House, chief: Browser) -> None:
        user, path = house.user("nurse"), path_of(house, "nurse")
        assert f"{path}/factor" not in chief.open(path).text
        admin.give_pin(house.facade.auth_store, user, "493817")
        chief.open(path)
        assert "PIN" in chief.page.text
        page = chief.send(f"{path}/factor")
        assert "second factor was forgotten" in page.text
        assert admin.factor_of(house.facade.auth_store, user) is None
        assert reasons(house) == ["second factor reset"]


class TestPassword:
    def test_the_new_one_works_and_the_old_one_stops(self, house: House, chief: Browser) -> None:
        nurse, path = house.browser("nurse"), path_of(house, "nurse")
        token = launched(house, "nurse", "p1")["access_token"]
        chief.open(f"{path}/password")
        page = chief.send(f"{path}/password", password="another long one")
        assert page.title == "nurse"
        assert "another is chosen at the next login" in page.text
        assert house.fhir("Patient/p1", token).status_code == 401
        assert nurse.open("/fhir/acme/auth/account").title == "Log in"
        assert nurse.log_in("nurse").status == 403
        nurse.open("/fhir/acme/auth/account")
        assert nurse.log_in("nurse", "another long one").title == "Choose a password"
        assert choose(nurse).title == "Account"
        ended, reset = house.acts()
        assert (ended.reason, reset.reason) == ("grant ended", "password reset")
        assert (ended.client_id, ended.patient_ids) == ("app", ("p1",))
        assert "the user&#39;s own" in chief.open(path).text

    def test_the_access_of_apps_may_stay(self, house: House, chief: Browser) -> None:
        token, path = launched(house, "nurse", "p1")["access_token"], path_of(house, "nurse")
        chief.open(f"{path}/password")
        chief.send(f"{path}/password", password="another long one", apps=None)
        assert house.fhir("Patient/p1", token).status_code == 200
        assert reasons(house) == ["password reset"]

    def test_the_own_one_is_changed_at_account(self, house: House, chief: Browser) -> None:
        before, path = house.user("chief"), path_of(house, "chief")
        assert f"{path}/password" not in chief.open(path).text
        assert chief.open(f"{path}/password").status == 403
        user = house.user("chief")
        token = _token(house, chief, f"{path}/password", user.version)
        page = chief.post(
            f"{path}/password", csrf=token, once=str(user.version), password="a stolen session"
        )
        assert page.status == 403
        assert "on the page Account" in page.text
        assert house.user("chief") == before

    def test_one_is_made_when_none_is_given(self, house: House, chief: Browser) -> None:
        path = path_of(house, "nurse")
        chief.open(f"{path}/password")
        made = chief.send(f"{path}/password", password="").text.split('readonly value="')[1]
        browser = house.browser()
        browser.open("/fhir/acme/auth/account")
        assert browser.log_in("nurse", made.split('"')[0]).title == "Choose a password"

    def test_a_short_one_is_refused(self, house: House, chief: Browser) -> None:
        before, path = house.user("nurse"), path_of(house, "nurse")
        chief.open(f"{path}/password")
        assert chief.send(f"{path}/password", password="short").status == 422
        assert house.user("nurse") == before


class TestDoor:
    def test_nobody_stops_or_demotes_themselves(self, house: House, chief: Browser) -> None:
        path = path_of(house, "chief")
        chief.open(path)
        assert f"{path}/state" not in chief.page.text
        page = chief.send(path, role="practitioner")
        assert page.status == 422
        assert "cannot give up your own role" in page.text
        form = next(f for f in chief.page.forms() if f["action"] == f"{CONSOLE}{path}")
        csrf = _state_token(house, chief, path)
        page = chief.post(f"{path}/state", csrf=csrf, once=form["fields"]["once"], active="no")
        assert page.status == 409
        user = house.user("chief")
        assert (user.role, user.active) == ("admin", True)

    def test_another_administrator_can(self, house: House, chief: Browser) -> None:
        path = path_of(house, "deputy")
        chief.open(path)
        chief.send(path, role="practitioner")
        assert house.user("deputy").role == "practitioner"

    def test_two_cannot_put_each_other_out_at_once(self, house: House) -> None:
        store = house.facade.auth_store
        users = [house.user("chief"), house.user("deputy")]
        outcomes: list[str] = []
        together = threading.Barrier(2)

        def put_out(place: int) -> None:
            together.wait()
            try:
                admin.change_user(store, users[place], spare_last_admin=True, active=False)
                outcomes.append("out")
            except ValueError:
                outcomes.append("kept")

        threads = [threading.Thread(target=put_out, args=(place,)) for place in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(outcomes) == ["kept", "out"]

    def test_the_last_one_stays_whoever_asks(self, house: House, chief: Browser) -> None:
        path = path_of(house, "deputy")
        chief.open(path)
        store = house.facade.auth_store
        token = _state_token(house, chief, path)
        # What another administrator did between this request's check of the role and its change.
        admin.change_user(store, house.user("chief"), active=False)
        user = house.user("deputy")
        with pytest.raises(ValueError, match="Nobody would be left"):
            admin.change_user(store, user, spare_last_admin=True, role="practitioner")
        page = chief.post(f"{path}/state", csrf=token, once=str(user.version), active="no")
        assert page.title == "Log in"
        assert house.user("deputy").active


class TestDelete:
    def test_nothing_opens_any_more_and_the_name_stays(self, house: House, chief: Browser) -> None:
        token, nurse = launched(house, "nurse", "p1")["access_token"], house.browser("nurse")
        path, user = path_of(house, "nurse"), house.user("nurse")
        assert f"{path}/delete" in chief.open(path).text
        chief.open(f"{path}/delete")
        page = chief.send(f"{path}/delete", username="Nurse")
        assert (page.status, house.user("nurse")) == (422, user)
        page = chief.send(f"{path}/delete", username="nurse")
        assert (page.title, page.said) == ("Users", ["The user was deleted."])
        assert house.facade.auth_store.users.get("acme", user.user_id) is None
        assert house.fhir("Patient/p1", token).status_code == 401
        nurse.open("/fhir/acme/auth/account")
        assert nurse.log_in("nurse").status == 403
        ended, deleted = house.acts()
        assert (ended.reason, ended.patient_ids) == ("grant ended", ("p1",))
        assert (deleted.reason, deleted.user_id) == ("user deleted", user.user_id)
        assert chief.open(path).status == 404
        chief.open("/users/new")
        page = chief.send("/users/new", username="nurse", password=PASSWORD)
        assert (page.status, "choose another" in page.text) == (409, True)
        chief.open("/audit")
        assert "nurse (deleted)" in chief.send("/audit", user="nurse").text

    def test_a_developers_apps_stay(self, house: House, chief: Browser) -> None:
        path = path_of(house, "dev")
        assert "Odd &lt;one&gt;" in chief.open(f"{path}/delete").text
        chief.send(f"{path}/delete", username="dev")
        app = house.facade.auth_store.clients.get("acme", "odd/id?&")
        assert app is not None
        assert app.owner is None

    def test_neither_oneself_nor_the_last_administrator(
        self, house: House, chief: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        own = path_of(house, "chief")
        assert f"{own}/delete" not in chief.open(own).text
        assert "another administrator has to" in chief.open(f"{own}/delete").text
        token = _token(house, chief, f"{own}/delete", house.user("chief").version)
        page = chief.post(f"{own}/delete", csrf=token, once="1", username="chief")
        assert (page.status, house.user("chief").active) == (403, True)
        path = path_of(house, "deputy")
        chief.open(f"{path}/delete")

        def last(*_: object) -> None:
            raise LastAdmin

        monkeypatch.setattr(admin, "delete_user", last)
        page = chief.send(f"{path}/delete", username="deputy")
        assert (page.status, "last active administrator" in page.text) == (409, True)


def choose(browser: Browser) -> Page:
    """A password of the user's own, where one was given."""
    return browser.send("/fhir/acme/auth/new-password", new="one of my own", again="one of my own")


def _state_token(house: House, browser: Browser, path: str) -> str:
    """The CSRF token of the state form, which nobody's own page shows."""
    user = house.facade.auth_store.users.get("acme", path.rpartition("/")[2])
    assert user is not None
    return _token(house, browser, f"{path}/state", user.version)


def _token(house: House, browser: Browser, page: str, version: int) -> str:
    """The CSRF token of a form in the browser of `chief`, to whom it is not shown."""
    cookie = browser.client.get_cookie(BROWSER_COOKIE, path="/fhir/acme/auth")
    assert cookie is not None
    signed = f"{cookie.value}/{house.user('chief').user_id}/console{page}/{version}"
    return house.facade.auth.core.ring.sign("acme", "csrf", signed)
