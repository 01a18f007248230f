"""Launches from an EHR: what the app is to be about, behind an opaque single-use value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from smart_auth import clock, keyring
from smart_auth.core import Core
from smart_auth.records import Launch, LaunchContext


class Launches:
    """Makes launches, and finds the one an app presents."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def create(
        self,
        tenant: str,
        user_id: str,
        client_id: str,
        patient: str | None,
        encounter: str | None = None,
        fhir_context: Sequence[Mapping[str, Any]] = (),
        *,
        need_patient_banner: bool = True,
        intent: str | None = None,
    ) -> str:
        """A launch value for one user and one app: opaque, good once, for five minutes.

        `patient` and `encounter` are ids without type; `fhir_context` holds objects with at least
        one of `reference`, `canonical` and `identifier`. Raises LookupError for an unknown user or
        client, ValueError for a context that is not such objects.
        """
        if self._core.store.users.get(tenant, user_id) is None:
            raise LookupError("No such user")
        if self._core.store.clients.get(tenant, client_id) is None:
            raise LookupError("No such client")
        if not all({"reference", "canonical", "identifier"} & set(item) for item in fhir_context):
            raise ValueError("Each of fhirContext must have a reference, canonical or identifier")
        value = keyring.random_token()
        now = clock.now()
        context = LaunchContext(
            patient=patient,
            encounter=encounter,
            fhir_context=tuple(dict(item) for item in fhir_context),
            need_patient_banner=need_patient_banner,
            intent=intent,
        )
        launch = Launch(
            launch_hash=keyring.hash_token(value),
            user_id=user_id,
            client_id=client_id,
            context=context,
            expires_at=now + self._core.settings.lifetimes.launch,
            used_at=None,
        )
        self._core.store.launches.add(tenant, launch, now)
        return value

    def find(self, tenant: str, value: str) -> Launch | None:
        """The launch behind a value, used or not."""
        return self._core.store.launches.get(tenant, keyring.hash_token(value))
