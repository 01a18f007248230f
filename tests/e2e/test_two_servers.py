"""Two servers on one database, every step at the other: whatever one of them made or ended, the
other knows at once. On SQLite and on PostgreSQL.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet

from smart_auth import admin, factors, keyring
from smart_auth.admin.registration import make_initial_token
from smart_auth.keyring import Keyring
from smart_auth.records import User
from tests.support.databases import BOTH
from tests.support.demo_tokens import ASSERTION_TYPE
from tests.support.oauth_checks import claims_of
from tests.support.oauth_flow import basic
from tests.support.postgres import fresh_postgres_url
from tests.support.published import patient, publish
from tests.support.serving import SECRET, Server
from tests.support.two_servers import BASE, PUBLIC, REDIRECT, Bouncer, Pair, code_of, request_of

APP, SERVICE, EHR = "app", "service", "ehr"
EHR_SECRET = "a-secret-of-the-host-ehr"
PASSWORD = "correct horse battery 1"
SCOPE = "launch/patient openid fhirUser offline_access patient/Patient.rs"
KEY = ECKey.generate_key("P-384", {"kid": "one", "alg": "ES384"})
SEED = factors.new_seed()
MANY = 6


@pytest.fixture(scope="module", params=BOTH)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = Path(tmp_path_factory.mktemp("two"))
    settings = {
        "PUBLIC_URL": PUBLIC,
        "WEB_WORKERS": "1",
        "TRUSTED_PROXIES": "1",
        "REGISTRATIONS_PER_MINUTE": "30",
    }
    if request.param == "postgresql":
        settings |= {
            "DATABASE_URL": fresh_postgres_url(),
            "AUTH_DATABASE_URL": fresh_postgres_url(),
        }
    first = Server(folder, settings)
    second = Server(folder, settings)
    done = first.run("-m", "fhir_facade.cli", "db", "upgrade")
    assert done.returncode == 0, done.stderr
    facade = first.facade()
    publish(facade.database, patient(1), patient(2))
    store = facade.auth_store
    for name in ("doctor", "codes", "guessed", "raced"):
        user = admin.create_user(
            store, "acme", name, PASSWORD, role="practitioner", whole_tenant=True
        )
        if name == "codes":
            factors.set_totp(store, Keyring((SECRET,)), user, SEED)
    launch = {"redirect_uris": [REDIRECT], "launch_uri": "https://app.example.org/launch"}
    admin.create_client(store, "acme", {"client_id": APP, **launch})
    admin.create_client(
        store,
        "acme",
        {
            "client_id": SERVICE,
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "jwks": {"keys": [KEY.as_dict(private=False)]},
            "whole_tenant": True,
        },
    )
    admin.create_client(
        store,
        "acme",
        {
            "client_id": EHR,
            "client_secret": EHR_SECRET,
            "token_endpoint_auth_method": "client_secret_basic",
            "grant_types": [],
            "may_launch": True,
            "may_introspect": True,
        },
    )
    first.start()
    second.start()
    try:
        yield Pair(first, second, facade)
    finally:
        second.stop()
        first.stop()
        facade.close()


def user_of(pair: Pair, name: str) -> User:
    found = pair.facade.auth_store.users.by_username("acme", name)
    assert found is not None
    return found


def consent(browser: Bouncer) -> str:
    """Pick a patient where one is asked for, allow everything; the code."""
    if 'name="patient"' in browser.page:
        browser.submit("patient", patient="p1", action="continue")
    return code_of(browser.submit("consent", scope=browser.boxes(), decision="allow"))


def launched(pair: Pair, scope: str = SCOPE) -> tuple[str, str]:
    """A code and its verifier, got with each step at the other server."""
    browser = Bouncer(pair)
    url, verifier = request_of(APP, scope)
    browser.go("GET", url)
    browser.log_in("doctor", PASSWORD)
    return consent(browser), verifier


def redeem(pair: Pair, number: int, code: str, verifier: str) -> Any:
    return pair.token(
        number,
        grant_type="authorization_code",
        code=code,
        redirect_uri=REDIRECT,
        client_id=APP,
        code_verifier=verifier,
    )


def refresh(pair: Pair, number: int, token: str) -> Any:
    return pair.token(number, grant_type="refresh_token", refresh_token=token, client_id=APP)


@pytest.mark.parametrize("start", [0, 1])
def test_a_launch_goes_through_both(pair: Pair, start: int) -> None:
    browser = Bouncer(pair, turn=start)
    url, verifier = request_of(APP, SCOPE)
    browser.go("GET", url)
    browser.log_in("doctor", PASSWORD)
    code = consent(browser)
    answer = redeem(pair, browser.turn + 1, code, verifier)
    assert answer.status_code == 200
    tokens = answer.json()
    assert tokens["patient"] == "p1"
    for number in (0, 1):
        assert pair.read(number, "Patient/p1", tokens["access_token"]).status_code == 200
        assert pair.read(number, "Patient/p2", tokens["access_token"]).status_code == 404
    for number in range(4):
        answer = refresh(pair, number, tokens["refresh_token"])
        assert answer.status_code == 200
        tokens = answer.json()
        read = pair.read(number + 1, "Patient/p1", tokens["access_token"])
        assert read.status_code == 200


@pytest.mark.parametrize("first", [0, 1])
def test_a_code_is_used_once_between_them(pair: Pair, first: int) -> None:
    code, verifier = launched(pair)
    tokens = redeem(pair, first, code, verifier).json()
    assert redeem(pair, first + 1, code, verifier).json()["error"] == "invalid_grant"
    for number in (0, 1):
        assert pair.read(number, "Patient/p1", tokens["access_token"]).status_code == 401
        assert refresh(pair, number, tokens["refresh_token"]).status_code == 400


def test_a_code_sent_to_both_at_once_is_redeemed_once_at_most(pair: Pair) -> None:
    code, verifier = launched(pair)
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": REDIRECT,
        "client_id": APP,
        "code_verifier": verifier,
    }
    answers = pair.at_once(MANY, "POST", f"{BASE}/auth/token", data=fields)
    good = [one.json() for one in answers if one.ok]
    assert len(good) <= 1
    for tokens in good:
        assert pair.read(0, "Patient/p1", tokens["access_token"]).status_code == 401


@pytest.mark.parametrize("first", [0, 1])
def test_what_one_revoked_the_other_refuses(pair: Pair, first: int) -> None:
    tokens = redeem(pair, first, *launched(pair)).json()
    for number in (0, 1):
        assert pair.read(number, "Patient/p1", tokens["access_token"]).status_code == 200
    fields = {"token": tokens["refresh_token"], "client_id": APP}
    done = pair.ask(first, "POST", f"{BASE}/auth/revoke", data=fields)
    assert done.status_code == 200
    assert pair.read(first + 1, "Patient/p1", tokens["access_token"]).status_code == 401
    assert refresh(pair, first + 1, tokens["refresh_token"]).status_code == 400
    header = {"Authorization": basic(EHR, EHR_SECRET)}
    for told in pair.both(
        "POST", f"{BASE}/auth/introspect", data={"token": tokens["access_token"]}, headers=header
    ):
        assert told.json() == {"active": False}


def test_introspection_at_the_other(pair: Pair) -> None:
    tokens = redeem(pair, 0, *launched(pair)).json()
    header = {"Authorization": basic(EHR, EHR_SECRET)}
    for which in ("access_token", "refresh_token"):
        told = pair.ask(1, "POST", f"{BASE}/auth/introspect", header, data={"token": tokens[which]})
        assert told.json()["active"] is True


def test_rotated_tokens_beyond_grace_are_reuse_at_either(pair: Pair) -> None:
    first = redeem(pair, 0, *launched(pair)).json()
    second = refresh(pair, 1, first["refresh_token"]).json()
    assert refresh(pair, 0, first["refresh_token"]).status_code == 200, "grace is shared"
    store = pair.facade.auth_store
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE refresh_token SET rotated_at = 1 WHERE rotated_at > 1")
    assert refresh(pair, 1, first["refresh_token"]).status_code == 400
    assert refresh(pair, 0, second["refresh_token"]).status_code == 400
    assert pair.read(0, "Patient/p1", second["access_token"]).status_code == 401


def test_refreshing_at_both_at_once_gives_siblings_of_which_one_may_go_on(pair: Pair) -> None:
    tokens = redeem(pair, 0, *launched(pair)).json()
    fields = {
        "grant_type": "refresh_token",
        "refresh_token": tokens["refresh_token"],
        "client_id": APP,
    }
    answers = pair.at_once(MANY, "POST", f"{BASE}/auth/token", data=fields)
    assert [one.status_code for one in answers] == [200] * MANY
    assert len({one.json()["refresh_token"] for one in answers}) == MANY
    for number, one in enumerate(answers):
        assert pair.read(number, "Patient/p1", one.json()["access_token"]).status_code == 200
    first, second, *_ = (one.json() for one in answers)
    after = refresh(pair, 0, first["refresh_token"])
    assert after.status_code == 200
    assert refresh(pair, 1, second["refresh_token"]).status_code == 400
    assert refresh(pair, 0, after.json()["refresh_token"]).status_code == 400
    assert pair.read(1, "Patient/p1", after.json()["access_token"]).status_code == 401


def assertion(**claims: Any) -> dict[str, str]:
    said = {
        "iss": SERVICE,
        "sub": SERVICE,
        "aud": f"{BASE}/auth/token",
        "exp": int(time.time()) + 240,
        "jti": secrets.token_hex(8),
        **claims,
    }
    header = {"alg": "ES384", "kid": "one", "typ": "JWT"}
    return {
        "grant_type": "client_credentials",
        "scope": "system/*.rs",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": jwt.encode(header, said, KEY, algorithms=["ES384"]),
    }


@pytest.mark.parametrize("first", [0, 1])
def test_a_jti_is_used_once_between_them(pair: Pair, first: int) -> None:
    fields = assertion()
    answer = pair.token(first, **fields)
    assert answer.status_code == 200
    assert pair.token(first + 1, **fields).json()["error"] == "invalid_client"
    for number in (0, 1):
        read = pair.read(number, "Patient/p2", answer.json()["access_token"])
        assert read.status_code == 200


def test_one_jti_at_both_at_once_is_taken_once(pair: Pair) -> None:
    answers = pair.at_once(MANY, "POST", f"{BASE}/auth/token", data=assertion())
    assert sorted(one.status_code for one in answers) == [200] + [400] * (MANY - 1)


def ordered(pair: Pair, number: int) -> dict[str, Any]:
    """A launch a host EHR made at one of them."""
    answer = pair.ask(
        number,
        "POST",
        f"{BASE}/auth/launch",
        {"Authorization": basic(EHR, EHR_SECRET)},
        json={"user": "doctor", "client_id": APP, "patient": "p2"},
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("first", [0, 1])
def test_an_ehr_launch_made_at_one_is_opened_at_the_other(pair: Pair, first: int) -> None:
    made = ordered(pair, first)
    browser = Bouncer(pair, turn=first)
    arrived = browser.go("GET", made["open_url"])
    assert arrived is not None
    assert made["launch"] in arrived
    scope = "launch openid fhirUser patient/Patient.rs"
    url, verifier = request_of(APP, scope, launch=made["launch"])
    browser.go("GET", url)
    code = code_of(browser.submit("consent", scope=browser.boxes(), decision="allow"))
    assert redeem(pair, browser.turn + 1, code, verifier).json()["patient"] == "p2"
    again, _ = request_of(APP, scope, launch=made["launch"])
    for number in (0, 1):
        answer = pair.ask(number, "GET", again)
        assert "error=invalid_request" in answer.headers["Location"]
        used = pair.ask(number, "GET", made["open_url"])
        assert used.status_code == 400


def test_a_ticket_at_both_at_once_logs_in_once(pair: Pair) -> None:
    answers = pair.at_once(MANY, "GET", ordered(pair, 0)["open_url"])
    assert sorted(one.status_code for one in answers) == [303] + [400] * (MANY - 1)


def test_a_page_answered_at_both_at_once_gives_one_code(pair: Pair) -> None:
    browser = Bouncer(pair)
    browser.go("GET", request_of(APP, "launch/patient patient/Patient.r")[0])
    browser.log_in("raced", PASSWORD)
    browser.submit("patient", patient="p1", action="continue")
    fields = [*browser.hidden("consent").items(), ("decision", "allow")]
    fields += [("scope", box) for box in browser.boxes()]
    cookies = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    answers = pair.at_once(
        MANY, "POST", f"{BASE}/auth/consent", data=fields, headers={"Cookie": cookies}
    )
    assert sum("code=" in one.headers.get("Location", "") for one in answers) == 1


def test_a_login_is_known_and_ended_at_both(pair: Pair) -> None:
    browser = Bouncer(pair)
    browser.go("GET", f"{BASE}/auth/manage")
    browser.log_in("doctor", PASSWORD)
    copied = {"Cookie": f"smart_session={browser.cookies['smart_session']}"}
    for one in pair.both("GET", f"{BASE}/auth/manage", headers=copied):
        assert 'name="password"' not in one.text
    browser.submit("logout")
    for one in pair.both("GET", f"{BASE}/auth/manage", headers=copied):
        assert 'name="password"' in one.text


def test_a_second_factor_is_used_once_between_them(pair: Pair) -> None:
    """The same code of an authenticator app, at the one and then at the other."""
    code = factors.code_at(SEED, int(time.time()))
    browsers = [Bouncer(pair, turn=number) for number in (0, 1)]
    for browser in browsers:
        browser.go("GET", f"{BASE}/auth/manage")
        browser.log_in("codes", PASSWORD)
        assert "smart_session" not in browser.cookies
    browsers[0].submit("factor", code=code)
    assert "smart_session" in browsers[0].cookies
    browsers[1].submit("factor", code=code)
    assert browsers[1].status == 403
    assert "smart_session" not in browsers[1].cookies


def test_failures_at_both_are_counted_together(pair: Pair) -> None:
    browser = Bouncer(pair)
    browser.go("GET", f"{BASE}/auth/manage")
    for attempt in range(40):
        browser.log_in("guessed", f"wrong {attempt}")
        if browser.status == 429:
            break
    assert 5 <= attempt < 39
    with pair.facade.auth_store.database.write() as connection:
        connection.exec_driver_sql("UPDATE login_failure SET blocked_until = blocked_until + 3600")
    for _ in range(2):
        browser.log_in("guessed", PASSWORD)
        assert browser.status == 429
        assert "smart_session" not in browser.cookies


def test_what_an_operator_stops_both_refuse(pair: Pair) -> None:
    """By the command, in a process of its own; and let in again."""
    tokens = redeem(pair, 0, *launched(pair)).json()
    for number in (0, 1):
        assert pair.read(number, "Patient/p1", tokens["access_token"]).status_code == 200
    done = pair.first.run("-m", "fhir_facade.cli", "app", "deactivate", APP)
    assert done.returncode == 0, done.stderr
    try:
        for number in (0, 1):
            read = pair.read(number, "Patient/p1", tokens["access_token"])
            assert read.status_code == 401
            assert refresh(pair, number, tokens["refresh_token"]).status_code == 400
            begun = pair.ask(number, "GET", request_of(APP, SCOPE)[0])
            assert "error=unauthorized_client" in begun.headers["Location"]
    finally:
        done = pair.first.run("-m", "fhir_facade.cli", "app", "activate", APP)
    assert done.returncode == 0, done.stderr
    for number in (0, 1):
        read = pair.read(number, "Patient/p1", tokens["access_token"])
        assert read.status_code == 200


def test_keys_rotated_by_command_sign_and_verify_at_both(pair: Pair) -> None:
    """Tokens of the old key stay good, those of the new one are good at once."""
    old = redeem(pair, 0, *launched(pair)).json()
    before = pair.ask(1, "GET", f"{BASE}/.well-known/jwks.json").json()["keys"]
    done = pair.first.run("-m", "fhir_facade.cli", "key", "rotate")
    assert done.returncode == 0, done.stderr
    for number in (0, 1):
        assert pair.read(number, "Patient/p1", old["access_token"]).status_code == 200
        new = redeem(pair, number, *launched(pair)).json()
        read = pair.read(number + 1, "Patient/p1", new["access_token"])
        assert read.status_code == 200
        keys = pair.ask(number, "GET", f"{BASE}/.well-known/jwks.json").json()["keys"]
        assert {key["kid"] for key in before} <= {key["kid"] for key in keys}
        rsa = KeySet.import_key_set({"keys": [key for key in keys if key["kty"] == "RSA"]})
        for token in (old["id_token"], new["id_token"]):
            assert jwt.decode(token, rsa, algorithms=["RS256"]).claims["iss"] == BASE


def registration(pair: Pair, uses: int) -> dict[str, str]:
    """The header of an initial access token for so many apps."""
    made = make_initial_token(
        pair.facade.auth_store, "acme", name="two", made_by=admin.OPERATOR, uses=uses
    )
    return {"Authorization": f"Bearer {made.value}"}


METADATA = {"client_name": "Registered", "redirect_uris": [REDIRECT]}


def test_an_initial_token_is_used_up_between_them(pair: Pair) -> None:
    header = registration(pair, 1)
    url = f"{BASE}/auth/register"
    made = pair.ask(0, "POST", url, header, json=METADATA)
    assert made.status_code == 201
    assert pair.ask(1, "POST", url, header, json=METADATA).status_code == 401
    own = {"Authorization": f"Bearer {made.json()['registration_access_token']}"}
    read = pair.ask(1, "GET", made.json()["registration_client_uri"], own)
    assert read.json()["client_id"] == made.json()["client_id"]
    begun = pair.ask(1, "GET", request_of(made.json()["client_id"], SCOPE)[0])
    assert begun.status_code == 200, "an app that waits for approval is known, and asks for a login"


def test_an_initial_token_at_both_at_once_makes_one_app(pair: Pair) -> None:
    answers = pair.at_once(
        MANY, "POST", f"{BASE}/auth/register", json=METADATA, headers=registration(pair, 1)
    )
    assert sorted(one.status_code for one in answers) == [201] + [401] * (MANY - 1)


def test_limits_are_counted_together(pair: Pair) -> None:
    """Of more than two minutes' worth of requests, each server by itself would let all through."""
    header = {"X-Forwarded-For": "192.0.2.77"}
    answers = [
        pair.ask(number, "POST", f"{BASE}/auth/register", header, json=METADATA)
        for number in range(62)
    ]
    statuses = {one.status_code for one in answers}
    assert statuses == {401, 429}
    limited = next(one for one in answers if one.status_code == 429)
    assert 0 < int(limited.headers["Retry-After"]) <= 60


def test_nothing_lies_in_the_database_in_clear(pair: Pair) -> None:
    """Hashes of what was handed out are there, and nothing else of it."""
    code, verifier = launched(pair)
    tokens = redeem(pair, 1, code, verifier).json()
    with pair.facade.auth_store.database.read() as connection:
        digest = keyring.hash_token(tokens["refresh_token"])
        found = connection.exec_driver_sql(
            f"SELECT count(*) FROM refresh_token WHERE token_hash = '{digest}'"
        ).scalar()
        assert found == 1
        for name in ("refresh_token", "authorization_code", "access_grant", "session"):
            for row in connection.exec_driver_sql(f"SELECT * FROM {name}"):
                told = " ".join(str(value) for value in row)
                assert tokens["refresh_token"] not in told
                assert code not in told
                assert claims_of(tokens["access_token"])["jti"] not in told
