"""What every part of the server works with, in one place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from smart_auth.acts import parties
from smart_auth.client_scope import allowed_to
from smart_auth.housekeeping import Housekeeping
from smart_auth.keyring import Keyring
from smart_auth.ports import AccessEvent, Facade, Refusal
from smart_auth.records import Client, Grant
from smart_auth.scopes import ScopeSet
from smart_auth.settings import AuthSettings
from smart_auth.signing import SigningKeys
from smart_auth.store import AuthStore
from smart_auth.verify import Verifier


@dataclass(frozen=True)
class Core:
    """The parts that are made once per process."""

    store: AuthStore
    ports: Facade
    settings: AuthSettings
    ring: Keyring
    keys: SigningKeys
    verifier: Verifier
    housekeeping: Housekeeping

    @classmethod
    def build(cls, store: AuthStore, ports: Facade, settings: AuthSettings) -> Core:
        """Wire the parts."""
        ring = Keyring(settings.secret_keys)
        keys = SigningKeys(store, ring)
        verifier = Verifier(store, ports, keys)
        return cls(store, ports, settings, ring, keys, verifier, Housekeeping(store))

    def scopes(self, text: str) -> ScopeSet:
        """Read a scope string against the types the house knows."""
        return ScopeSet.parse(text, self.ports.scope_types())

    def allowed_to(self, client: Client) -> ScopeSet:
        """The most the app may be granted."""
        return allowed_to(client, self.ports.scope_types())

    def audit(
        self,
        tenant: str,
        action: str,
        outcome: Literal["success", "refused", "error"],
        *,
        client_id: str | None = None,
        user_id: str | None = None,
        patient_id: str | None = None,
        reason: str | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        """Keep an audit row, durably. `reason` is a fixed text, never anything a caller sent;
        `refusal` says more of it to the app's developer."""
        self.ports.record(
            AccessEvent(
                tenant=tenant,
                action=action,
                outcome=outcome,
                client_id=client_id,
                user_id=user_id,
                patient_id=patient_id,
                reason=reason,
                refusal=refusal,
            )
        )

    def audit_ended(self, tenant: str, grants: Iterable[Grant], reason: str) -> None:
        """Keep that somebody's own act ended these grants: a row for each user, app and patient."""
        self.ports.record(
            *(
                AccessEvent(tenant, "revoke", "success", *who, reason=reason)
                for who in parties(grants)
            )
        )
