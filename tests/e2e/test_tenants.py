"""Nothing of one tenant works on the other: each row takes what the first practice gave and
presents it to the second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from sandbox.demo.forms import FormBrowser
from tests.support.demo import RunningDemo
from tests.support.demo_tokens import backend_token, http_session, launch_token, of_tenant
from tests.support.pkce import Pkce

SCOPE = "openid fhirUser launch/patient offline_access patient/*.rs"
FHIR = "application/fhir+json"


@dataclass
class Practices:
    """What the first practice gave (`base`, `part`), and the second (`other_base`, `other`)."""

    demo: RunningDemo
    http: requests.Session

    @cached_property
    def base(self) -> str:
        return of_tenant(self.demo, None)[0]

    @cached_property
    def part(self) -> dict[str, Any]:
        return of_tenant(self.demo, None)[1]

    @cached_property
    def other_base(self) -> str:
        return of_tenant(self.demo, "zenith")[0]

    @cached_property
    def other(self) -> dict[str, Any]:
        return of_tenant(self.demo, "zenith")[1]

    @cached_property
    def launched(self) -> dict[str, Any]:
        return launch_token(self.demo, SCOPE)

    @cached_property
    def backend(self) -> str:
        return backend_token(self.demo)

    @cached_property
    def other_backend(self) -> str:
        return backend_token(self.demo, tenant="zenith")

    @cached_property
    def other_launched(self) -> dict[str, Any]:
        return launch_token(self.demo, SCOPE, tenant="zenith")

    @cached_property
    def other_ids(self) -> set[str]:
        return {one["id"] for one in self.everything(self.other_base, self.other_backend)}

    @cached_property
    def foreign(self) -> dict[str, Any]:
        """A patient of the first practice whose id the second does not have."""
        patients = self.everything(self.base, self.backend)
        return next(one for one in patients if one["id"] not in self.other_ids)

    @cached_property
    def job(self) -> str:
        """The status address of a finished export of the first practice."""
        answer = self.get(
            f"{self.base}/Group/{self.part['group_id']}/$export?_type=Patient",
            self.backend,
            Prefer="respond-async",
        )
        assert answer.status_code == 202
        where = answer.headers["Content-Location"]
        deadline = time.monotonic() + 60
        while self.get(where, self.backend).status_code == 202:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        return where

    @cached_property
    def file(self) -> str:
        manifest = self.get(self.job, self.backend).json()
        return str(manifest["output"][0]["url"])

    def there(self, url: str) -> str:
        """The same address at the second practice."""
        assert url.startswith(self.base)
        return self.other_base + url.removeprefix(self.base)

    def get(self, url: str, token: str, **headers: str) -> requests.Response:
        headers = {"Accept": FHIR, "Authorization": f"Bearer {token}", **headers}
        return self.http.get(url, headers=headers, timeout=30)

    def token(self, base: str, auth: tuple[str, str] | None = None, **fields: str) -> Any:
        """The token endpoint's answer: status and `error`."""
        answer = self.http.post(f"{base}/auth/token", data=fields, auth=auth, timeout=30)
        return answer.status_code, answer.json().get("error")

    def everything(self, base: str, token: str) -> list[dict[str, Any]]:
        url: str | None = f"{base}/Patient?_count=500"
        found = []
        while url:
            bundle = self.get(url, token).json()
            found += [entry["resource"] for entry in bundle.get("entry", [])]
            links = {one["relation"]: one["url"] for one in bundle["link"]}
            url = links.get("next")
        return found

    def code(self) -> tuple[str, Pkce]:
        """An unused code of the first practice."""
        pkce, client = Pkce(), self.part["clients"]["public"]
        url = pkce.authorize_url(self.base, client, SCOPE)
        return pkce.log_in(url, client, self.part["users"]["patient"]), pkce


@pytest.fixture(scope="module")
def practices(demo: RunningDemo) -> Iterator[Practices]:
    with http_session() as http:
        yield Practices(demo, http)


# What a row returns is compared to what it is listed with.
Row = Callable[[Practices], Any]


def _read_with_a_token(token: Callable[[Practices], str]) -> Row:
    return lambda p: p.get(f"{p.other_base}/Patient", token(p)).status_code


def _search_by_post(p: Practices) -> int:
    headers = {"Authorization": f"Bearer {p.launched['access_token']}"}
    return p.http.post(
        f"{p.other_base}/Patient/_search", data={"_count": "1"}, headers=headers, timeout=30
    ).status_code


def _kick_off(p: Practices) -> int:
    url = f"{p.other_base}/Group/{p.other['group_id']}/$export"
    return p.get(url, p.backend, Prefer="respond-async").status_code


def _cancel_a_job(p: Practices) -> tuple[int, int]:
    answer = p.http.delete(
        p.there(p.job), headers={"Authorization": f"Bearer {p.other_backend}"}, timeout=30
    )
    return answer.status_code, p.get(p.job, p.backend).status_code


def _cursor(p: Practices) -> list[int]:
    """The same query, the same base: only the sealed position is the first practice's."""
    first = p.get(f"{p.base}/Patient?_count=1", p.backend).json()
    page = next(one["url"] for one in first["link"] if one["relation"] == "next")
    assert p.get(page, p.backend).status_code == 200
    return [
        p.get(p.there(page), p.other_backend).status_code,
        p.get(p.there(page), p.backend).status_code,
    ]


def _code_with(client: Callable[[Practices], dict[str, Any]]) -> Row:
    def present(p: Practices) -> Any:
        code, pkce = p.code()
        redirect = p.part["clients"]["public"]["redirect_uri"]
        fields = pkce.code_fields(code, redirect, client(p)["client_id"])
        refused = p.token(p.other_base, **fields)
        # The second practice has not used the code up either.
        own = pkce.code_fields(code, redirect, p.part["clients"]["public"]["client_id"])
        assert p.token(p.base, **own) == (200, None)
        return refused

    return present


def _refresh_with(client: Callable[[Practices], dict[str, Any]]) -> Row:
    def present(p: Practices) -> Any:
        given = launch_token(p.demo, SCOPE)
        fields = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"]}
        refused = p.token(p.other_base, client_id=client(p)["client_id"], **fields)
        own = p.part["clients"]["public"]["client_id"]
        assert p.token(p.base, client_id=own, **fields) == (200, None)
        return refused

    return present


def _revoke(p: Practices) -> int:
    """The second practice answers as to any unknown token, and the token stays good."""
    p.http.post(
        f"{p.other_base}/auth/revoke",
        data={
            "token": p.launched["access_token"],
            "client_id": p.other["clients"]["public"]["client_id"],
        },
        timeout=30,
    )
    return p.get(f"{p.base}/Patient", p.launched["access_token"]).status_code


def _introspect(p: Practices) -> Any:
    client = p.other["clients"]["confidential"]
    answer = p.http.post(
        f"{p.other_base}/auth/introspect",
        data={"token": p.launched["access_token"]},
        auth=(client["client_id"], client["client_secret"]),
        timeout=30,
    )
    return answer.status_code, answer.json()


def _confidential_client(p: Practices) -> Any:
    client = p.part["clients"]["confidential"]
    auth = (client["client_id"], client["client_secret"])
    return p.token(p.other_base, auth, grant_type="refresh_token", refresh_token="x")


def _assertion(p: Practices) -> Any:
    """The first practice's backend client at the second's token endpoint."""
    mixed = RunningDemo(
        p.demo.process,
        p.demo.state,
        p.demo.port,
        {"fhir_base": p.other_base, "demo": {**p.part, "tenants": {}}},
    )
    try:
        return backend_token(mixed)
    except AssertionError as refusal:
        return refusal.args[0].get("error") if isinstance(refusal.args[0], dict) else refusal


def _authorize(p: Practices) -> tuple[int, bool]:
    client = p.part["clients"]["public"]
    url = Pkce().authorize_url(p.other_base, client, SCOPE)
    answer = p.http.get(url, allow_redirects=False, timeout=30)
    return answer.status_code, "Location" in answer.headers


def _launch(p: Practices) -> list[str]:
    """A launch that the first practice's EHR began, brought to the second by its own app."""
    client, other = p.part["clients"]["public"], p.other["clients"]["public"]
    start = p.part["ehr_launch_url"].format(
        patient_id=p.part["patient_id"], client_id=client["client_id"]
    )
    answer = p.http.get(start, allow_redirects=False, timeout=30)
    launch = parse_qs(urlsplit(answer.headers["Location"]).query)["launch"][0]
    url = Pkce().authorize_url(p.other_base, other, "launch patient/*.rs", launch=launch)
    with FormBrowser(stop_at=other["redirect_uri"]) as browser:
        browser.open(url)
        if not browser.url.startswith(other["redirect_uri"]):
            person = p.other["users"]["practitioner"]
            login = browser.form("username", "password")
            fill = {"username": person["username"], "password": person["password"]}
            browser.submit(login, fill)
        return parse_qs(urlsplit(browser.url).query).get("error", [browser.url])


def _session(p: Practices) -> bool:
    """Whether a session of the first practice, its cookie forced on the second, skips the login."""
    client = p.part["clients"]["public"]
    with FormBrowser(stop_at=client["launch_url"]) as browser:
        browser.open(
            p.part["ehr_launch_url"].format(
                patient_id=p.part["patient_id"], client_id=client["client_id"]
            )
        )
        cookies = {cookie.name: cookie.value or "" for cookie in browser.session.cookies}
    assert cookies
    url = Pkce().authorize_url(p.other_base, p.other["clients"]["public"], SCOPE)
    answer = requests.get(url, cookies=cookies, timeout=30, proxies={"http": ""})
    return 'name="password"' in answer.text


def _password(p: Practices) -> int:
    """The practitioner of the first practice logs in at the second."""
    person = p.part["users"]["practitioner"]
    with FormBrowser() as browser:
        browser.open(Pkce().authorize_url(p.other_base, p.other["clients"]["public"], SCOPE))
        login = browser.form("username", "password")
        fill = {"username": person["username"], "password": person["password"]}
        return browser.submit(login, fill).status


def _foreign_patient(p: Practices) -> list[int]:
    known, there = p.foreign["id"], p.other_base
    assert p.get(f"{p.base}/Patient/{known}", p.backend).status_code == 200
    version = p.foreign["meta"]["versionId"]
    practitioner = launch_token(p.demo, "user/*.rs", tenant="zenith")["access_token"]
    return [
        p.get(f"{there}/Patient/{known}", p.other_backend).status_code,
        p.get(f"{there}/Patient/{known}/_history/{version}", p.other_backend).status_code,
        p.get(f"{there}/Patient/{known}", practitioner).status_code,
        p.get(f"{there}/Patient/{known}", p.other_launched["access_token"]).status_code,
    ]


def _foreign_search(p: Practices) -> int:
    url = f"{p.other_base}/Appointment?patient={p.foreign['id']}"
    return len(p.get(url, p.other_backend).json().get("entry", []))


def _keys_in_common(p: Practices) -> int:
    jwks = [
        {key["kid"] for key in p.http.get(f"{b}/.well-known/jwks.json", timeout=30).json()["keys"]}
        for b in (p.base, p.other_base)
    ]
    assert all(jwks)
    return len(jwks[0] & jwks[1])


def _other_public(p: Practices) -> dict[str, Any]:
    return dict(p.other["clients"]["public"])


def _own_public(p: Practices) -> dict[str, Any]:
    return dict(p.part["clients"]["public"])


TABLE: list[tuple[str, Row, Any]] = [
    ("user token", _read_with_a_token(lambda p: p.launched["access_token"]), 401),
    ("backend token", _read_with_a_token(lambda p: p.backend), 401),
    ("id_token as a token", _read_with_a_token(lambda p: p.launched["id_token"]), 401),
    ("token in a POST search", _search_by_post, 401),
    ("kick-off", _kick_off, 401),
    ("job, its owner's token", lambda p: p.get(p.there(p.job), p.backend).status_code, 401),
    ("job", lambda p: p.get(p.there(p.job), p.other_backend).status_code, 404),
    ("cancelling a job", _cancel_a_job, (404, 200)),
    ("file, its owner's token", lambda p: p.get(p.there(p.file), p.backend).status_code, 401),
    ("file", lambda p: p.get(p.there(p.file), p.other_backend).status_code, 404),
    ("own file, foreign token", lambda p: p.get(p.file, p.other_backend).status_code, 401),
    ("cursor", _cursor, [400, 401]),
    ("code, the second's app", _code_with(_other_public), (400, "invalid_grant")),
    ("code, its own app", _code_with(_own_public), (400, "invalid_client")),
    ("refresh token, the second's app", _refresh_with(_other_public), (400, "invalid_grant")),
    ("refresh token, its own app", _refresh_with(_own_public), (400, "invalid_client")),
    ("revocation", _revoke, 200),
    ("introspection", _introspect, (200, {"active": False})),
    ("confidential client", _confidential_client, (401, "invalid_client")),
    ("client assertion", _assertion, "invalid_client"),
    ("public client at authorize", _authorize, (400, False)),
    ("launch", _launch, ["invalid_request"]),
    ("session", _session, True),
    ("password", _password, 403),
    ("ids", _foreign_patient, [404, 404, 404, 404]),
    ("search by a foreign id", _foreign_search, 0),
    ("signing keys", _keys_in_common, 0),
]


@pytest.mark.parametrize(("present", "expected"), [pytest.param(r, e, id=n) for n, r, e in TABLE])
def test_nothing_of_one_tenant_works_on_the_other(
    practices: Practices, present: Row, expected: Any
) -> None:
    assert present(practices) == expected
