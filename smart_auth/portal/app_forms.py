"""The form of an app: what a developer wrote, checked field by field, as client metadata.

What may be registered is decided by `client_metadata`; here each field is judged by itself, so that
the answer stands beside it and says how to mend it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

from smart_auth.client_details import MOST_CONTACTS, is_contact
from smart_auth.client_metadata import InvalidClientMetadata, check_jwks, redirect_uri_allowed
from smart_auth.outbound import Unreachable
from smart_auth.portal.fields import (
    EARLIEST,
    LATEST,
    LONGEST_ADDRESS,
    address_problem,
    day_of,
    end_of_day,
    read_date,
    start_of_day,
    text_problem,
)
from smart_auth.portal.scope_checks import DEFAULT_SCOPES, scope_problem
from smart_auth.ports import TenantInfo
from smart_auth.records import Client, Service
from smart_auth.scopes import ScopeSet

Kind = Literal["public", "secret", "keys", "backend"]
MOST_REDIRECT_URIS = 20
LONGEST_JWKS = 65_536


class KindWords(NamedTuple):
    """A kind of app as a developer knows it, and how it proves who it is (RFC 7591)."""

    label: str
    hint: str
    method: str
    grant_types: tuple[str, ...]


_LAUNCH = ("authorization_code", "refresh_token")

KINDS: Mapping[Kind, KindWords] = {
    "public": KindWords(
        "Browser or native app",
        "Runs where people can look inside: it has no secret and proves itself by PKCE.",
        "none",
        _LAUNCH,
    ),
    "secret": KindWords(
        "Server app with a secret",
        "People use it, and its server keeps a secret that is shown once.",
        "client_secret_basic",
        _LAUNCH,
    ),
    "keys": KindWords(
        "Server app with keys",
        "People use it, and its server signs with a private key of its own.",
        "private_key_jwt",
        _LAUNCH,
    ),
    "backend": KindWords(
        "Backend service",
        "Nobody logs in: it signs with a private key and reads those it is assigned.",
        "private_key_jwt",
        ("client_credentials",),
    ),
}

LAUNCH_KINDS: tuple[Kind, ...] = ("public", "secret", "keys")


def kinds_for(service: Service | None) -> tuple[Kind, ...]:
    """The kinds a developer may register: who builds for patients makes no backend services."""
    return LAUNCH_KINDS if service == "patient" else get_args(Kind)


def kind_of(client: Client) -> Kind:
    """The kind of a registered app."""
    if not client.check_grant_type("authorization_code"):
        return "backend"
    if client.public:
        return "public"
    return "keys" if client.auth_method == "private_key_jwt" else "secret"


@dataclass(frozen=True)
class AppForm:
    """What a developer wrote about an app, each as text, so that it can be shown again."""

    name: str = ""
    kind: str = "public"
    redirect_uris: str = ""
    launch_uri: str = ""
    scope: str = ""
    jwks: str = ""
    jwks_uri: str = ""
    client_uri: str = ""
    policy_uri: str = ""
    contacts: str = ""
    valid_from: str = ""
    valid_to: str = ""

    @classmethod
    def of(cls, form: Mapping[str, str]) -> AppForm:
        """From a form that was sent."""
        return cls(**{one.name: form.get(one.name, "").strip() for one in fields(cls)})

    @classmethod
    def from_client(cls, client: Client, tenant: TenantInfo) -> AppForm:
        """As it would have to be written to give this app."""
        ends = client.valid_to
        return cls(
            name=client.name,
            kind=kind_of(client),
            redirect_uris="\n".join(client.redirect_uris),
            launch_uri=client.launch_uri or "",
            scope=client.scope,
            jwks="" if client.jwks is None else json.dumps(json.loads(client.jwks), indent=2),
            jwks_uri=client.jwks_uri or "",
            client_uri=client.details.get("client_uri", ""),
            policy_uri=client.details.get("policy_uri", ""),
            contacts="\n".join(client.details.get("contacts", ())),
            valid_from="" if not client.valid_from else day_of(client.valid_from, tenant.zone),
            valid_to="" if ends is None else day_of(ends - 1, tenant.zone),
        )

    @property
    def redirect_lines(self) -> list[str]:
        """The redirect URIs, without empty lines and repeats."""
        return _lines(self.redirect_uris)

    @property
    def contact_lines(self) -> list[str]:
        """The contacts, without empty lines and repeats."""
        return _lines(self.contacts)


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return list(dict.fromkeys(line for line in lines if line))


@dataclass(frozen=True)
class FormRules:
    """Against what a form is held. `fetch` gets a key set by its URL (`Unreachable`);
    `known_jwks_uri` was fetched before."""

    tenant: TenantInfo
    service: Service | None
    parse: Callable[[str], ScopeSet]
    fetch: Callable[[str], str]
    known_jwks_uri: str | None = None


def problems_of(form: AppForm, rules: FormRules) -> dict[str, str]:
    """What has to change, by field. A JWKS URL is fetched only when all else is well."""
    if form.kind not in kinds_for(rules.service):
        return {"kind": "Choose what kind of app it is."}
    found = {
        "name": text_problem(form.name, "the name people will see", required=True),
        "redirect_uris": _redirect_problem(form),
        "launch_uri": _launch_problem(form, rules),
        "scope": scope_problem(form.scope, form.kind == "backend", rules.service, rules.parse),
        "client_uri": form.client_uri and address_problem(form.client_uri),
        "policy_uri": form.policy_uri and address_problem(form.policy_uri),
        "contacts": _contacts_problem(form.contact_lines),
    }
    found |= _window_problems(form) | _key_problems(form)
    problems = {name: problem for name, problem in found.items() if problem}
    if not problems and form.jwks_uri and form.jwks_uri != rules.known_jwks_uri:
        fetched = _fetch_problem(form.jwks_uri, rules.fetch)
        problems = {"jwks_uri": fetched} if fetched else {}
    return problems


def _contacts_problem(lines: Sequence[str]) -> str:
    if len(lines) > MOST_CONTACTS:
        return f"Write at most {MOST_CONTACTS}."
    if all(map(is_contact, lines)):
        return ""
    return "Write e-mail addresses as in name@example.org, https addresses or tel:+15550109999."


def metadata_of(form: AppForm, tenant: TenantInfo) -> dict[str, Any]:
    """The client metadata (RFC 7591 section 2, and `admin.create_client`) of a form without
    problems."""
    backend = form.kind == "backend"
    words = KINDS[_kind(form)]
    metadata: dict[str, Any] = {
        "client_name": form.name,
        "token_endpoint_auth_method": words.method,
        "grant_types": list(words.grant_types),
        "redirect_uris": form.redirect_lines,
        "launch_uri": form.launch_uri or None,
        "scope": " ".join(form.scope.split()) or DEFAULT_SCOPES[backend],
        "jwks": json.loads(form.jwks) if form.jwks else None,
        "jwks_uri": form.jwks_uri or None,
        "client_uri": form.client_uri or None,
        "policy_uri": form.policy_uri or None,
        "contacts": form.contact_lines or None,
        "valid_from": None,
        "valid_to": None,
    }
    first, last = read_date(form.valid_from), read_date(form.valid_to)
    if first is not None:
        metadata["valid_from"] = start_of_day(first, tenant.zone)
    if last is not None:
        metadata["valid_to"] = end_of_day(last, tenant.zone)
    return {name: value for name, value in metadata.items() if value is not None}


def _kind(form: AppForm) -> Kind:
    return next(kind for kind in KINDS if kind == form.kind)


def _redirect_problem(form: AppForm) -> str:
    lines = form.redirect_lines
    if form.kind == "backend":
        return "A backend service is not redirected to: leave this empty." if lines else ""
    if not lines:
        return "Write at least one address to which people come back after they allowed the app."
    if len(lines) > MOST_REDIRECT_URIS:
        return f"Write at most {MOST_REDIRECT_URIS} addresses."
    for place, uri in enumerate(lines, 1):
        if problem := uri_problem(uri):
            return f"Line {place}: {problem}"
    return ""


def uri_problem(uri: str) -> str:
    """Why an address cannot be a redirect URI, '' when it can."""
    if len(uri) > LONGEST_ADDRESS:
        return f"write at most {LONGEST_ADDRESS} characters."
    if redirect_uri_allowed(uri):
        return ""
    if ":" not in uri:
        return "write the whole address, beginning with https://."
    if "#" in uri:
        return "leave out # and what follows it."
    if "*" in uri.partition("//")[2].partition("/")[0]:
        return "write each host in full: * stands for nothing here."
    if uri.lower().startswith("http://"):
        return "use https://. Only localhost and 127.0.0.1 may be reached by http://."
    if "@" in uri.partition("//")[2].partition("/")[0]:
        return "leave out the user name before the host."
    if uri.lower().startswith("https://"):
        return "this is no complete https address: no spaces, and a host name after https://."
    return "use https://, or for a native app a scheme with a dot, as in org.example.app:/callback."


def _launch_problem(form: AppForm, rules: FormRules) -> str:
    if not form.launch_uri:
        return ""
    if form.kind == "backend":
        return "A backend service is not launched: leave this empty."
    problem = uri_problem(form.launch_uri)
    if not problem and not form.launch_uri.startswith(("https:", "http:")):
        problem = "use https://: a record system opens it in a browser."
    if problem:
        return problem[0].upper() + problem[1:]
    if form.scope and "launch" not in rules.parse(form.scope):
        return (
            "Add the scope launch too: without it a launch from a record system gives no patient."
        )
    return ""


def _window_problems(form: AppForm) -> dict[str, str]:
    problems = {}
    days = {name: read_date(getattr(form, name)) for name in ("valid_from", "valid_to")}
    for name, day in days.items():
        if getattr(form, name) and (day is None or not EARLIEST <= day <= LATEST):
            problems[name] = "Write a day that exists, as year-month-day: 2030-12-31."
    first, last = days["valid_from"], days["valid_to"]
    if first is not None and last is not None and last < first:
        problems["valid_to"] = "The last day must not be before the first."
    return problems


def _key_problems(form: AppForm) -> dict[str, str]:
    given = [name for name in ("jwks", "jwks_uri") if getattr(form, name)]
    if form.kind not in ("keys", "backend"):
        text = "This kind of app has no keys: leave this empty, or choose a kind that has."
        return dict.fromkeys(given, text)
    if len(given) == 2:
        return {"jwks_uri": "Give the keys in one way only: here or above."}
    if not given:
        return {"jwks": "Paste the public key set, or write its address below."}
    if given == ["jwks_uri"]:
        return {"jwks_uri": address_problem(form.jwks_uri)}
    if len(form.jwks) > LONGEST_JWKS:
        return {"jwks": f"Paste at most {LONGEST_JWKS} characters."}
    return {"jwks": key_set_problem(form.jwks)}


def key_set_problem(text: str) -> str:
    """Why a text is no key set to verify an app by, '' when it is one."""
    try:
        check_jwks(json.loads(text))
    except InvalidClientMetadata as refused:
        return f"{refused}."
    except (ValueError, RecursionError):
        return 'This is no JSON: paste the whole set, from {"keys": to the last bracket.'
    return ""


def _fetch_problem(url: str, fetch: Callable[[str], str]) -> str:
    try:
        problem = key_set_problem(fetch(url))
    except Unreachable as reason:
        return f"The key set cannot be read from this address: {reason}."
    return f"The answer of this address cannot be used. {problem}" if problem else ""
