"""Dynamic client registration over HTTP (RFC 7591), and its management (RFC 7592)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from flask import Response, request

from smart_auth.admin import InvalidClientMetadata
from smart_auth.core import Core
from smart_auth.ports import Refusal, TenantInfo
from smart_auth.refusals import refusal
from smart_auth.registration import (
    Busy,
    NotAllowed,
    NotLetIn,
    Registered,
    Registration,
    described,
)
from smart_auth.web.endpoint import bearer, json_object, serve
from smart_auth.web.replies import no_store, oauth_error, try_later
from smart_auth.web.routes import ALL, Route


class RegisterViews:
    """The registration endpoint and one address for each registered app."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> list[Route]:
        """Both answer wrong methods in their own words."""
        return [
            Route("/auth/register", self.register, ALL),
            Route("/auth/register/<client_id>", self.configuration, ALL),
        ]

    def register(self, tenant: TenantInfo) -> Response:
        """201 with the client, 400 with what is wrong, 401 without a good initial access token."""
        return serve(
            self._core,
            tenant,
            ("POST",),
            lambda: self._answered(tenant, None, lambda: self._register(tenant)),
            "register",
        )

    def configuration(self, tenant: TenantInfo, client_id: str) -> Response:
        """What is registered: read, replaced or deleted by the app itself."""
        acts = {"GET": self._read, "PUT": self._update, "DELETE": self._delete}
        return serve(
            self._core,
            tenant,
            tuple(acts),
            lambda: self._answered(
                tenant, client_id, lambda: acts[request.method](tenant, client_id)
            ),
            "register",
        )

    def _register(self, tenant: TenantInfo) -> Response:
        registration = Registration(self._core, tenant)
        if request.headers.get("Authorization") and bearer() is None:
            raise NotLetIn("The initial access token must come as a bearer token")
        token_hash = registration.let_in(bearer())
        made = registration.register(_document(), token_hash)
        self._core.audit(tenant.slug, "register", "success", client_id=made.client.client_id)
        return _shown(made, tenant, 201)

    def _read(self, tenant: TenantInfo, client_id: str) -> Response:
        client = Registration(self._core, tenant).find(client_id, bearer())
        return _shown(Registered(client, bearer() or ""), tenant)

    def _update(self, tenant: TenantInfo, client_id: str) -> Response:
        registration = Registration(self._core, tenant)
        client = registration.find(client_id, bearer())
        changed = registration.update(client, _document(), bearer() or "")
        waits = client.approved_at is not None and changed.client.approved_at is None
        self._core.audit(
            tenant.slug,
            "register",
            "success",
            client_id=client_id,
            reason="the app changed and waits for approval" if waits else "the app changed",
        )
        return _shown(changed, tenant)

    def _delete(self, tenant: TenantInfo, client_id: str) -> Response:
        registration = Registration(self._core, tenant)
        registration.delete(registration.find(client_id, bearer()))
        self._core.audit(
            tenant.slug, "register", "success", client_id=client_id, reason="the app deleted itself"
        )
        return no_store(Response(status=204))

    def _answered(
        self, tenant: TenantInfo, client_id: str | None, act: Callable[[], Response]
    ) -> Response:
        """The act's answer, or the refusal it came to, which is kept."""
        try:
            return act()
        except NotLetIn as problem:
            noted = refusal("invalid_token", problem.text, "token")
            self._keep(tenant, problem.client_id, noted)
            return _not_let_in(tenant, problem.text)
        except InvalidClientMetadata as problem:
            noted = refusal(problem.error, str(problem))
            self._keep(tenant, client_id, noted)
            return oauth_error(400, problem.error, str(problem))
        except NotAllowed as problem:
            noted = refusal("access_denied", str(problem), "approval")
            self._keep(tenant, client_id, noted)
            return oauth_error(403, "access_denied", str(problem))
        except Busy:
            return try_later(503, "The app was changed at the same moment: send it again", 1)

    def _keep(self, tenant: TenantInfo, client_id: str | None, noted: Refusal) -> None:
        self._core.audit(
            tenant.slug,
            "register",
            "refused",
            client_id=client_id,
            reason=f"{noted.error}: {noted.text}",
            refusal=None if client_id is None else noted,
        )


def _document() -> dict[str, Any]:
    document = json_object()
    if document is None:
        raise InvalidClientMetadata("Send the metadata as a JSON object (application/json)")
    return document


def _shown(registered: Registered, tenant: TenantInfo, status: int = 200) -> Response:
    body = json.dumps(described(registered, tenant))
    return no_store(Response(body, status=status, mimetype="application/json"))


def _not_let_in(tenant: TenantInfo, text: str) -> Response:
    """401 with the challenge of RFC 6750 section 3, without a code when no token came."""
    challenge = f'Bearer realm="{tenant.issuer}"'
    if request.headers.get("Authorization"):
        challenge += f', error="invalid_token", error_description="{text}"'
    response = oauth_error(401, "invalid_token", text)
    response.headers["WWW-Authenticate"] = challenge
    return response
