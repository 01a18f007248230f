"""`make demo-check`: the main job through a running demo, as a client would do it, and what people
do in the portal and the console. Exits non-zero when a step fails.
"""

from __future__ import annotations

import json
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from sandbox.demo.check_people import PeopleCheck
from sandbox.demo.forms import FormBrowser
from sandbox.demo.state import DemoPaths, read_json
from sandbox.demo.steps import Authorization, Steps, go_through, require

FHIR_JSON = {"Accept": "application/fhir+json"}
EXPORT_SECONDS = 120


class Check:
    """The steps for one tenant of a contract."""

    def __init__(self, fhir_base: str, demo: Mapping[str, Any]) -> None:
        self.base = fhir_base
        self.demo = demo
        self.http = requests.Session()
        self.http.trust_env = False
        self.discovery: dict[str, Any] = {}
        self.token: dict[str, Any] = {}
        self.backend_token = ""
        self.manifest: dict[str, Any] = {}

    def steps(self) -> Steps:
        """Name and function of each step, in order."""
        return [
            ("discovery", self.discover),
            ("EHR launch, login, consent, code and token", self.launch),
            ("refresh", self.refresh),
            ("read the patient", self.read),
            ("search appointments and reports, page by page", self.search),
            ("a deleted appointment and a foreign patient", self.refusals),
            ("backend token", self.backend),
            ("Group export", self.export),
            ("download and count NDJSON", self.download),
        ]

    def get(self, url: str, token: str, expect: int = 200) -> requests.Response:
        """GET with a bearer token and a check of the status."""
        headers = {**FHIR_JSON, "Authorization": f"Bearer {token}"}
        answer = self.http.get(url, headers=headers, timeout=30)
        path = urlsplit(url).path
        require(answer.status_code == expect, f"GET {path}: {answer.status_code}, not {expect}")
        return answer

    def discover(self) -> None:
        url = f"{self.base}/.well-known/smart-configuration"
        self.discovery = self.http.get(url, timeout=30).json()
        require(self.discovery["issuer"] == self.base, "issuer is not the FHIR base")
        metadata = self.http.get(f"{self.base}/metadata", timeout=30).json()
        require(metadata["fhirVersion"] == "4.0.1", "metadata is not FHIR 4.0.1")

    def launch(self) -> None:
        client = self.demo["clients"]["public"]
        browser = FormBrowser(stop_at=client["launch_url"])
        browser.open(
            self.demo["ehr_launch_url"].format(
                patient_id=self.demo["patient_id"], client_id=client["client_id"]
            )
        )
        launch = parse_qs(urlsplit(browser.url).query)
        require(launch.get("iss") == [self.base], "the EHR's iss is not the FHIR base")
        request = Authorization(
            self.discovery, client["client_id"], client["redirect_uri"], client["scope"]
        )
        browser.stop_at = client["redirect_uri"]
        browser.open(request.url(launch=launch["launch"][0]))
        require(browser.status == 200, f"authorize answered {browser.status}")
        browser.submit(browser.forms()[0])
        answer = parse_qs(urlsplit(browser.url).query)
        browser.close()
        require("code" in answer, "consent did not lead to a code")
        require(answer["state"] == [request.state], "state came back changed")
        self.token = self._token(request.code_fields(answer["code"][0]))
        require(self.token["patient"] == self.demo["patient_id"], "token is for another patient")
        require("id_token" in self.token, "no id_token")

    def refresh(self) -> None:
        client_id = self.demo["clients"]["public"]["client_id"]
        fields = {"grant_type": "refresh_token", "refresh_token": self.token["refresh_token"]}
        again = self._token({**fields, "client_id": client_id})
        require(again["refresh_token"] != self.token["refresh_token"], "refresh did not rotate")
        self.token = {**self.token, **again}

    def read(self) -> None:
        url = f"{self.base}/Patient/{self.demo['patient_id']}"
        answer = self.get(url, self.token["access_token"])
        require(answer.json()["id"] == self.demo["patient_id"], "another patient was read")
        require(answer.headers.get("ETag"), "no ETag")

    def search(self) -> None:
        for resource_type in self.demo["patient_types"]:
            url: str | None = (
                f"{self.base}/{resource_type}?patient={self.demo['patient_id']}&_count=2"
            )
            found: set[str] = set()
            total = None
            while url:
                bundle = self.get(url, self.token["access_token"]).json()
                total = bundle.get("total", total)
                ids = [entry["resource"]["id"] for entry in bundle.get("entry", [])]
                require(not found & set(ids), f"{resource_type}: an entry came twice")
                found |= set(ids)
                links = {one["relation"]: one["url"] for one in bundle["link"]}
                url = links.get("next")
            require(found, f"no {resource_type}")
            require(total in (None, len(found)), f"{resource_type}: total is not what came")

    def refusals(self) -> None:
        token = self.token["access_token"]
        self.get(f"{self.base}/{self.demo['deleted']}", token, 410)
        self.get(f"{self.base}/Patient/{self.demo['other_patient_id']}", token, 404)
        anonymous = self.http.get(f"{self.base}/Patient", headers=FHIR_JSON, timeout=30)
        require(anonymous.status_code == 401, "a read without token was not refused")

    def backend(self) -> None:
        client = self.demo["clients"]["backend"]
        jwk = client["jwk"]
        key = ECKey.import_key(jwk) if jwk["kty"] == "EC" else RSAKey.import_key(jwk)
        algorithm = "ES384" if jwk["kty"] == "EC" else "RS384"
        now = int(time.time())
        claims = {
            "iss": client["client_id"],
            "sub": client["client_id"],
            "aud": self.discovery["token_endpoint"],
            "exp": now + 240,
            "jti": secrets.token_hex(16),
        }
        header = {"alg": algorithm, "kid": jwk["kid"], "typ": "JWT"}
        assertion = jwt.encode(header, claims, key, algorithms=[algorithm])
        answer = self._token(
            {
                "grant_type": "client_credentials",
                "scope": "system/*.rs",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": assertion,
            }
        )
        require(answer["expires_in"] == 300, "a backend token does not live 300 s")
        self.backend_token = answer["access_token"]

    def export(self) -> None:
        headers = {
            **FHIR_JSON,
            "Prefer": "respond-async",
            "Authorization": f"Bearer {self.backend_token}",
        }
        url = f"{self.base}/Group/{self.demo['group_id']}/$export"
        answer = self.http.get(url, headers=headers, timeout=30)
        require(answer.status_code == 202, f"kick-off answered {answer.status_code}")
        where = answer.headers["Content-Location"]
        deadline = time.monotonic() + EXPORT_SECONDS
        while True:
            status = self.http.get(where, headers=headers, timeout=30)
            if status.status_code == 200:
                self.manifest = status.json()
                return
            require(status.status_code == 202, f"status answered {status.status_code}")
            require(time.monotonic() < deadline, "the export did not finish in time")
            time.sleep(min(float(status.headers["Retry-After"]), 2))

    def download(self) -> None:
        types = {item["type"] for item in self.manifest["output"]}
        wanted = {"Patient", *self.demo["patient_types"]}
        require(wanted <= types, f"the export lacks {sorted(wanted - types)}")
        for item in self.manifest["output"]:
            answer = self.get(item["url"], self.backend_token)
            media = answer.headers["Content-Type"]
            require(media.startswith("application/fhir+ndjson"), f"a file has type {media}")
            lines = answer.content.splitlines()
            require(len(lines) == item["count"], f"{item['type']}: count is not what came")
            kinds = {json.loads(line)["resourceType"] for line in lines}
            require(kinds == {item["type"]}, f"a {item['type']} file holds other types")

    def _token(self, fields: Mapping[str, str]) -> dict[str, Any]:
        answer = self.http.post(self.discovery["token_endpoint"], data=dict(fields), timeout=30)
        body: dict[str, Any] = answer.json()
        require(answer.status_code == 200, f"token endpoint: {body.get('error_description')}")
        require(answer.headers.get("Cache-Control") == "no-store", "a token may be cached")
        return body


def run(contract: Mapping[str, Any]) -> int:
    """Run every step for every tenant; prints a line each. Returns the number of failed steps."""
    demo = contract["demo"]
    tenants = [(contract["fhir_base"], demo)]
    tenants += [(other["fhir_base"], other) for other in demo["tenants"].values()]
    failed = 0
    for base, part in tenants:
        print(base)
        check, people = Check(base, part), PeopleCheck(base, part)
        failed += go_through(check.steps()) + go_through(people.steps())
        check.http.close()
        people.close()
    print("demo-check passed" if not failed else f"demo-check failed: {failed} step(s)")
    return failed


def answers(fhir_base: str) -> bool:
    """Whether a server listens there."""
    try:
        requests.get(f"{fhir_base}/metadata", timeout=30)
    except requests.ConnectionError:
        return False
    return True


def main() -> None:
    """Check the demo whose contract is at the path given, `var/demo/contract.json` by default."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else DemoPaths(Path("var/demo")).contract
    contract = read_json(path)
    if not contract:
        sys.exit(f"There is no {path}: start `make demo` first.")
    if not answers(contract["fhir_base"]):
        sys.exit(f"Nothing answers at {contract['fhir_base']}: start `make demo` first.")
    sys.exit(1 if run(contract) else 0)


if __name__ == "__main__":
    main()
