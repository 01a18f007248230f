"""The operator at one tenant: finds what a command names, keeps every act in the audit trail, and
turns refusals into sentences.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from fhir_facade.cli.wiring import facade, known_tenant
from fhir_facade.errors import Conflict, InvalidRequest, NotFound

if TYPE_CHECKING:
    from fhir_facade.app import Facade
    from smart_auth.ports import TenantInfo
    from smart_auth.records import Client, User
    from smart_auth.store import AuthStore

TENANT = click.option("--tenant", help="Which tenant; not needed when there is one.")


@dataclass(frozen=True)
class Operator:
    """What a command works with: the parts, and the tenant it speaks of."""

    parts: Facade
    tenant: str

    @property
    def store(self) -> AuthStore:
        """What the authorization server remembers."""
        return self.parts.auth_store

    @property
    def info(self) -> TenantInfo:
        """The tenant as the authorization server sees it."""
        return self.parts.auth.ports.tenants()[self.tenant]

    @property
    def zone(self) -> ZoneInfo:
        """The tenant's time zone, in which days begin and times are given."""
        return self.parts.settings.tenants[self.tenant].zone

    def user(self, name: str) -> User:
        """By user name, or by the id that `user list` shows."""
        found = self.store.users.by_username(self.tenant, name)
        found = found or self.store.users.get(self.tenant, name)
        if found is None:
            raise NotFound("There is no user of that name.")
        return found

    def app(self, client_id: str) -> Client:
        """By its client_id."""
        found = self.store.clients.get(self.tenant, client_id)
        if found is None:
            raise NotFound("There is no app with that client_id.")
        return found

    def known_patients(self, ids: tuple[str, ...]) -> frozenset[str]:
        """The ids as a set; NotFound when one of them is no patient's."""
        if any(not self.parts.auth.ports.patient_exists(self.tenant, one) for one in ids):
            raise NotFound("One of the patients is not known, or was deleted.")
        return frozenset(ids)

    def scopes(self, text: str) -> str:
        """A scope string as given; InvalidRequest names the words that are no scopes here."""
        words = text.split()
        unknown = [word for word in words if not self.parts.auth.core.scopes(word)]
        if unknown:
            raise InvalidRequest(f"No scopes of this server: {', '.join(unknown)}.")
        return " ".join(words)

    def record(
        self,
        act: str,
        *,
        client_id: str | None = None,
        user_id: str | None = None,
        patient_id: str | None = None,
    ) -> None:
        """Keep an act of the operator, durably. `act` is a fixed text."""
        from smart_auth.admin import OPERATOR
        from smart_auth.ports import AccessEvent

        self.parts.auth.ports.record(
            AccessEvent(
                tenant=self.tenant,
                action="admin",
                outcome="success",
                client_id=client_id,
                user_id=user_id,
                patient_id=patient_id,
                reason=act,
                actor=OPERATOR,
            )
        )

    def record_group(self, act: str, group_id: str, patient_id: str | None = None) -> None:
        """Keep an act upon a group."""
        from fhir_facade.audit import AccessRow
        from smart_auth.admin import OPERATOR

        self.parts.audit.record_now(
            AccessRow(
                tenant=self.tenant,
                action="admin",
                outcome="success",
                type="Group",
                resource_id=group_id,
                patient_ids=() if patient_id is None else (patient_id,),
                reason=act,
                actor=OPERATOR,
            )
        )


@contextmanager
def operator(tenant: str | None) -> Iterator[Operator]:
    """The operator at the tenant named, or at the only one there is."""
    with facade() as parts:
        yield Operator(parts, known_tenant(parts, tenant))


@contextmanager
def sentences() -> Iterator[None]:
    """Turn what an administrative function raises into a domain error with its sentence."""
    from smart_auth.admin import ChangedSince
    from smart_auth.store import AlreadyExists

    try:
        yield
    except ChangedSince:
        raise Conflict("It was changed meanwhile: look at it again.") from None
    except AlreadyExists as error:
        raise Conflict(f"{error}.") from None
    except LookupError as error:
        raise NotFound(f"{error}.") from None
    except ValueError as error:
        raise InvalidRequest(f"{error}.") from None
