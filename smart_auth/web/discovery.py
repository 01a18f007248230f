"""What the server says of itself: SMART configuration, OpenID configuration, keys, style."""

from __future__ import annotations

from typing import Any

from smart_auth.core import Core
from smart_auth.oauth.assertion import ALGORITHMS
from smart_auth.oauth.server import GRANT_TYPES
from smart_auth.ports import TenantInfo
from smart_auth.scopes import Level

AUTH_METHODS = ["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]

CAPABILITIES = [
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "client-confidential-asymmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-standalone-patient",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
]

LEVELS: tuple[Level, ...] = ("patient", "user", "system")

PLAIN_SCOPES = [
    "openid",
    "fhirUser",
    "profile",
    "launch",
    "launch/patient",
    "offline_access",
    "online_access",
]


def smart_configuration(core: Core, tenant: TenantInfo) -> dict[str, Any]:
    """https://hl7.org/fhir/smart-app-launch/STU2.2/conformance.html#using-well-known"""
    return _endpoints(tenant) | {
        "scopes_supported": scopes_supported(core, tenant),
        "response_types_supported": ["code"],
        "capabilities": CAPABILITIES,
    }


def openid_configuration(core: Core, tenant: TenantInfo) -> dict[str, Any]:
    """OpenID Connect Discovery 1.0 section 3."""
    return _endpoints(tenant) | {
        "scopes_supported": scopes_supported(core, tenant),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "amr",
            "nonce",
            "at_hash",
            "fhirUser",
            "profile",
        ],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
    }


def scopes_supported(core: Core, tenant: TenantInfo) -> list[str]:
    """Plain scopes, then wildcards and the types this tenant serves, in both dialects."""
    resources = [
        f"{level}/{resource_type}.{access}"
        for level in LEVELS
        for resource_type in ("*", *core.ports.resource_types(tenant.slug, level))
        for access in ("rs", "read")
    ]
    return PLAIN_SCOPES + resources


def _endpoints(tenant: TenantInfo) -> dict[str, Any]:
    base = tenant.issuer
    return {
        "issuer": base,
        "jwks_uri": f"{base}/.well-known/jwks.json",
        "authorization_endpoint": f"{base}/auth/authorize",
        "token_endpoint": f"{base}/auth/token",
        "introspection_endpoint": f"{base}/auth/introspect",
        "revocation_endpoint": f"{base}/auth/revoke",
        "registration_endpoint": f"{base}/auth/register",
        "management_endpoint": f"{base}/auth/manage",
        "grant_types_supported": list(GRANT_TYPES),
        "token_endpoint_auth_methods_supported": AUTH_METHODS,
        "token_endpoint_auth_signing_alg_values_supported": list(ALGORITHMS),
        "introspection_endpoint_auth_methods_supported": AUTH_METHODS[:3],
        "revocation_endpoint_auth_methods_supported": AUTH_METHODS,
        "code_challenge_methods_supported": ["S256"],
    }
