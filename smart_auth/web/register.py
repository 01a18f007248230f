"""Dynamic client registration (RFC 7591), open to anybody: for the demo only.

Such a client can launch, and a person decides what it gets; it is given no groups, so as a backend
it reaches nobody.
"""

from __future__ import annotations

import json
from typing import Any

from flask import Response, request

from smart_auth import admin
from smart_auth.admin import CreatedClient, InvalidClientMetadata
from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.web.replies import oauth_error

TAKEN = (
    "client_name",
    "redirect_uris",
    "grant_types",
    "token_endpoint_auth_method",
    "scope",
    "jwks",
    "jwks_uri",
    "launch_uri",
)
"""Members a stranger may set; all others are ignored, as RFC 7591 section 2 says."""


def register_client(core: Core, tenant: TenantInfo) -> Response:
    """Register what the body describes: 201 with the client, or 400 with the reason."""
    document = request.get_json(silent=True)
    if request.mimetype != "application/json" or not isinstance(document, dict):
        return oauth_error(400, "invalid_client_metadata", "Send the metadata as a JSON object")
    metadata = {name: document[name] for name in TAKEN if name in document}
    metadata.setdefault("token_endpoint_auth_method", "client_secret_basic")
    try:
        created = admin.create_client(core.store, tenant.slug, metadata)
    except InvalidClientMetadata as refusal:
        return oauth_error(400, refusal.error, str(refusal))
    core.audit(tenant.slug, "register", "success", client_id=created.client.client_id)
    response = Response(json.dumps(_described(created)), status=201, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    response.headers["Pragma"] = "no-cache"
    return response


def _described(created: CreatedClient) -> dict[str, Any]:
    client = created.client
    said: dict[str, Any] = {
        "client_id": client.client_id,
        "client_id_issued_at": client.created_at,
        "client_name": client.name,
        "redirect_uris": list(client.redirect_uris),
        "grant_types": list(client.grant_types),
        "response_types": ["code"] if client.redirect_uris else [],
        "token_endpoint_auth_method": client.auth_method,
        "scope": client.scope,
    }
    if created.client_secret is not None:
        said |= {"client_secret": created.client_secret, "client_secret_expires_at": 0}
    if client.jwks is not None:
        said["jwks"] = json.loads(client.jwks)
    if client.jwks_uri is not None:
        said["jwks_uri"] = client.jwks_uri
    if client.launch_uri is not None:
        said["launch_uri"] = client.launch_uri
    return said
