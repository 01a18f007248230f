"""The settings of services outside that this server is a client of, as part of a tenant's."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

LinkRule = Literal["linked", "username", "email"]


class WithSecret(BaseModel):
    """A client id, and its secret as text or in a file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    client_id: str = Field(min_length=1)
    client_secret: SecretStr | None = None
    client_secret_file: Path | None = None

    @model_validator(mode="after")
    def _one_secret(self) -> WithSecret:
        if (self.client_secret is None) == (self.client_secret_file is None):
            raise ValueError("give client_secret or client_secret_file, one of them")
        return self

    def secret(self) -> str:
        """The client secret, read from its file when it is in one."""
        if self.client_secret is not None:
            return self.client_secret.get_secret_value()
        assert self.client_secret_file is not None  # noqa: S101  the validator saw to it
        return self.client_secret_file.read_text(encoding="utf-8").strip()


class LoginProviderSettings(WithSecret):
    """An OpenID provider that people of the tenant may log in with: see
    `smart_auth.login_provider`, which checks what these say. See docs/howto/federated-login.md.
    """

    label: str = Field(min_length=1)
    """What stands on the button."""
    issuer: str
    """As the provider's discovery document gives it, to the letter."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    link: LinkRule = "linked"
    """Whose account an identity opens: whom an administrator linked, or by a claim."""
    username_claim: str = "preferred_username"
    trust_usernames: bool = False
    """Whether nobody at the provider can choose or change that claim."""
    second_factor_acr: tuple[str, ...] = ()
    """Values of acr that mean two factors."""
    private_network: bool = False
    """Whether the provider may stand on an inner network, so that its addresses may be private."""
