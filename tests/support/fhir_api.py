"""A FHIR client over plain HTTP for conformance checks: nothing of the server is imported."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

import requests

from tests.support.demo import RunningDemo
from tests.support.demo_tokens import backend_token, http_session, launch_token, of_tenant

FHIR_JSON = "application/fhir+json"
T = TypeVar("T")
Params = Sequence[tuple[str, str]] | Mapping[str, str] | str
EXPORT_SECONDS = 60
_TOKEN_SECONDS = 200
_CATEGORY = "http://loinc.org|LP29684-5"
_LAUNCHES: dict[str, tuple[str, str]] = {
    "practitioner": ("openid fhirUser user/*.rs", "practitioner"),
    "patient": ("launch/patient patient/*.rs", "practitioner"),
    "portal": ("launch/patient patient/*.rs", "patient"),
    "v1": ("launch/patient patient/*.read", "practitioner"),
    "reader": ("launch/patient patient/*.r", "practitioner"),
    "searcher": ("launch/patient patient/*.s", "practitioner"),
    "narrow": ("launch/patient patient/Patient.rs patient/Location.rs", "practitioner"),
    "radiology": (
        f"launch/patient patient/Patient.rs patient/DiagnosticReport.rs?category={_CATEGORY}",
        "practitioner",
    ),
    "laboratory": (
        "launch/patient patient/Patient.rs patient/Provenance.rs patient/DiagnosticReport.rs"
        "?category=http://terminology.hl7.org/CodeSystem/v2-0074|LAB",
        "practitioner",
    ),
}


@dataclass
class Exported:
    """A complete export: the manifest, its 200 answer, and the lines of its files by URL."""

    status_url: str
    manifest: dict[str, Any]
    answer: requests.Response
    files: dict[str, bytes] = field(default_factory=dict)

    def lines(self, section: str = "output") -> Iterator[tuple[str, dict[str, Any]]]:
        """(type of the file, resource) of every line of a section."""
        for item in self.manifest[section]:
            for line in self.files[item["url"]].splitlines():
                yield item["type"], json.loads(line)

    def of_type(self, resource_type: str) -> dict[str, dict[str, Any]]:
        """Resources of a type by id."""
        return {one["id"]: one for name, one in self.lines() if name == resource_type}

    def keys(self) -> set[str]:
        """`Type/id` of every resource of the output."""
        return {f"{one['resourceType']}/{one['id']}" for _, one in self.lines()}


class Api:
    """A tenant of the demo (the first by default) as a client sees it; `contract` is what the demo
    says of it. `who` names a token: one of `_LAUNCHES` or a backend client of the contract.
    """

    def __init__(self, demo: RunningDemo, tenant: str | None = None) -> None:
        self.demo = demo
        self.tenant = tenant
        self.base, self.contract = of_tenant(demo, tenant)
        self.http = http_session()
        self._tokens: dict[str, tuple[float, str]] = {}

    def token(self, who: str) -> str:
        """An access token, taken anew when it has grown old. `name:scope` is a backend client with
        other scopes than its own, `launch:[user:]scope` a launch with any scopes.
        """
        known = self._tokens.get(who)
        if known is None or known[0] < time.monotonic():
            if who in _LAUNCHES or who.startswith("launch:"):
                scope, user = _LAUNCHES.get(who) or _launch(who)
                answer = launch_token(self.demo, scope, user=user, tenant=self.tenant)
                text = str(answer["access_token"])
                known = (time.monotonic() + 3000, text)
            else:
                name, _, scope = who.partition(":")
                text = backend_token(self.demo, name, scope or "system/*.rs", tenant=self.tenant)
                known = (time.monotonic() + _TOKEN_SECONDS, text)
            self._tokens[who] = known
        return known[1]

    def call(
        self,
        method: str,
        path: str,
        who: str | None = "practitioner",
        *,
        headers: Mapping[str, str] | None = None,
        params: Params = "",
        body: Any = None,
    ) -> requests.Response:
        """One request; `path` is under the base, or an absolute URL."""
        sent = {"Accept": FHIR_JSON}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.token(who)}"
        sent.update(headers or {})
        query = params if isinstance(params, str) else urlencode(params)
        url = path if path.startswith("http") else f"{self.base}{path}"
        if query:
            url = f"{url}?{query}"
        return self.http.request(
            method, url, headers=sent, data=body, timeout=30, allow_redirects=False
        )

    def get(self, path: str, who: str | None = "practitioner", **more: Any) -> requests.Response:
        """GET, as `call`."""
        return self.call("GET", path, who, **more)

    def raw(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """A request with a target that no library has touched."""
        address = urlsplit(self.base)
        connection = http.client.HTTPConnection(address.netloc, timeout=30)
        try:
            connection.putrequest(method, address.path + target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def search(
        self, resource_type: str, params: Params = "", who: str = "practitioner"
    ) -> dict[str, Any]:
        """The first page of a search that must succeed."""
        answer = self.get(f"/{resource_type}", who, params=params)
        assert answer.status_code == 200, f"{params}: {answer.text}"
        bundle: dict[str, Any] = answer.json()
        assert bundle["resourceType"] == "Bundle"
        assert bundle["type"] == "searchset"
        return bundle

    def pages(self, first: dict[str, Any], who: str = "practitioner") -> Iterator[dict[str, Any]]:
        """A first page and all that follow it by `next`."""
        bundle = first
        while True:
            yield bundle
            following = link(bundle, "next")
            if following is None:
                return
            answer = self.get(following, who)
            assert answer.status_code == 200, answer.text
            bundle = answer.json()

    def ids(self, resource_type: str, params: Params = "", who: str = "practitioner") -> list[str]:
        """Ids of all matches, over all pages, in order."""
        pages = self.pages(self.search(resource_type, params, who), who)
        return [one["id"] for page in pages for one in entries(page)]

    def kickoff(
        self,
        params: Params = "",
        who: str = "backend",
        *,
        group: str | None = None,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        body: Any = None,
    ) -> requests.Response:
        """`Group/{id}/$export` of the contract's group."""
        wanted = self.contract["group_id"] if group is None else group
        sent = {"Prefer": "respond-async", **(headers or {})}
        path = f"/Group/{wanted}/$export"
        return self.call(method, path, who, headers=sent, params=params, body=body)

    def finished(self, status_url: str, who: str = "backend") -> requests.Response:
        """Poll until the export is complete; the answer with the manifest."""
        return wait_for(lambda: self._done(status_url, who), EXPORT_SECONDS)

    def _done(self, status_url: str, who: str) -> requests.Response | None:
        answer = self.get(status_url, who)
        if answer.status_code == 202:
            assert answer.headers["Retry-After"].isdigit()
            return None
        assert answer.status_code == 200, answer.text
        return answer

    def export(self, params: Params = "", who: str = "backend", **more: Any) -> Exported:
        """An export from kick-off to the last file."""
        accepted = self.kickoff(params, who, **more)
        assert accepted.status_code == 202, accepted.text
        where = accepted.headers["Content-Location"]
        answer = self.finished(where, who)
        made = Exported(where, answer.json(), answer)
        for section in ("output", "deleted", "error"):
            for item in made.manifest[section]:
                file = self.get(item["url"], who, headers={"Accept": "*/*"})
                assert file.status_code == 200, file.text
                made.files[item["url"]] = file.content
        return made


def _launch(who: str) -> tuple[str, str]:
    first, _, rest = who.removeprefix("launch:").partition(":")
    if "/" in first:
        return who.removeprefix("launch:"), "practitioner"
    return rest, first


_known: dict[str, Api] = {}


def api_of(demo: RunningDemo, tenant: str | None = None) -> Api:
    """The client of a tenant: one for all test modules, so that each token is taken once."""
    key = f"{demo.base} {tenant}"
    return _known.get(key) or _known.setdefault(key, Api(demo, tenant))


def link(bundle: Mapping[str, Any], relation: str) -> str | None:
    """The URL of a link of a Bundle."""
    return next((one["url"] for one in bundle["link"] if one["relation"] == relation), None)


def entries(bundle: Mapping[str, Any], mode: str = "match") -> list[dict[str, Any]]:
    """Resources of a Bundle's entries of one mode."""
    found = bundle.get("entry", [])
    return [one["resource"] for one in found if one["search"]["mode"] == mode]


def issue(answer: requests.Response, status: int) -> dict[str, Any]:
    """The first issue of a refusal, which must be an OperationOutcome with all that one has."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text[:500]}"
    assert answer.headers["Content-Type"].startswith(FHIR_JSON)
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    first: dict[str, Any] = body["issue"][0]
    assert first["severity"] in ("error", "fatal")
    assert first["details"]["text"]
    assert answer.headers["X-Correlation-Id"] in first["diagnostics"]
    return first


def wait_for(ask: Callable[[], T | None], seconds: float, pause: float = 0.2) -> T:
    """What `ask` gives once it is not None."""
    deadline = time.monotonic() + seconds
    while (found := ask()) is None:
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(pause)
    return found
