"""Is this access token good, now, and what may its bearer do?

The signature is checked once per process and token; everything that can change (revocation, the
client, the user and what they are assigned) is read with each call, in one look-up that all workers
share.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from smart_auth import clock
from smart_auth.client_scope import allowed_to
from smart_auth.ports import Facade, TenantInfo
from smart_auth.records import Client, Role, User
from smart_auth.scopes import ScopeSet
from smart_auth.signing import SigningKeys
from smart_auth.store import AuthStore, Standing
from smart_auth.tokens import AccessClaims, InvalidToken, read_access_token

__all__ = ["InvalidToken", "VerifiedToken", "Verifier"]

CACHED_TOKENS = 20_000


@dataclass(frozen=True)
class VerifiedToken:
    """A token that is good now. `scope` is what was granted, as text; `scopes` is that cut down to
    what the client and the user may have at this moment. `expires_at` in epoch seconds."""

    tenant: str
    client_id: str
    kind: Literal["launch", "backend"]
    user_id: str | None
    fhir_user: str | None
    patient: str | None
    scope: str
    scopes: ScopeSet
    grant_id: str
    jti: str
    expires_at: int
    client_groups: frozenset[str] = frozenset()
    client_whole_tenant: bool = False
    client_patients: frozenset[str] | None = None
    user_whole_tenant: bool = False
    user_patients: frozenset[str] = frozenset()
    user_role: Role | None = None


@dataclass(slots=True)
class _Entry:
    """A checked signature, and what was derived at which versions of client and user."""

    claims: AccessClaims
    versions: tuple[int, int | None] | None = None
    verified: VerifiedToken | None = None
    valid_from: int = 0
    valid_to: int | None = None


class Verifier:
    """One per process, safe to share between threads. The oldest of too many tokens goes first."""

    def __init__(self, store: AuthStore, ports: Facade, keys: SigningKeys) -> None:
        self._store = store
        self._ports = ports
        self._keys = keys
        self._lock = threading.Lock()
        self._cache: OrderedDict[tuple[str, bytes], _Entry] = OrderedDict()

    def verify(self, tenant: TenantInfo, token: str) -> VerifiedToken:
        """What the bearer of this token may do now; raises `InvalidToken`."""
        key = (tenant.slug, hashlib.sha256(token.encode("utf-8", "replace")).digest())
        entry = self._cache.get(key)
        if entry is None:
            entry = self._remember(key, _Entry(read_access_token(self._keys, tenant, token)))
        try:
            return self._in_force(tenant, entry)
        except InvalidToken as refusal:
            raise InvalidToken(refusal.reason, entry.claims.client_id) from None

    def _in_force(self, tenant: TenantInfo, entry: _Entry) -> VerifiedToken:
        now = clock.now()
        if entry.claims.expires_at <= now:
            raise InvalidToken("expired")
        standing = self._store.standing.get(tenant.slug, entry.claims.grant_id)
        if standing is None or not standing.in_force:
            raise InvalidToken("revoked")
        verified = entry.verified
        if verified is None or entry.versions != (standing.client_version, standing.user_version):
            verified = self._derive(tenant.slug, entry, standing)
        if now < entry.valid_from or (entry.valid_to is not None and now >= entry.valid_to):
            raise InvalidToken("client outside its validity window")
        return verified

    def _remember(self, key: tuple[str, bytes], entry: _Entry) -> _Entry:
        with self._lock:
            self._cache[key] = entry
            while len(self._cache) > CACHED_TOKENS:
                self._cache.popitem(last=False)
        return entry

    def _derive(self, tenant: str, entry: _Entry, standing: Standing) -> VerifiedToken:
        """Work out the token from client and user as they are now, and keep it for their versions.

        The versions are those the look-up saw; a change in between costs one more derivation.
        """
        claims = entry.claims
        client = self._store.clients.get(tenant, claims.client_id)
        if client is None or not client.active:
            raise InvalidToken("client inactive")
        user = self._user(tenant, claims, client)
        if client.approved_at is None and (user is None or client.owner != user.user_id):
            raise InvalidToken("client not approved")
        verified = VerifiedToken(
            tenant=tenant,
            client_id=claims.client_id,
            kind="backend" if user is None else "launch",
            user_id=None if user is None else user.user_id,
            fhir_user=None if user is None else user.fhir_user,
            patient=claims.patient,
            scope=claims.scope,
            scopes=self._effective(claims.scope, client, user),
            grant_id=claims.grant_id,
            jti=claims.jti,
            expires_at=claims.expires_at,
            client_groups=client.groups,
            client_whole_tenant=client.whole_tenant,
            client_patients=client.patients,
            user_whole_tenant=user is not None and user.whole_tenant,
            user_patients=frozenset() if user is None else user.patients,
            user_role=None if user is None else user.role,
        )
        entry.valid_from, entry.valid_to = client.valid_from or 0, client.valid_to
        entry.verified = verified
        entry.versions = (standing.client_version, standing.user_version)
        return verified

    def _user(self, tenant: str, claims: AccessClaims, client: Client) -> User | None:
        if claims.subject == claims.client_id:
            return None
        user = self._store.users.get(tenant, claims.subject)
        if user is None or not user.active:
            raise InvalidToken("user inactive")
        if claims.patient is not None and not user.may_see(claims.patient):
            raise InvalidToken("patient no longer assigned to the user")
        if claims.patient is not None and not client.may_see(claims.patient):
            raise InvalidToken("patient no longer assigned to the app")
        return user

    def _effective(self, granted: str, client: Client, user: User | None) -> ScopeSet:
        types = self._ports.scope_types()
        scopes = ScopeSet.parse(granted, types).intersect(allowed_to(client, types))
        if user is None or user.scope is None:
            return scopes
        return scopes.limit(ScopeSet.parse(user.scope, types))
