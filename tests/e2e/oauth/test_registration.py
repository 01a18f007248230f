"""Dynamic registration: metadata that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.oauth_checks import refused
from tests.support.oauth_flow import OAuthFlow


@pytest.mark.parametrize(
    "metadata",
    [
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["http://app.example/cb"]},
        {"redirect_uris": ["https://app.example/cb#x"]},
        {"redirect_uris": ["https://*.example/cb"]},
        {"redirect_uris": "https://app.example/cb"},
        {"redirect_uris": []},
        {"redirect_uris": ["https://app.example/cb"], "grant_types": ["password"]},
        {"redirect_uris": ["https://app.example/cb"], "token_endpoint_auth_method": "tls"},
        {"token_endpoint_auth_method": "private_key_jwt", "grant_types": ["client_credentials"]},
        [],
        None,
    ],
)
def test_bad_metadata_is_refused(flow: OAuthFlow, metadata: Any) -> None:
    answer = flow.post("register", None, json=metadata)
    refused(answer, answer.json()["error"], 400)
    assert answer.json()["error"] in ("invalid_redirect_uri", "invalid_client_metadata")
