"""An external OpenID provider that people of a tenant may log in with, as the operator set it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from smart_auth.outbound import Network, network_of

LinkRule = Literal["linked", "username", "email"]
"""Who an identity of the provider is here: only whom an administrator linked; or at the first login
the user whose name equals a claim; or the one whose name equals the verified e-mail address."""

OWN_ORIGINS = frozenset({"login", "ehr"})
LONGEST_ISSUER = 255

_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class BadProvider(ValueError):
    """A provider that cannot be used; the message is one sentence."""


@dataclass(frozen=True)
class LoginProvider:
    """`name` stands in URLs and as the origin of sessions, `label` on the button. `issuer` is
    compared exactly. `username_claim` is for the link rule username, which wants
    `trust_usernames`: the operator's word that nobody chooses that claim. A login whose `acr` is
    one of `second_factor_acr` (which are asked for), or whose `amr` holds mfa, needs no second
    factor of ours. `private_network`: it may stand on an inner network. Raises `BadProvider`.
    """

    name: str
    label: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    link: LinkRule = "linked"
    username_claim: str = "preferred_username"
    trust_usernames: bool = False
    second_factor_acr: tuple[str, ...] = ()
    private_network: bool = False

    def network(self, demo: bool) -> Network:
        """What the provider's addresses may lead to."""
        if demo:
            return network_of(demo)
        return "private" if self.private_network else "public"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.name in OWN_ORIGINS:
            raise BadProvider(
                "The name of a login provider must be 1 to 16 of a-z, 0-9 and -, begin with a"
                " letter, and not be login or ehr."
            )
        parts = urlsplit(self.issuer)
        if (
            parts.scheme not in ("https", "http")
            or not parts.hostname
            or parts.username is not None
            or "?" in self.issuer
            or "#" in self.issuer
            or len(self.issuer) > LONGEST_ISSUER
        ):
            raise BadProvider("The issuer must be an https address without query and fragment.")
        if not self.label.strip() or not self.client_id or not self.client_secret:
            raise BadProvider("A login provider needs a label, a client_id and a client_secret.")
        if "openid" not in self.scopes or not all(map(_SCOPE.fullmatch, self.scopes)):
            raise BadProvider("The scopes of a login provider must be scope words with openid.")
        if self.link == "username" and not (self.trust_usernames and self.username_claim):
            raise BadProvider(
                "link = username needs trust_usernames = true: whoever may choose their user name"
                " at the provider could enter another's account here."
            )
