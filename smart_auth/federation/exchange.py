"""Speaking with a provider, by Authlib's client: the way there, the code, the person's claims."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session

from smart_auth import outbound
from smart_auth.federation.directory import Metadata
from smart_auth.federation.problems import unavailable, untrusted
from smart_auth.login_provider import LoginProvider
from smart_auth.outbound import Unreachable


class Exchange:
    """One provider as one login sees it. `redirect_uri` is where its answers come back to."""

    def __init__(
        self,
        provider: LoginProvider,
        metadata: Metadata,
        redirect_uri: str,
        *,
        demo: bool,
    ) -> None:
        self._provider = provider
        self._metadata = metadata
        self._redirect_uri = redirect_uri
        self._network = provider.network(demo)

    def authorization_url(self, state: str, nonce: str, verifier: str, **more: str) -> str:
        """Where to send the browser; `more` are further parameters."""
        with self._session() as session:
            url, _ = session.create_authorization_url(
                self._metadata.authorization_endpoint,
                state=state,
                code_verifier=verifier,
                nonce=nonce,
                **more,
            )
        return str(url)

    def redeem(self, code: str, verifier: str) -> Mapping[str, Any]:
        """The token response. Raises `LoginProblem`."""
        try:
            with self._session() as session:
                return dict(
                    session.fetch_token(
                        self._metadata.token_endpoint,
                        grant_type="authorization_code",
                        code=code,
                        code_verifier=verifier,
                        redirect_uri=self._redirect_uri,
                    )
                )
        except Unreachable as error:
            raise unavailable(f"the token endpoint: {error}") from None
        except AuthlibBaseError:
            raise untrusted("the token endpoint refused the code") from None
        except (OSError, ValueError, RecursionError):
            raise unavailable("the token endpoint gave no JSON object") from None

    def userinfo(self, access_token: Any, subject: str) -> Mapping[str, Any]:
        """The claims that are not in the id_token (OpenID Connect Core section 5.3), none where the
        provider gives none. Raises `LoginProblem`."""
        url = self._metadata.userinfo_endpoint
        if url is None or not isinstance(access_token, str):
            return {}
        try:
            headers = {"Authorization": f"Bearer {access_token}"}
            answer = outbound.get(url, network=self._network, headers=headers)
            claims = json.loads(answer.body.decode())
        except Unreachable as error:
            raise unavailable(f"the userinfo endpoint: {error}") from None
        except (ValueError, RecursionError):
            raise unavailable("the userinfo endpoint gave no JSON") from None
        if not isinstance(claims, dict) or claims.get("sub") != subject:
            raise untrusted("userinfo: sub differs")
        return claims

    def _session(self) -> OAuth2Session:
        session = OAuth2Session(
            self._provider.client_id,
            self._provider.client_secret,
            token_endpoint_auth_method=self._metadata.auth_method,
            scope=" ".join(self._provider.scopes),
            redirect_uri=self._redirect_uri,
            code_challenge_method="S256",
        )
        session.register_client_auth_method(("client_secret_basic", _basic))
        outbound.guard(session, network=self._network)
        return session


def _basic(client: Any, _method: str, uri: str, headers: Any, body: str) -> tuple[str, Any, str]:
    """HTTP Basic of the form-encoded id and secret (RFC 6749 section 2.3.1); Authlib leaves the
    encoding out, and with it fails on a secret with a colon, a percent sign or a letter like é."""
    text = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    headers["Authorization"] = "Basic " + base64.b64encode(text.encode()).decode()
    return uri, headers, body
