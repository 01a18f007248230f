"""Misuse of dynamic registration (RFC 7591, RFC 7592): what an app may not say of itself, and whose
registration it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey, OctKey, RSAKey

from smart_auth.records import Client
from smart_auth.store import AuthStore, open_store
from tests.support.demo import RunningDemo
from tests.support.oauth_browser import OwnBrowser
from tests.support.oauth_flow import OAuthFlow
from tests.support.oauth_kit import KitApp, allow, begin

REDIRECT = "https://kit.example/redirect"
GOOD: dict[str, Any] = {"client_name": "Misused", "redirect_uris": [REDIRECT]}


@pytest.fixture(scope="module")
def store(demo: RunningDemo) -> Iterator[AuthStore]:
    one = open_store(f"sqlite:///{demo.state}/auth.db")
    yield one
    one.close()


def register(flow: OAuthFlow, **metadata: Any) -> requests.Response:
    return flow.post("register", None, json={**GOOD, **metadata})


def kept(store: AuthStore, client_id: str) -> Client:
    found = store.clients.get("acme", client_id)
    assert found is not None
    return found


# --- what an app may not say --------------------------------------------------------------------

NOT_ITS_TO_SAY: dict[str, Any] = {
    "whole_tenant": True,
    "groups": ["all-patients"],
    "patients": ["qubs-220029"],
    "may_introspect": True,
    "may_launch": True,
    "pkce_optional": True,
    "owner": "somebody",
    "approved_at": 1,
    "approved_by": "operator",
    "active": False,
    "version": 99,
    "created_at": 1,
    "valid_to": 99_999_999_999,
    "scope_limit": "system/*.rs",
    "registration_hash": "0" * 64,
    "secret_hash": "0" * 64,
    "tenant": "zenith",
    "details": {"paused_by": "x"},
    "paused_by": "x",
}


@pytest.mark.parametrize("member", NOT_ITS_TO_SAY)
@pytest.mark.parametrize("how", ["register", "update"])
def test_what_only_the_provider_says(
    flow: OAuthFlow, store: AuthStore, member: str, how: str
) -> None:
    """Such members are ignored, as unknown ones are."""
    more = {member: NOT_ITS_TO_SAY[member]}
    made = register(flow, **(more if how == "register" else {})).json()
    if how == "update":
        header = {"Authorization": f"Bearer {made['registration_access_token']}"}
        answer = flow.http.put(
            made["registration_client_uri"],
            json={**GOOD, **more, "client_id": made["client_id"]},
            headers=header,
            timeout=30,
        )
        assert answer.status_code in (200, 400)
    client = kept(store, made["client_id"])
    assert client.tenant == "acme"
    assert client.active
    assert not client.whole_tenant
    assert client.groups == frozenset()
    assert client.patients is None
    assert [client.may_introspect, client.may_launch, client.pkce_optional] == [False] * 3
    assert client.owner is None
    assert client.approved_by == "automatic"
    assert client.valid_to is None
    assert client.scope_limit is None
    assert client.registration_hash not in (None, "0" * 64)
    assert client.secret_hash != "0" * 64
    assert "paused_by" not in client.details


@pytest.mark.parametrize(
    "client_id", ["acme-public-app", "acme-backend", "acme-ehr", "../x", "a\0b", "x" * 500, 7]
)
def test_an_app_does_not_choose_its_id(flow: OAuthFlow, store: AuthStore, client_id: Any) -> None:
    before = store.clients.get("acme", "acme-public-app")
    answer = register(flow, client_id=client_id)
    if answer.status_code == 201:
        assert answer.json()["client_id"] != client_id
    else:
        assert answer.status_code == 400
    assert store.clients.get("acme", "acme-public-app") == before


@pytest.mark.parametrize("secret", ["short", "chosen-by-the-app-itself", ""])
def test_an_app_does_not_choose_its_secret(flow: OAuthFlow, secret: str) -> None:
    answer = register(flow, client_secret=secret, token_endpoint_auth_method="client_secret_basic")
    if answer.status_code == 201:
        assert answer.json()["client_secret"] != secret
        assert len(answer.json()["client_secret"]) >= 32


@pytest.mark.parametrize(
    "uri",
    [
        "https://kit.example/cb#fragment",
        "https://user@kit.example/cb",
        "https://user:pass@kit.example/cb",
        "https://*.kit.example/cb",
        "https://kit.example:99999/cb",
        "https:///cb",
        "https://",
        "https:kit.example",
        "http://kit.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://localhost.evil.example/cb",
        "ftp://kit.example/cb",
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "about:blank",
        "vbscript:x",
        "kit",
        "//kit.example/cb",
        " https://kit.example/cb",
        "https://kit.example/cb\n",
        "https://kit.example/c b",
        "https://kit.example/\0",
        "https://kit.example/\u202e",
        "https://kit.example/;form-action *",
        "https://kit.example';script-src *",
        "https://kit.example/" + "x" * 5000,
        "",
        None,
        7,
        {"uri": "x"},
    ],
    ids=lambda uri: repr(uri)[:40],
)
def test_no_such_redirect_uri(flow: OAuthFlow, uri: Any) -> None:
    """None that leads elsewhere than it seems; one odd character in a path is the app's own."""
    answer = register(flow, redirect_uris=[uri])
    if isinstance(uri, str) and uri.startswith("https://kit.example/;"):
        assert answer.status_code in (201, 400)
        return
    assert answer.status_code == 400
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")


def test_a_registered_address_cannot_widen_the_page_policy(flow: OAuthFlow) -> None:
    answer = register(flow, redirect_uris=["https://kit.example/;form-action *;script-src *"])
    if answer.status_code == 201:
        sent, _ = flow.query(
            client_id=answer.json()["client_id"], redirect_uri=answer.json()["redirect_uris"][0]
        )
        policy = flow.get(flow.authorize_url(sent)).headers["Content-Security-Policy"]
        assert "script-src" not in policy
        assert policy.count("form-action") == 1


def _keys(*keys: dict[str, Any]) -> dict[str, Any]:
    return {"keys": list(keys)}


EC = ECKey.generate_key("P-384", {"kid": "a"})
BAD_KEYS: dict[str, Any] = {
    "private EC": _keys(EC.as_dict(private=True)),
    "private RSA": _keys(RSAKey.generate_key(2048, {"kid": "b"}).as_dict(private=True)),
    "secret": _keys(OctKey.generate_key(256, {"kid": "c"}).as_dict(private=True)),
    "small curve": _keys(ECKey.generate_key("P-256", {"kid": "d"}).as_dict(private=False)),
    "no kid": _keys(ECKey.generate_key("P-384").as_dict(private=False)),
    "kid twice": _keys(
        EC.as_dict(private=False),
        ECKey.generate_key("P-384", {"kid": "a"}).as_dict(private=False),
    ),
    "none": _keys(),
    "text": "keys",
    "list": [],
    "list of text": {"keys": ["x"]},
    "point off the curve": _keys({**EC.as_dict(private=False), "x": "AAAA"}),
    "small modulus": _keys({"kty": "RSA", "kid": "e", "n": "AQAB", "e": "AQAB"}),
    "number": 7,
}


@pytest.mark.parametrize("kind", BAD_KEYS)
def test_no_such_key(flow: OAuthFlow, kind: str) -> None:
    answer = register(flow, jwks=BAD_KEYS[kind], token_endpoint_auth_method="private_key_jwt")
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_client_metadata"


@pytest.mark.parametrize(
    "metadata",
    [
        {"jwks": _keys(EC.as_dict(private=False)), "jwks_uri": "https://kit.example/jwks"},
        {"jwks_uri": "//kit.example/jwks"},
        {"jwks_uri": "https://kit.example:99999/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:pass@kit.example/jwks"},
        {"jwks_uri": ""},
        {"jwks_uri": 7},
        {},
    ],
    ids=lambda metadata: "both" if "jwks" in metadata else repr(metadata),
)
def test_keys_come_in_one_good_way(flow: OAuthFlow, metadata: dict[str, Any]) -> None:
    answer = register(flow, token_endpoint_auth_method="private_key_jwt", **metadata)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "metadata",
    [
        {"grant_types": ["implicit"]},
        {"grant_types": ["password"]},
        {"grant_types": ["urn:ietf:params:oauth:grant-type:device_code"]},
        {"grant_types": ["client_credentials"]},
        {"grant_types": "authorization_code"},
        {"response_types": ["token"]},
        {"response_types": ["code", "id_token"]},
        {"token_endpoint_auth_method": "none", "grant_types": ["client_credentials"]},
        {"token_endpoint_auth_method": "client_secret_jwt"},
        {"token_endpoint_auth_method": "tls_client_auth"},
        {"token_endpoint_auth_method": ["none"]},
        {"scope": ["patient/*.rs"]},
        {"client_name": "x" * 5000},
        {"client_name": "a\0b"},
        {"client_name": {"en": "x"}},
        {"redirect_uris": [REDIRECT] * 200},
        {"launch_uri": "javascript:alert(1)"},
        {"client_uri": "javascript:alert(1)"},
        {"policy_uri": "javascript:alert(1)"},
        {"contacts": "x"},
    ],
    ids=lambda metadata: repr(metadata)[:60],
)
def test_no_such_metadata(flow: OAuthFlow, store: AuthStore, metadata: dict[str, Any]) -> None:
    """Refused, or taken without what is wrong: never kept as it came."""
    answer = register(flow, **metadata)
    if answer.status_code == 201:
        told = answer.json()
        for name, value in metadata.items():
            assert told.get(name) != value
        text = repr(kept(store, told["client_id"]))
        assert "javascript:" not in text
    else:
        assert answer.status_code == 400
        assert answer.json()["error"] in ("invalid_client_metadata", "invalid_redirect_uri")


def test_a_system_scope_of_a_launch_app_is_good_for_nothing(flow: OAuthFlow) -> None:
    made = register(flow, scope="system/*.rs launch/patient patient/Patient.r").json()
    app = KitApp(flow, "none", made["client_id"], made.get("client_secret"))
    visit = begin(app, "system/*.rs launch/patient patient/Patient.r", user="patient", ehr=False)
    code = allow(visit)["code"]
    told = app.redeem(code, visit.verifier)
    assert "system/" not in told.json().get("scope", "")


NAMES = {
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "template": "{{1787*1789}}{%raw%}",
    "attribute": '"><input name=csrf value=x>',
    "ours": "Acme Imaging - official",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_text_on_every_page(flow: OAuthFlow, name: str) -> None:
    made = register(flow, client_name=NAMES[name])
    if made.status_code == 400:
        return
    app = KitApp(flow, "none", made.json()["client_id"], made.json().get("client_secret"))
    visit = begin(app, "launch/patient patient/Patient.r", user="patient", ehr=False)
    pages = [visit.browser.text]
    allow(visit)
    with OwnBrowser() as browser:
        browser.open(f"{flow.base}/auth/manage")
        pages.append(browser.text)
    for page in pages:
        assert "<script>alert" not in page
        assert "<img src=x" not in page
        assert "3196943" not in page
        assert "<input name=csrf value=x>" not in page


# --- whose registration it is ---------------------------------------------------------------------


@pytest.fixture
def mine(flow: OAuthFlow) -> dict[str, Any]:
    made: dict[str, Any] = register(flow).json()
    return made


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "token",
    ["none", "another app's", "an access token", "basic", "made up", "empty", "in the query"],
)
def test_only_its_own_token_opens_a_registration(
    flow: OAuthFlow, granted: dict[str, Any], mine: dict[str, Any], method: str, token: str
) -> None:
    other = register(flow).json()["registration_access_token"]
    headers = {
        "another app's": {"Authorization": f"Bearer {other}"},
        "an access token": {"Authorization": f"Bearer {granted['access_token']}"},
        "basic": {"Authorization": f"Basic {mine['registration_access_token']}"},
        "made up": {"Authorization": f"Bearer {secrets.token_urlsafe(32)}"},
        "empty": {"Authorization": "Bearer "},
    }.get(token, {})
    url = mine["registration_client_uri"]
    if token == "in the query":
        url += f"?access_token={mine['registration_access_token']}"
    body = {**GOOD, "client_id": mine["client_id"], "client_name": "Taken over"}
    answer = flow.http.request(method, url, headers=headers, json=body, timeout=30)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    own = {"Authorization": f"Bearer {mine['registration_access_token']}"}
    assert flow.get(url.partition("?")[0], headers=own).json()["client_name"] == "Misused"


@pytest.mark.parametrize("client_id", ["acme-public-app", "acme-backend", "acme-ehr", "nobody"])
def test_apps_of_the_provider_have_no_registration(
    flow: OAuthFlow, mine: dict[str, Any], client_id: str
) -> None:
    """An unknown app is answered as one that has no such token."""
    own = {"Authorization": f"Bearer {mine['registration_access_token']}"}
    url = f"{flow.base}/auth/register/{client_id}"
    for headers in ({}, own, {"Authorization": "Bearer None"}, {"Authorization": "Bearer "}):
        assert flow.get(url, headers=headers).status_code == 401


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "acme-public-app"},
        {"client_id": None},
        {"registration_access_token": "x"},
        {"registration_client_uri": "https://evil.example/"},
        {"client_id_issued_at": 1},
        {"client_secret_expires_at": 0},
        {"client_secret": "another"},
        {"redirect_uris": []},
        {"redirect_uris": ["javascript:alert(1)"]},
    ],
    ids=repr,
)
def test_an_update_that_says_too_much_changes_nothing(
    flow: OAuthFlow, mine: dict[str, Any], change: dict[str, Any]
) -> None:
    own = {"Authorization": f"Bearer {mine['registration_access_token']}"}
    url = mine["registration_client_uri"]
    before = flow.get(url, headers=own).json()
    body = {**GOOD, "client_id": mine["client_id"], "client_name": "Changed", **change}
    body = {name: value for name, value in body.items() if value is not None}
    answer = flow.http.put(url, json=body, headers=own, timeout=30)
    assert answer.status_code == 400
    assert flow.get(url, headers=own).json() == before


def test_an_app_cannot_become_another_kind_to_escape_its_secret(
    flow: OAuthFlow, store: AuthStore
) -> None:
    """A confidential app that turns public keeps nothing that was made for its secret."""
    made = register(flow, token_endpoint_auth_method="client_secret_basic").json()
    app = KitApp(flow, "client_secret_basic", made["client_id"], made["client_secret"])
    visit = begin(app, "launch/patient offline_access patient/*.rs", user="patient", ehr=False)
    tokens = app.redeem(allow(visit)["code"], visit.verifier).json()
    own = {"Authorization": f"Bearer {made['registration_access_token']}"}
    body = {**GOOD, "client_id": made["client_id"], "token_endpoint_auth_method": "none"}
    answer = flow.http.put(made["registration_client_uri"], json=body, headers=own, timeout=30)
    assert answer.status_code in (200, 400)
    client = kept(store, made["client_id"])
    if client.public:
        assert client.secret_hash is None
        old = app.refresh(tokens["refresh_token"])
        assert old.status_code in (400, 401)


def test_a_deleted_registration_takes_everything_with_it(flow: OAuthFlow) -> None:
    made = register(flow, token_endpoint_auth_method="none").json()
    app = KitApp(flow, "none", made["client_id"])
    visit = begin(app, "launch/patient offline_access patient/*.rs", user="patient", ehr=False)
    tokens = app.redeem(allow(visit)["code"], visit.verifier).json()
    own = {"Authorization": f"Bearer {made['registration_access_token']}"}
    assert flow.http.delete(made["registration_client_uri"], headers=own, timeout=30).ok
    assert flow.get(made["registration_client_uri"], headers=own).status_code == 401
    assert flow.fhir(f"Patient/{tokens['patient']}", tokens["access_token"]).status_code == 401
    assert app.refresh(tokens["refresh_token"]).status_code in (400, 401)


def test_no_secret_is_told_twice(flow: OAuthFlow) -> None:
    made = register(flow, token_endpoint_auth_method="client_secret_basic").json()
    own = {"Authorization": f"Bearer {made['registration_access_token']}"}
    told = flow.get(made["registration_client_uri"], headers=own)
    assert made["client_secret"] not in told.text
    assert told.headers["Cache-Control"] == "no-store"
