"""A login at an external provider, from the button to the user, without pages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.federation.directory import Directory, Metadata
from smart_auth.federation.exchange import Exchange
from smart_auth.federation.id_token import Assertion, Expected, believe
from smart_auth.federation.people import find_user
from smart_auth.federation.problems import declined, stale, untrusted
from smart_auth.keyring import UnreadableSecret
from smart_auth.login_provider import LoginProvider
from smart_auth.ports import TenantInfo
from smart_auth.records import PendingAuthorization, User


@dataclass(frozen=True)
class Underway:
    """A login that went to a provider. `request` names the pending request of an app, `back` the
    page of ours it is for; `login_after` (epoch seconds) is how fresh the person's login there must
    be."""

    issuer: str
    nonce: str
    verifier: str
    request: str
    back: str
    login_after: int | None


@dataclass(frozen=True)
class Known:
    """Who came back. `methods` as in `Session`; `two_factors`: the provider asked for two."""

    user: User
    methods: str
    auth_time: int
    two_factors: bool


class Federation:
    """The providers of all tenants; one in each process."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._directory = Directory(demo=core.settings.demo)

    def provider(self, tenant: TenantInfo, name: str) -> LoginProvider | None:
        """The tenant's provider of this name."""
        return self._core.settings.provider(tenant.slug, name)

    def begin(
        self,
        tenant: TenantInfo,
        provider: LoginProvider,
        browser: str,
        *,
        value: str,
        back: str,
        pending: PendingAuthorization | None,
    ) -> str:
        """Where to send the browser whose mark is `browser`; the login is kept first. What the
        app's request asks of the login (prompt, max_age) travels on. Raises `LoginProblem`."""
        metadata = self._directory.metadata(provider)
        now = clock.now()
        login_after = None if pending is None else pending.login_after
        login = Underway(
            issuer=provider.issuer,
            nonce=keyring.random_token(),
            verifier=keyring.random_token(64),
            request=value,
            back=back,
            login_after=login_after,
        )
        more: dict[str, str] = {}
        if login_after is not None:
            more["max_age"] = str(max(0, now - login_after))
        if pending is not None and pending.new_login:
            more |= {"prompt": "login", "max_age": "0"}
        if provider.second_factor_acr:
            more["acr_values"] = " ".join(provider.second_factor_acr)
        state = keyring.random_token()
        url = self._exchange(tenant, provider, metadata).authorization_url(
            state, login.nonce, login.verifier, **more
        )
        self._core.store.federation.begin(
            tenant.slug,
            keyring.hash_token(state),
            provider=provider.name,
            browser_hash=browser,
            wrapped=self._core.ring.wrap(tenant.slug, json.dumps(asdict(login))),
            now=now,
            expires_at=now + self._core.settings.lifetimes.federated_login,
        )
        return url

    def find(
        self, tenant: TenantInfo, provider: LoginProvider, browser: str, state: str
    ) -> Underway:
        """The login that this state belongs to, in this browser and at this provider, once. Raises
        `LoginProblem`."""
        wrapped = self._core.store.federation.redeem(
            tenant.slug,
            keyring.hash_token(state),
            provider=provider.name,
            browser_hash=browser,
            now=clock.now(),
        )
        if wrapped is None:
            raise stale()
        try:
            return Underway(**json.loads(self._core.ring.unwrap(tenant.slug, wrapped)))
        except (UnreadableSecret, TypeError):  # the keys changed, or the release
            raise stale() from None

    def finish(
        self,
        tenant: TenantInfo,
        provider: LoginProvider,
        login: Underway,
        answer: Mapping[str, str],
    ) -> Known:
        """Who the provider says this is, as a user of ours; `answer` is what it sent back. Raises
        `LoginProblem`; nothing has changed then."""
        if login.issuer != provider.issuer:
            raise stale()
        metadata = self._directory.metadata(provider)
        _check_issuer(provider, metadata, answer)
        if "error" in answer:
            raise _error(answer["error"])
        if not answer.get("code"):
            raise untrusted("neither code nor error came back")
        exchange = self._exchange(tenant, provider, metadata)
        tokens = exchange.redeem(answer["code"], login.verifier)
        said = self._believe(provider, metadata, login, tokens)
        user = find_user(
            self._core,
            tenant.slug,
            provider,
            said,
            lambda: exchange.userinfo(tokens.get("access_token"), said.subject),
        )
        return Known(
            user=user,
            methods=" ".join(dict.fromkeys(said.methods)),
            auth_time=_auth_time(said, login),
            two_factors="mfa" in said.methods or said.acr in provider.second_factor_acr,
        )

    def _believe(
        self,
        provider: LoginProvider,
        metadata: Metadata,
        login: Underway,
        tokens: Mapping[str, Any],
    ) -> Assertion:
        token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(token, str):
            raise untrusted("the token response has no id_token")
        expected = Expected(
            issuer=provider.issuer,
            client_id=provider.client_id,
            nonce=login.nonce,
            access_token=access_token if isinstance(access_token, str) else None,
            login_after=login.login_after,
        )
        return believe(token, lambda kid: self._directory.keys(provider, metadata, kid), expected)

    def _exchange(
        self, tenant: TenantInfo, provider: LoginProvider, metadata: Metadata
    ) -> Exchange:
        redirect_uri = f"{tenant.issuer}/auth/federated/{provider.name}/callback"
        return Exchange(provider, metadata, redirect_uri, demo=self._core.settings.demo)


def _check_issuer(provider: LoginProvider, metadata: Metadata, answer: Mapping[str, str]) -> None:
    """RFC 9207 section 2.4: another provider's answer must not be taken for this one's."""
    issuer = answer.get("iss")
    if issuer != provider.issuer and (issuer is not None or metadata.says_issuer):
        raise untrusted("iss of the authorization response differs or is missing")


def _error(error: str) -> Exception:
    """OpenID Connect Core section 3.1.2.6. The provider's words go nowhere."""
    if error == "access_denied":
        return declined("access_denied")
    if error in ("login_required", "interaction_required", "account_selection_required"):
        return declined("the provider wants an interaction")
    return declined("another error of the provider")


def _auth_time(said: Assertion, login: Underway) -> int:
    """When the person logged in there; by our clock never before what the request wants, which was
    checked with some room for the difference of the clocks."""
    auth_time = clock.now() if said.auth_time is None else said.auth_time
    return max(auth_time, login.login_after or 0)
