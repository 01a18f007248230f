"""Registration and administration: what is refused at entry, and what is kept at rest."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from smart_auth import admin, passwords
from smart_auth.admin import InvalidClientMetadata
from smart_auth.keyring import Keyring, UnreadableSecret
from smart_auth.passwords import check_password, hash_password
from smart_auth.records import Client, User
from smart_auth.settings import AuthSettings, UnsafeSettings
from smart_auth.store import AlreadyExists, AuthStore
from tests.support.smart_auth import PASSWORD, REDIRECT, backend_key, public_jwks

KEY = backend_key()
JWKS = public_jwks(KEY)


@pytest.mark.parametrize(
    ("metadata", "method", "grant_types"),
    [
        ({"redirect_uris": [REDIRECT]}, "none", ("authorization_code", "refresh_token")),
        (
            {"redirect_uris": [REDIRECT], "client_secret": "long enough"},
            "client_secret_basic",
            ("authorization_code", "refresh_token"),
        ),
        ({"jwks": JWKS}, "private_key_jwt", ("client_credentials",)),
        ({"jwks_uri": "https://a.example/jwks"}, "private_key_jwt", ("client_credentials",)),
        (
            {"redirect_uris": ["http://app.localhost:3000/cb"]},
            "none",
            ("authorization_code", "refresh_token"),
        ),
        (
            {"jwks": JWKS, "redirect_uris": ["com.example.app:/cb"]},
            "private_key_jwt",
            ("authorization_code", "refresh_token"),
        ),
    ],
)
def test_sensible_defaults(
    store: AuthStore, metadata: dict[str, Any], method: str, grant_types: tuple[str, ...]
) -> None:
    created = admin.create_client(store, "acme", {"client_id": "c"} | metadata)
    assert created.client.auth_method == method
    assert created.client.grant_types == grant_types
    assert created.client.scope
    assert store.clients.get("acme", "c") == created.client


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": "with space"}, "client_id"),
        ({"client_id": 5}, "client_id"),
        ({"client_id": "x" * 129}, "client_id"),
        ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
        ({"redirect_uris": ["http://app.example/cb"]}, "redirect_uri"),
        ({"redirect_uris": ["https://app.example/cb#x"]}, "redirect_uri"),
        ({"redirect_uris": ["/cb"]}, "redirect_uri"),
        ({"redirect_uris": ["https://*.example/cb"]}, "redirect_uri"),
        ({"redirect_uris": ["https://app.example@evil.example/cb"]}, "redirect_uri"),
        ({"redirect_uris": ["https://app.example;script-src/cb"]}, "redirect_uri"),
        ({"redirect_uris": [REDIRECT], "launch_uri": "javascript:alert(1)"}, "launch_uri"),
        ({"redirect_uris": [REDIRECT], "launch_uri": "http://app.example/launch"}, "launch_uri"),
        ({"redirect_uris": [REDIRECT], "launch_uri": "launch.html"}, "launch_uri"),
        ({"redirect_uris": ["javascript:alert(1)"]}, "redirect_uri"),
        ({"redirect_uris": ["data:text/html,x"]}, "redirect_uri"),
        ({"redirect_uris": ["https://a b/"]}, "redirect_uri"),
        ({"redirect_uris": ["https://[bad"]}, "redirect_uri"),
        ({"redirect_uris": REDIRECT}, "list"),
        ({"redirect_uris": [REDIRECT], "grant_types": ["password"]}, "grant_types"),
        ({"grant_types": ["authorization_code"]}, "redirect_uris"),
        ({"grant_types": ["client_credentials"]}, "private_key_jwt"),
        ({"client_secret": 5, "redirect_uris": [REDIRECT]}, "client_secret"),
        ({"redirect_uris": ["http://localhost.example/cb"]}, "redirect_uri"),
        ({"jwks": JWKS, "client_secret": "long enough"}, "client_secret"),
        ({"jwks": JWKS, "jwks_uri": "https://a.example"}, "either"),
        ({"token_endpoint_auth_method": "private_key_jwt"}, "either"),
        ({"token_endpoint_auth_method": "none", "jwks": JWKS, "redirect_uris": [REDIRECT]}, "jwks"),
        ({"jwks_uri": "ftp://a.example"}, "jwks_uri"),
        ({"jwks_uri": "http://a.example/jwks"}, "https"),
        ({"jwks_uri": "https:a.example"}, "absolute"),
        ({"jwks": {"keys": []}, "jwks_uri": None}, "key"),
        ({"jwks": {"keys": [KEY.as_dict(private=True)]}}, "private"),
        ({"jwks": {"keys": [{"kty": "oct", "k": "AAAA", "kid": "a"}]}}, "private"),
        ({"jwks": {"keys": [{"kty": "EC", "crv": "P-384", "kid": "a"}]}}, "kid"),
        ({"jwks": {"keys": ["x"]}}, "list"),
        ({"jwks": [1]}, "list"),
        ({"jwks": {"keys": [JWKS["keys"][0], JWKS["keys"][0]]}}, "unique"),
        ({"redirect_uris": [REDIRECT], "pkce_optional": True}, "PKCE"),
        ({"valid_to": "2027-01-01", "redirect_uris": [REDIRECT]}, "valid_to"),
        ({"scope": ["patient/*.rs"], "redirect_uris": [REDIRECT]}, "scope"),
    ],
)
def test_bad_metadata_is_refused_and_nothing_kept(
    store: AuthStore, metadata: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidClientMetadata, match=says):
        admin.create_client(store, "acme", {"client_id": "c"} | metadata)
    assert admin.list_clients(store, "acme") == []


def test_a_client_id_is_made_when_absent(store: AuthStore) -> None:
    created = admin.create_client(store, "acme", {"redirect_uris": [REDIRECT]})
    assert created.client.client_id.isalnum()


def test_ids_are_per_tenant_and_unique_in_it(store: AuthStore) -> None:
    metadata = {"client_id": "same", "redirect_uris": [REDIRECT]}
    admin.create_client(store, "acme", metadata)
    admin.create_client(store, "beta", metadata)
    with pytest.raises(AlreadyExists):
        admin.create_client(store, "acme", metadata)
    admin.create_user(store, "acme", "ann", PASSWORD, role="patient")
    admin.create_user(store, "beta", "ann", PASSWORD, role="patient")
    with pytest.raises(AlreadyExists):
        admin.create_user(store, "acme", "ann", PASSWORD, role="patient")


def test_a_secret_is_shown_once_and_can_be_replaced(store: AuthStore) -> None:
    metadata = {
        "client_id": "c",
        "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "client_secret_post",
    }
    created = admin.create_client(store, "acme", metadata)
    assert created.client_secret is not None
    assert created.client_secret not in repr(created)
    assert created.client.check_client_secret(created.client_secret)
    renewed = admin.new_client_secret(store, created.client)
    now = store.clients.get("acme", "c")
    assert now is not None
    assert renewed.client_secret is not None
    assert now.check_client_secret(renewed.client_secret)
    assert not now.check_client_secret(created.client_secret)
    assert now.version == 2


@pytest.mark.parametrize(
    "options",
    [
        {"username": " "},
        {"password": "short"},
        {"role": "patient", "whole_tenant": True},
    ],
)
def test_bad_users_are_refused(store: AuthStore, options: dict[str, Any]) -> None:
    given = {"username": "u", "password": PASSWORD, "role": "practitioner"} | options
    with pytest.raises(ValueError, match=r"must not|at least|cannot"):
        admin.create_user(store, "acme", given.pop("username"), given.pop("password"), **given)
    assert admin.list_users(store, "acme") == []


def test_passwords(store: AuthStore, people: dict[str, User]) -> None:
    changed = admin.set_password(store, people["ann"], "another password")
    assert check_password(changed.password_hash, "another password")
    assert not check_password(changed.password_hash, PASSWORD)
    assert not check_password(None, PASSWORD)
    assert not check_password("no hash", PASSWORD)
    assert hash_password("x") != hash_password("x")
    with pytest.raises(ValueError, match="at least"):
        admin.set_password(store, people["ann"], "short")


def test_no_password_is_right_for_an_account_without_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "_NOBODY", hash_password(PASSWORD))
    assert not check_password("", PASSWORD)
    assert not check_password(None, PASSWORD)


def test_a_new_password_undoes_no_other_change(store: AuthStore, people: dict[str, User]) -> None:
    seen = people["ann"]
    stopped = admin.change_user(store, seen, active=False, scope="openid")
    with pytest.raises(admin.ChangedSince):
        admin.set_password(store, seen, "another password")
    kept = store.users.get("acme", seen.user_id)
    assert kept is not None
    assert (kept.active, kept.scope, kept.password_hash) == (
        False,
        "openid",
        stopped.password_hash,
    )


def test_what_is_not_there_cannot_be_changed(store: AuthStore, people: dict[str, User]) -> None:
    with pytest.raises(LookupError):
        admin.deactivate_client(store, "acme", "nobody")
    with pytest.raises(LookupError):
        admin.delete_client(store, "acme", "nobody")
    with pytest.raises(LookupError):
        admin.change_client(store, Client("acme", "nobody", "n", "none", ""))
    with pytest.raises(LookupError):
        admin.change_user(store, User("acme", "nobody", "nobody", "patient"))
    public = store.clients.get("acme", "public")
    assert public is not None
    with pytest.raises(ValueError, match="no secret"):
        admin.new_client_secret(store, public)


def test_nothing_secret_is_stored_in_the_clear(
    store: AuthStore, url: str, people: dict[str, User]
) -> None:
    store.close()
    path = Path(url.removeprefix("sqlite:///"))
    connection = sqlite3.connect(path)
    dump = "\n".join(connection.iterdump())
    connection.close()
    for secret in (PASSWORD, "s3cret +%/é", "old-secret"):
        assert secret not in dump
    assert '"d"' not in dump


def test_secret_keys_rotate_by_a_list() -> None:
    old, new = (
        Keyring(("the old secret key",)),
        Keyring(("the new secret key", "the old secret key")),
    )
    wrapped, signature = old.wrap("acme", "plain"), old.sign("acme", "csrf", "text")
    assert new.unwrap("acme", wrapped) == "plain"
    assert new.verify("acme", "csrf", "text", signature)
    assert not new.verify("beta", "csrf", "text", signature)
    assert not new.verify("acme", "browser", "text", signature)
    with pytest.raises(UnreadableSecret):
        old.unwrap("acme", new.wrap("acme", "plain"))
    with pytest.raises(UnreadableSecret):
        new.unwrap("beta", wrapped)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"public_url": "http://host.example"}, "https"),
        ({"public_url": "host"}, "absolute"),
        ({"public_url": "ftp://host"}, "absolute"),
        ({"secret_keys": ()}, "secret keys"),
        ({"secret_keys": ("short",)}, "secret keys"),
    ],
)
def test_unsafe_settings_do_not_start(options: dict[str, Any], says: str) -> None:
    safe = {"public_url": "https://host.example", "secret_keys": ("0123456789abcdef",)}
    with pytest.raises(UnsafeSettings, match=says):
        AuthSettings(**(safe | options))
    assert "0123456789abcdef" not in repr(AuthSettings(**safe))  # type: ignore[arg-type]
