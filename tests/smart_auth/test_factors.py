"""Second factors: PINs, codes of RFC 6238 that count once, and the two steps of a login."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from xml.etree import ElementTree

import pytest
import time_machine

from smart_auth import admin, factors, keyring, logins
from smart_auth.keyring import Keyring
from smart_auth.records import Session, User
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from tests.support.smart_auth import SETTINGS, FakeFacade, Tab, make_app

PIN = "274951"
RFC_SEED = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"
"""`12345678901234567890`, the SHA-1 key of RFC 6238 appendix B."""
NOW = 1_800_000_000


@pytest.fixture
def pinned(store: AuthStore, people: dict[str, User]) -> User:
    """A patient with a PIN."""
    admin.give_pin(store, people["ann"], PIN)
    return people["ann"]


@pytest.fixture
def coded(store: AuthStore, people: dict[str, User]) -> str:
    """The seed of a practitioner with an authenticator app."""
    return admin.give_totp(store, SETTINGS, people["doctor"], "Acme").seed


class TestCodes:
    @pytest.mark.parametrize(
        ("seconds", "code"),
        [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ],
    )
    def test_are_those_of_rfc_6238(self, seconds: int, code: str) -> None:
        assert factors.code_at(RFC_SEED, seconds) == code
        assert factors.matching_step(RFC_SEED, code, seconds) == seconds // 30

    @pytest.mark.parametrize(("off", "found"), [(-2, False), (-1, True), (1, True), (2, False)])
    def test_a_step_either_side_is_taken(self, off: int, found: bool) -> None:
        code = factors.code_at(RFC_SEED, NOW + 30 * off)
        step = factors.matching_step(RFC_SEED, code, NOW)
        assert step == (NOW // 30 + off if found else None)

    @pytest.mark.parametrize("code", ["", "28708", "2870820", "28708x", "２８７０８２", "-87082"])
    def test_other_shapes_are_no_codes(self, code: str) -> None:
        assert factors.matching_step(RFC_SEED, code, 59) is None

    def test_seeds_are_random_and_long_enough(self) -> None:
        seeds = {factors.new_seed() for _ in range(20)}
        assert len(seeds) == 20
        assert {len(seed) for seed in seeds} == {32}

    def test_the_address_and_its_picture(self) -> None:
        made = factors.enrolment(RFC_SEED, "St. John: Clinic & Co", "ann smith@x")
        assert made.uri == (
            "otpauth://totp/St.%20John%20%20Clinic%20%26%20Co:ann%20smith%40x"
            f"?secret={RFC_SEED}&issuer=St.%20John%20%20Clinic%20%26%20Co"
            "&algorithm=SHA1&digits=6&period=30"
        )
        assert made.groups.replace(" ", "") == RFC_SEED
        assert RFC_SEED not in repr(made)
        picture = ElementTree.fromstring(made.picture)
        assert picture.tag == "svg"
        assert "style" not in made.picture

    def test_a_code_counts_once_for_all_workers(self, store: AuthStore, coded: str) -> None:
        user = store.users.by_username("acme", "doctor")
        assert user is not None
        factor = store.factors.get("acme", user.user_id)
        assert factor is not None
        ring = Keyring(SETTINGS.secret_keys)
        code = factors.code_at(coded, int(time.time()))
        accepted: list[bool] = []

        def try_it() -> None:
            accepted.append(factors.accept(store, ring, "acme", factor, code))

        threads = [threading.Thread(target=try_it) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(accepted) == [False] * 5 + [True]

    def test_an_older_code_is_not_taken_after_a_newer_one(
        self, store: AuthStore, coded: str, people: dict[str, User]
    ) -> None:
        factor = store.factors.get("acme", people["doctor"].user_id)
        assert factor is not None
        ring = Keyring(SETTINGS.secret_keys)
        with time_machine.travel(NOW, tick=False):
            newer, older = factors.code_at(coded, NOW + 30), factors.code_at(coded, NOW)
            assert factors.accept(store, ring, "acme", factor, f" {newer[:3]} {newer[3:]}")
            assert not factors.accept(store, ring, "acme", factor, older)

    def test_the_seed_is_kept_wrapped(
        self, store: AuthStore, coded: str, people: dict[str, User]
    ) -> None:
        factor = store.factors.get("acme", people["doctor"].user_id)
        assert factor is not None
        assert coded not in factor.secret
        assert factor.secret not in repr(factor)
        with pytest.raises(keyring.UnreadableSecret):
            Keyring(("another secret of some length",)).unwrap("acme", factor.secret)


class TestPins:
    @pytest.mark.parametrize(
        "pin", ["", "12345", "1234567890123", "27495a", "111111", "123456", "654321", "890123"]
    )
    def test_simple_ones_are_refused(self, pin: str, store: AuthStore, pinned: User) -> None:
        with pytest.raises(ValueError, match="PIN"):
            admin.give_pin(store, pinned, pin)
        factor = store.factors.get("acme", pinned.user_id)
        assert factor is not None
        assert factors.accept(store, Keyring(SETTINGS.secret_keys), "acme", factor, PIN)

    def test_are_kept_like_passwords(self, store: AuthStore, pinned: User) -> None:
        factor = store.factors.get("acme", pinned.user_id)
        assert factor is not None
        assert factor.secret.startswith("$argon2id$")

    def test_belong_to_one_tenant(self, store: AuthStore, pinned: User) -> None:
        assert store.factors.get("beta", pinned.user_id) is None


class TestTwoSteps:
    def test_pin(self, tab: Tab, pinned: User, facade: FakeFacade, store: AuthStore) -> None:
        tab.authorize().login("ann")
        assert (tab.answer.status_code, tab.title) == (200, "One more step")
        assert "smart_session" not in cookies(tab)
        assert [event for event in facade.events if event.action == "login"] == []
        tab.second(PIN)
        assert tab.title.startswith("Allow")
        assert session_of(tab, store).methods == "pwd pin"
        assert [e.outcome for e in facade.events if e.action == "login"] == ["success"]

    def test_code(self, tab: Tab, coded: str, store: AuthStore) -> None:
        tab.authorize().login("doctor")
        tab.second(factors.code_at(coded, int(time.time())))
        assert tab.title == "Choose a patient"
        assert session_of(tab, store).methods == "pwd otp"

    def test_a_page_of_ours_is_reached_behind_both(self, tab: Tab, pinned: User) -> None:
        tab.answer = tab.client.get("/fhir/acme/auth/account")
        tab.login("ann").second(PIN)
        assert tab.title == "Account"

    def test_a_code_is_not_good_twice(self, tab: Tab, server: AuthServer, coded: str) -> None:
        code = factors.code_at(coded, int(time.time()))
        tab.authorize().login("doctor").second(code)
        other = Tab(make_app(server).test_client())
        other.authorize().login("doctor").second(code)
        assert (other.answer.status_code, other.title) == (403, "One more step")
        assert "smart_session" not in cookies(other)

    def test_a_wrong_password_says_nothing_of_the_second_step(self, tab: Tab, pinned: User) -> None:
        with_factor = tab.authorize().login("ann", "wrong password")
        problem = re.compile(r'role="alert"[^>]*>([^<]+)')
        shown = problem.findall(with_factor.text)
        without = tab.authorize().login("nurse", "wrong password")
        assert shown == problem.findall(without.text)

    def test_wrong_pins_wait_and_a_right_password_does_not_help(
        self, tab: Tab, pinned: User
    ) -> None:
        tab.authorize().login("ann")
        for _ in range(5):
            assert tab.second("999999").answer.status_code == 403
            tab.authorize().login("ann")
        assert tab.answer.status_code == 429
        with time_machine.travel(time.time() + 40, tick=True):
            tab.authorize().login("ann").second(PIN)
            assert tab.title.startswith("Allow")

    def test_guessing_from_many_places_waits_too(self, tab: Tab, pinned: User) -> None:
        now = time.time()
        with time_machine.travel(now, tick=False):
            for place in range(logins.ELSEWHERE_TIMES):
                tab.client.environ_base["REMOTE_ADDR"] = f"10.0.0.{place}"
                tab.authorize().login("ann")
                for _ in range(5):
                    tab.second("999999")
            tab.client.environ_base["REMOTE_ADDR"] = "10.0.1.1"
            tab.authorize().login("ann").second(PIN)
            assert tab.answer.status_code == 429
        with time_machine.travel(now + 40, tick=True):
            assert tab.authorize().login("ann").second(PIN).title.startswith("Allow")

    def test_wrong_pins_are_audited_without_them(
        self, tab: Tab, pinned: User, facade: FakeFacade
    ) -> None:
        tab.authorize().login("ann").second("999999")
        refused = [event for event in facade.events if event.outcome == "refused"]
        assert [(e.action, e.user_id, e.reason) for e in refused] == [
            ("login", pinned.user_id, "wrong second factor")
        ]

    def test_nobody_gets_in_by_the_second_step_alone(self, tab: Tab, pinned: User) -> None:
        tab.authorize()
        for half in ("", "..", f"{pinned.user_id}.99999999999.{'0' * 64}", "x" * 5000 + ".9.y"):
            tab.submit("factor", half=half, code=PIN)
            assert (tab.answer.status_code, tab.title) == (400, "Log in")
        assert "smart_session" not in cookies(tab)

    def test_half_a_login_belongs_to_browser_request_and_account(
        self, tab: Tab, server: AuthServer, store: AuthStore, pinned: User
    ) -> None:
        tab.authorize().login("ann")
        half = tab.hidden("half")
        other = Tab(make_app(server).test_client())
        other.authorize().submit("factor", half=half, code=PIN)
        assert other.title == "Log in"
        page = tab.answer
        tab.authorize().submit("factor", half=half, code=PIN)
        assert tab.title == "Log in"
        admin.set_password(store, pinned, "a new password")
        tab.answer = page
        assert tab.second(PIN).title == "Log in"

    def test_half_a_login_ends(self, tab: Tab, pinned: User) -> None:
        tab.authorize().login("ann")
        with time_machine.travel(time.time() + logins.SECOND_STEP_SECONDS + 1, tick=True):
            tab.second(PIN)
            assert (tab.answer.status_code, tab.title) == (400, "Log in")
            assert "too long" in tab.text
            assert tab.login("ann").second(PIN).title.startswith("Allow")

    def test_the_form_has_to_be_ours(self, tab: Tab, pinned: User) -> None:
        tab.authorize().login("ann")
        assert tab.submit("factor", code=PIN, csrf="0" * 64).answer.status_code == 400
        assert tab.title == "This cannot go on"

    def test_an_administrator_resets_it_and_ends_the_sessions(
        self, tab: Tab, pinned: User, store: AuthStore
    ) -> None:
        tab.authorize().login("ann").second(PIN)
        assert admin.factor_of(store, pinned) == "pin"
        assert admin.reset_factor(store, pinned)
        assert not admin.reset_factor(store, pinned)
        assert tab.authorize().title == "Log in"
        assert tab.login("ann").title.startswith("Allow")


class TestRequired:
    @pytest.fixture
    def strict(self, store: AuthStore, people: dict[str, User]) -> Tab:
        """A browser where practitioners need a second factor."""
        settings = replace(SETTINGS, require_second_factor=frozenset({"practitioner"}))
        return Tab(make_app(AuthServer(store, FakeFacade(), settings)).test_client())

    def test_other_roles_are_left_alone(self, strict: Tab) -> None:
        assert strict.authorize().login("ann").title.startswith("Allow")

    def test_set_up_an_app_at_login(
        self, strict: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        strict.authorize().login("doctor")
        assert strict.title == "Set up a second step"
        assert "smart_session" not in cookies(strict)
        seed = strict.seed
        strict.submit("enrol", kind="totp", code="000000")
        assert (strict.answer.status_code, strict.seed) == (422, seed)
        code = factors.code_at(seed, int(time.time()))
        strict.submit("enrol", kind="totp", code=code)
        assert strict.title == "Choose a patient"
        assert session_of(strict, store).methods == "pwd otp"
        assert admin.factor_of(store, people["doctor"]) == "totp"
        strict.authorize(prompt="login").login("doctor").second(code)
        assert strict.answer.status_code == 403

    def test_set_up_a_pin_at_login(self, strict: Tab, store: AuthStore) -> None:
        strict.authorize().login("doctor")
        for pin, again in (("123456", "123456"), (PIN, "999999"), ("", "")):
            strict.submit("enrol", kind="pin", pin=pin, pin_again=again)
            assert strict.answer.status_code == 422
            assert pin not in strict.text or not pin
        strict.submit("enrol", kind="pin", pin=PIN, pin_again=PIN)
        assert session_of(strict, store).methods == "pwd pin"

    @pytest.mark.parametrize("kind", ["", "password"])
    def test_one_of_the_two_has_to_be_chosen(self, strict: Tab, kind: str) -> None:
        strict.authorize().login("doctor")
        strict.submit("enrol", kind=kind)
        assert strict.answer.status_code == 422
        assert "smart_session" not in cookies(strict)

    def test_a_factor_that_is_there_cannot_be_replaced_on_the_way_in(
        self, strict: Tab, store: AuthStore, people: dict[str, User]
    ) -> None:
        strict.authorize().login("doctor")
        page = strict.answer
        admin.give_pin(store, people["doctor"], PIN)
        strict.answer = page
        strict.submit("enrol", kind="pin", pin="583920", pin_again="583920")
        assert strict.title == "Log in"
        strict.login("doctor").second(PIN)
        assert strict.title == "Choose a patient"

    def test_the_key_of_another_person_is_not_taken(self, strict: Tab, store: AuthStore) -> None:
        strict.authorize().login("doctor")
        sealed, seed = strict.hidden("sealed"), strict.seed
        strict.authorize().login("nurse")
        code = factors.code_at(seed, int(time.time()))
        strict.submit("enrol", kind="totp", sealed=sealed, code=code)
        assert strict.answer.status_code == 422


def test_a_whole_login_forgets_the_failures_of_both_steps(tab: Tab, pinned: User) -> None:
    for _ in range(3):
        tab.authorize().login("ann", "wrong password").login("ann").second("999999")
        tab.second("999998").second(PIN)
        assert tab.title.startswith("Allow")
        tab.client.delete_cookie("smart_session", path="/fhir/acme/auth")


def cookies(tab: Tab) -> set[str]:
    """Names of the cookies this browser has."""
    return {cookie.key for cookie in tab.client._cookies.values()}


def session_of(tab: Tab, store: AuthStore) -> Session:
    """The login of this browser."""
    value = next(c.value for c in tab.client._cookies.values() if c.key == "smart_session")
    found = store.sessions.get("acme", keyring.hash_token(value), int(time.time()))
    assert found is not None
    return found
