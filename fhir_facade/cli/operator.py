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
    from fhir_facade.console.acts import ProviderActs
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

    def former_too(self, name: str) -> str:
        """The id of a user, of a deleted one too, by user name or id."""
        former = self.store.users.former(self.tenant, name)
        return self.user(name).user_id if former is None else former.user_id

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

    @property
    def acts(self) -> ProviderActs:
        """What the operator does, for the audit trail."""
        from fhir_facade.console.acts import ProviderActs
        from smart_auth.admin import OPERATOR

        return ProviderActs(self.parts.auth.ports, self.tenant, OPERATOR, self.parts.audit)


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
