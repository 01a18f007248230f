"""From the bearer token to what it may reach, and the order of checks (design section 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from flask import g, request

from fhir_facade.errors import Forbidden, LoginRequired, NotFound, TypeNotServed
from fhir_facade.fhir.r4_types import is_r4_type
from fhir_facade.policy import Letter, Reach, ReachClass, compile_reach, covers_type
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.accesses import Access
from fhir_facade.rest.correlation import begin_correlation
from fhir_facade.rest.parts import RestParts, TenantParts
from fhir_facade.search.cursor import principal_hash
from smart_auth.verify import InvalidToken, VerifiedToken

_BEARER = re.compile(r"bearer +([A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)
_MAX_KNOWN = 4096


class Authorizer:
    """Knows the tenants and verifies tokens. The verifier gives the same frozen token as long as
    its facts are the same, so what is made of it is remembered by its identity.
    """

    def __init__(self, parts: RestParts) -> None:
        self._parts = parts
        self._known: dict[int, tuple[VerifiedToken, Reach, str]] = {}

    def tenant(self, slug: str) -> TenantParts:
        """The tenant of a path. Raises NotFound."""
        begin_correlation(request.environ)
        for fact in ("access", "tenant", "refused_token", "challenge"):
            g.pop(fact, None)  # an entry of a batch has those of the entry before
        tenant = self._parts.tenants.get(slug)
        if tenant is None:
            raise NotFound("There is no FHIR server at this path.")
        g.tenant = tenant
        return tenant

    def access(self, slug: str, interaction: str) -> Access:
        """The authorized request. Raises NotFound for the tenant, LoginRequired for the token."""
        tenant = self.tenant(slug)
        header = request.environ.get("HTTP_AUTHORIZATION")
        if header is None:
            _challenge(tenant)
            raise LoginRequired(
                "A token is needed.", diagnostics="Send 'Authorization: Bearer <access token>'."
            )
        match = _BEARER.fullmatch(header.strip())
        if match is None:
            _challenge(tenant, error="invalid_request")
            raise LoginRequired(
                "The Authorization header is not a bearer token.",
                diagnostics="Send 'Authorization: Bearer <access token>'.",
            )
        try:
            token = self._parts.auth.verify(slug, match[1])
        except InvalidToken as refusal:
            g.refused_token = refusal
            _challenge(tenant, error="invalid_token", error_description=refusal.reason)
            raise LoginRequired(
                f"The token is not valid: {refusal.reason}.",
                diagnostics="Get a new token from the token endpoint.",
            ) from None
        access = self._access(tenant, token, request.environ, interaction)
        g.access = access
        return access

    def plain(self, slug: str, environ: Mapping[str, Any], interaction: str) -> Access | None:
        """The same for a request that need not be explained if it is refused: None then, or
        InvalidToken raised. Binds its correlation id; needs no context of Flask."""
        begin_correlation(environ)
        tenant = self._parts.tenants.get(slug)
        match = _BEARER.fullmatch(environ.get("HTTP_AUTHORIZATION", ""))
        if tenant is None or match is None:
            return None
        token = self._parts.auth.verify(slug, match[1])
        return self._access(tenant, token, environ, interaction)

    def _access(
        self, tenant: TenantParts, token: VerifiedToken, environ: Mapping[str, Any], name: str
    ) -> Access:
        known = self._known.get(id(token))
        if known is None:
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            # The entry keeps the token alive, so its identity is not given to another.
            known = (token, compile_reach(token, tenant.registry), _principal(token))
            self._known[id(token)] = known
        return Access(tenant, token, known[1], known[2], environ, name)


def served_type(access: Access, name: str, letter: Letter) -> ResourceDefinition:
    """The definition of a type that is served and in scope.

    Raises TypeNotServed for a name that is no R4 type, Forbidden for a type outside the scopes,
    TypeNotServed for one inside them that this server does not have; in this order.
    """
    definition = access.tenant.registry.get(name)
    if definition is None and not is_r4_type(name):
        raise _no_type()
    access.type = name
    if definition is not None and access.reach.allows_type(name, letter):
        return definition
    if definition is not None or not covers_type(access.reach, name, letter):
        raise refusal(access, name, letter)
    raise _not_served(name)


def known_type(access: Access, name: str) -> None:
    """Raise TypeNotServed unless the type is served; for requests that no route takes, which no
    scope could open.
    """
    if not is_r4_type(name):
        raise _no_type()
    access.type = name
    if name not in access.tenant.registry:
        raise _not_served(name)


def _no_type() -> TypeNotServed:
    return TypeNotServed(
        "This is not a resource type of FHIR R4.",
        diagnostics="Names of types are written as in the specification, such as 'Patient'.",
    )


def _not_served(name: str) -> TypeNotServed:
    return TypeNotServed(
        f"{name} is not served here.",
        diagnostics="The CapabilityStatement at [base]/metadata lists the types that are.",
    )


def _principal(token: VerifiedToken) -> str:
    return principal_hash(token.client_id, token.user_id, token.patient, str(token.scopes))


def refusal(access: Access, name: str, letter: Letter) -> Forbidden:
    """The error for a type outside the token's scopes, with the challenge that names the scope."""
    token = access.token
    level = "system" if token.kind == "backend" else "patient" if token.patient else "user"
    if level == "patient" and access.reach.classes.get(name) is ReachClass.STAFF:
        level = "user"
    scope = f"{level}/{name}.{letter}"
    _challenge(access.tenant, error="insufficient_scope", scope=scope)
    return Forbidden(
        f"The token's scopes do not cover this interaction on {name}.",
        diagnostics=f"Ask for the scope {scope}.",
    )


def _challenge(tenant: TenantParts, **attributes: str) -> None:
    """Set WWW-Authenticate for the answer (RFC 6750 section 3)."""
    pairs = {"realm": tenant.base, **attributes}
    g.challenge = "Bearer " + ", ".join(f'{name}="{value}"' for name, value in pairs.items())
