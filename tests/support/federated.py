"""Logins at an external provider, in a test's browser tab."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from smart_auth import admin
from smart_auth.login_provider import LoginProvider
from smart_auth.records import User
from smart_auth.settings import AuthSettings
from smart_auth.store import AuthStore
from tests.support.login_provider import CLIENT_ID, SECRET, Provider
from tests.support.smart_auth import SETTINGS, Tab

CALLBACK = "/fhir/acme/auth/federated/hospital/callback"


def settings_for(provider: Provider, **changes: Any) -> AuthSettings:
    """The tenants acme and beta with this provider, and acme with one more of the same issuer."""
    one = LoginProvider("hospital", "Hospital account", provider.url, CLIENT_ID, SECRET, **changes)
    other = replace(one, name="other", label="Another")
    return replace(SETTINGS, providers={"acme": [one, other], "beta": [one]})


def link(store: AuthStore, provider: Provider, user: User, subject: str = "person-1") -> None:
    made = settings_for(provider).provider("acme", "hospital")
    assert made is not None
    admin.link_identity(store, user, made, subject)


def leave(tab: Tab, label: str = "Hospital account") -> str:
    """Press the provider's button on the login page; where the browser is sent."""
    found = re.search(rf'href="([^"]+)">{label}</a>', tab.text)
    assert found is not None, tab.title
    answer = tab.client.get(found[1].replace("&amp;", "&"))
    assert answer.status_code == 302, answer.get_data(as_text=True)
    return str(answer.headers["Location"])


def come_back(tab: Tab, query: dict[str, Any], path: str = CALLBACK) -> Tab:
    return tab._follow(tab.client.get(path, query_string=query))


def log_in(tab: Tab, provider: Provider) -> Tab:
    """From the login page to wherever the provider's word leads."""
    return come_back(tab, provider.come_back(leave(tab)))
