"""What an app says of itself for people to read (RFC 7591 section 2): it decides nothing.

Pages show these, so addresses must be web addresses and texts short and printable.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from smart_auth.settings import LOOPBACK_HOSTS

ADDRESSES = ("client_uri", "logo_uri", "tos_uri", "policy_uri")
TEXTS = {"software_id": 255, "software_version": 64}
"""Names and the most characters of each."""
PUBLIC = (*ADDRESSES, *TEXTS, "contacts")

LONGEST_ADDRESS = 2000
LONGEST_NAME = 200
LONGEST_CONTACT = 254
MOST_CONTACTS = 10
MOST_TRANSLATIONS = 50

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f<>,;:\"()\[\]\\]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_TELEPHONE = re.compile(r"tel:\+?[0-9().-]{3,30}(?:;[A-Za-z0-9-]+(?:=[A-Za-z0-9%.+-]+)?)*")
_LANGUAGE = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_TRANSLATED = ("client_name", *ADDRESSES)


class InvalidDetail(ValueError):
    """A member cannot be taken; the message is a fixed text that names it."""


def details_of(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The members of `PUBLIC` and their `name#language` forms; empty ones are left out.

    Raises `InvalidDetail`. Others of the metadata are not looked at.
    """
    found: dict[str, Any] = {}
    for name, value in metadata.items():
        plain, mark, language = name.partition("#")
        if value in (None, "", []):
            continue
        if mark and plain in _TRANSLATED and _LANGUAGE.fullmatch(language):
            found[name] = check_name(value) if plain == "client_name" else _address(plain, value)
        elif name in ADDRESSES:
            found[name] = _address(name, value)
        elif name in TEXTS:
            found[name] = _short(name, value, TEXTS[name])
        elif name == "contacts":
            found[name] = _contacts(value)
    if sum("#" in name for name in found) > MOST_TRANSLATIONS:
        raise InvalidDetail(f"At most {MOST_TRANSLATIONS} members may carry a language")
    return found


def is_public(name: str) -> bool:
    """Whether a member of `Client.details` was said by the app, and is given back to it."""
    return name.partition("#")[0] in (*PUBLIC, "client_name")


def check_name(value: Any) -> str:
    """A name of an app as pages may show it. Raises `InvalidDetail`."""
    return _short("client_name", value, LONGEST_NAME)


def _short(name: str, value: Any, most: int) -> str:
    if not isinstance(value, str) or len(value) > most or not value.isprintable():
        raise InvalidDetail(f"{name} must be a text of at most {most} printable characters")
    return value


def is_email(text: str) -> bool:
    """Whether mail could be sent there."""
    return len(text) <= LONGEST_CONTACT and _EMAIL.fullmatch(text) is not None


def is_contact(text: str) -> bool:
    """Whether this is a way to reach those who are responsible for an app: RFC 7591 (section 2)
    has e-mail addresses in mind and leaves it open. Taken are these, https addresses (of a form)
    and tel: URIs (RFC 3966), so that whoever reads one knows what to do with it."""
    if len(text) > LONGEST_CONTACT:
        return False
    page = text.startswith("https://") and _is_web_address(text)
    return is_email(text) or page or _TELEPHONE.fullmatch(text) is not None


def _contacts(value: Any) -> list[str]:
    if not isinstance(value, list | tuple) or len(value) > MOST_CONTACTS:
        raise InvalidDetail(f"contacts must be a list of at most {MOST_CONTACTS} texts")
    if not all(isinstance(one, str) and is_contact(one) for one in value):
        raise InvalidDetail(
            "Each of contacts must be an e-mail address, an https address or a tel: URI"
        )
    return list(value)


def _address(name: str, value: Any) -> str:
    if isinstance(value, str) and len(value) <= LONGEST_ADDRESS and _is_web_address(value):
        return value
    raise InvalidDetail(
        f"{name} must be an absolute https address (http only on loopback) of at most"
        f" {LONGEST_ADDRESS} characters"
    )


def _is_web_address(value: str) -> bool:
    if not value.isascii() or not value.isprintable() or " " in value:
        return False
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
    except ValueError:
        return False
    local = host in LOOPBACK_HOSTS or host.endswith(".localhost")
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and local))
