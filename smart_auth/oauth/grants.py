"""The three ways to a token: a code, a refresh token, a backend client's assertion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from authlib.oauth2.rfc6749.grants import (
    AuthorizationCodeGrant,
    ClientCredentialsGrant,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc6749.hooks import hooked

from smart_auth import clock, keyring
from smart_auth.client_metadata import LONGEST_SCOPE
from smart_auth.core import Core
from smart_auth.oauth.errors import OAuthRefusal, invalid_grant
from smart_auth.oauth.issue import backend_answer, launch_answer, refresh_lifetime_end
from smart_auth.oauth.request import TokenRequest
from smart_auth.records import AuthorizationCode, Client, Grant, LaunchContext, RefreshToken, User
from smart_auth.refusals import scope_words, without_query
from smart_auth.scopes import ScopeSet
from smart_auth.store import family_member

if TYPE_CHECKING:
    from smart_auth.oauth.server import OAuthServer

Answer = tuple[int, dict[str, Any], Any]

LAUNCH_METHODS = ("none", "client_secret_basic", "client_secret_post", "private_key_jwt")


class LaunchCodeGrant(AuthorizationCodeGrant):
    """A code becomes a grant exactly once; a code that comes again ends what it bought."""

    TOKEN_ENDPOINT_AUTH_METHODS = LAUNCH_METHODS
    request: TokenRequest
    server: OAuthServer

    def query_authorization_code(  # type: ignore[override]
        self, code: str, client: Client
    ) -> AuthorizationCode:
        """The code if it is this client's, unused and in time."""
        found = self.server.core.store.grants.code(
            self.server.tenant.slug, keyring.hash_token(code)
        )
        if found is None:
            raise invalid_grant("The code is not one of this server: start a new launch")
        if found.used_at is not None:
            self._replayed(found)
        if found.client_id != client.client_id:
            raise invalid_grant("The code was issued to another client")
        if found.expires_at <= clock.now():
            raise invalid_grant("The code has expired: start a new launch")
        received = self.request.form.get("redirect_uri", "")
        if received != found.redirect_uri:
            raise OAuthRefusal(
                "invalid_grant",
                "redirect_uri must be the one of the authorization request",
                "redirect",
                expected=without_query(found.redirect_uri),
                received=without_query(received),
            )
        _approved(client, found.user_id)
        return found

    @hooked
    def create_token_response(self) -> Answer:
        """Redeem the code, by compare-and-set, and answer with its tokens."""
        core, tenant = self.server.core, self.server.tenant
        code: AuthorizationCode = self.request.authorization_code
        user = self.authenticate_user(code)
        scope = core.scopes(code.scope)
        now = clock.now()
        if "online_access" in scope and not core.store.sessions.get(
            tenant.slug, code.session_hash, now
        ):
            raise invalid_grant("The login behind the code has ended: start a new launch")
        ends = refresh_lifetime_end(core, self.request.client, scope, now)
        grant = _grant_of(code, now, ends or now + core.settings.lifetimes.launch_access_token)
        token = keyring.random_token() if ends is not None else None
        refresh = None if token is None else family_member(grant, token, grant.expires_at)
        if not core.store.grants.redeem(tenant.slug, code.code_hash, grant, refresh, now):
            self._replayed(core.store.grants.code(tenant.slug, code.code_hash) or code)
        core.audit(
            tenant.slug,
            "token",
            "success",
            client_id=grant.client_id,
            user_id=grant.user_id,
            patient_id=grant.context.patient,
        )
        answer = launch_answer(
            core, tenant, grant, user, scope, nonce=code.nonce, refresh_token=token
        )
        return 200, answer, self.TOKEN_RESPONSE_HEADER

    def authenticate_user(self, authorization_code: AuthorizationCode) -> User:
        """The user who consented, while active."""
        return _active_user(self.server, authorization_code.user_id)

    def _replayed(self, code: AuthorizationCode) -> None:
        core, tenant = self.server.core, self.server.tenant.slug
        if code.grant_id is not None:
            core.store.grants.revoke(tenant, code.grant_id, "code replayed", clock.now())
        core.audit(
            tenant,
            "code-replay",
            "refused",
            client_id=code.client_id,
            user_id=code.user_id,
            patient_id=code.context.patient,
            reason="an authorization code was used twice",
        )
        raise invalid_grant("The code was used before: what it bought has been revoked")


class LaunchRefreshGrant(RefreshTokenGrant):
    """A refresh token is exchanged for the next of its family."""

    TOKEN_ENDPOINT_AUTH_METHODS = LAUNCH_METHODS
    request: TokenRequest
    server: OAuthServer

    def authenticate_refresh_token(  # type: ignore[override]
        self, refresh_token: str
    ) -> RefreshToken:
        """The token while its family stands."""
        found = self.server.core.store.grants.refresh_token(
            self.server.tenant.slug, keyring.hash_token(refresh_token)
        )
        if found is None:
            raise invalid_grant("The refresh token is not one of this server", "refresh")
        if found.grant.client_id != self.request.client.client_id:
            raise invalid_grant("The refresh token was issued to another client", "refresh")
        if found.grant.revoked_at is not None:
            raise _ended("The grant was revoked: the user has to launch the app again")
        if found.expires_at <= clock.now():
            raise _ended("The refresh token has expired: launch the app again")
        _approved(self.request.client, found.grant.user_id)
        return found

    def _validate_token_scope(self, token: RefreshToken) -> None:
        self._narrowed(token)

    @hooked
    def create_token_response(self) -> Answer:
        """Rotate the token and answer with fresh ones; a reused one ends its family."""
        core, tenant = self.server.core, self.server.tenant
        old: RefreshToken = self.request.refresh_token
        user = _active_user(self.server, str(old.grant.user_id))
        patient = old.grant.context.patient
        if patient is not None and not user.may_see(patient):
            raise _lost("The patient of this grant is no longer one of the user's")
        if patient is not None and not self.request.client.may_see(patient):
            raise _lost("The patient of this grant is no longer one of the app's")
        scope = self._narrowed(old)
        now = clock.now()
        ends = refresh_lifetime_end(
            core, self.request.client, core.scopes(old.grant.scope), old.grant.created_at
        )
        token = keyring.random_token()
        new = family_member(old.grant, token, ends or old.expires_at)
        grace = core.settings.lifetimes.refresh_grace
        outcome = core.store.grants.rotate(tenant.slug, old, new, now, grace)
        reused = outcome == "reused"
        core.audit(
            tenant.slug,
            "refresh",
            "refused" if reused else "success",
            client_id=old.grant.client_id,
            user_id=old.grant.user_id,
            patient_id=old.grant.context.patient,
            reason="a rotated refresh token was reused: its family is revoked" if reused else None,
        )
        if reused:
            raise _ended(
                "The refresh token was used before: the grant is revoked, launch the app again"
            )
        answer = launch_answer(
            core, tenant, new.grant, user, scope, nonce=None, refresh_token=token
        )
        return 200, answer, self.TOKEN_RESPONSE_HEADER

    def _narrowed(self, token: RefreshToken) -> ScopeSet:
        """The scope asked for, which must lie within what was granted; all of it by default."""
        core = self.server.core
        granted = core.scopes(token.grant.scope)
        asked_text = self.request.form.get("scope")
        if asked_text is None:
            return granted
        asked = _asked(core, asked_text)
        if len(asked.items) != len(set(asked_text.split())) or not granted.covers(asked):
            raise OAuthRefusal(
                "invalid_scope",
                "scope must lie within the scope that was granted",
                expected=token.grant.scope,
                received=scope_words(asked_text),
            )
        if not asked.meaningful:
            raise OAuthRefusal(
                "invalid_scope",
                "scope would leave nothing: ask for some of what was granted",
                expected=token.grant.scope,
                received=scope_words(asked_text),
            )
        return asked


class BackendGrant(ClientCredentialsGrant):
    """Backend services: a token for what the client itself was assigned."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("private_key_jwt",)
    request: TokenRequest
    server: OAuthServer

    def validate_requested_scope(self) -> None:
        """At least one system scope must be both asked for and allowed."""
        _approved(self.request.client, None)
        self._granted()

    @hooked
    def create_token_response(self) -> Answer:
        """A five-minute token, with a grant of its own so that it can be revoked."""
        core, tenant = self.server.core, self.server.tenant
        client: Client = self.request.client
        now = clock.now()
        grant = Grant(
            grant_id=keyring.random_token(22),
            kind="backend",
            client_id=client.client_id,
            user_id=None,
            session_hash=None,
            scope=str(self._granted()),
            context=LaunchContext(need_patient_banner=False),
            auth_time=None,
            created_at=now,
            expires_at=now + core.settings.lifetimes.backend_access_token,
            last_used_at=now,
        )
        core.store.grants.add(tenant.slug, grant)
        core.audit(tenant.slug, "token", "success", client_id=client.client_id)
        return 200, backend_answer(core, tenant, grant), self.TOKEN_RESPONSE_HEADER

    def _granted(self) -> ScopeSet:
        core = self.server.core
        asked = _asked(core, self.request.form.get("scope", ""))
        allowed = core.allowed_to(self.request.client)
        granted = asked.intersect(allowed).at_level("system")
        if not granted.resources:
            raise OAuthRefusal(
                "invalid_scope",
                "No scope is left: ask for system scopes (as system/*.rs) that this client may"
                " have",
                expected=str(allowed.at_level("system")),
                received=scope_words(self.request.form.get("scope", "")),
            )
        return ScopeSet.of(
            item for item in granted if not isinstance(item, str) or item == "refresh"
        )


def _grant_of(code: AuthorizationCode, now: int, expires_at: int) -> Grant:
    return Grant(
        grant_id=keyring.random_token(22),
        kind="launch",
        client_id=code.client_id,
        user_id=code.user_id,
        session_hash=code.session_hash,
        scope=code.scope,
        context=code.context,
        auth_time=code.auth_time,
        methods=code.methods,
        created_at=now,
        expires_at=expires_at,
        last_used_at=now,
    )


def _asked(core: Core, text: str) -> ScopeSet:
    """The scopes a request asks for."""
    if len(text) > LONGEST_SCOPE:
        raise OAuthRefusal("invalid_scope", f"scope may have at most {LONGEST_SCOPE} characters")
    return core.scopes(text)


def _approved(client: Client, user_id: str | None) -> None:
    """Refuse an app that waits for approval, to all but its own developer."""
    if client.approved_at is None and (user_id is None or client.owner != user_id):
        raise OAuthRefusal(
            "unauthorized_client",
            "The app awaits approval by the provider: until then only its developer may use it",
            "approval",
        )


def _ended(description: str) -> OAuthRefusal:
    return invalid_grant(description, "refresh")


def _lost(description: str) -> OAuthRefusal:
    return invalid_grant(description, "compartment")


def _active_user(server: OAuthServer, user_id: str) -> User:
    user = server.core.store.users.get(server.tenant.slug, user_id)
    if user is None or not user.active:
        raise invalid_grant("The user of this grant is not active any more")
    return user
