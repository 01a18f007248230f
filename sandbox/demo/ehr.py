"""The demo EHR, the start page and the sample app's pages, beside the facade on the same server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.demo.state import DemoPaths, read_json
from smart_auth import clock, factors
from smart_auth.admin import list_clients
from smart_auth.ports import PatientChoice
from smart_auth.records import Client
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore
from smart_auth.web.pages import NavItem

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LISTED_PATIENTS = 2000
ORDER_SECONDS = 20


class DemoPages:
    """Pages of the demo; reads what was seeded from the demo's state folder."""

    def __init__(
        self, auth: AuthServer, store: AuthStore, paths: DemoPaths, public_url: str
    ) -> None:
        self._auth = auth
        self._store = store
        self._paths = paths
        self._root = public_url

    def blueprint(self) -> Blueprint:
        """Routes `/`, `/demo/ehr`, `/demo/ehr/{tenant}`, `/demo/app/…` and the static files."""
        folder = Path(__file__).parent
        pages = Blueprint(
            "demo",
            __name__,
            template_folder=str(folder / "templates"),
            static_folder=str(folder / "static"),
            static_url_path="/demo/static",
        )
        pages.add_url_rule("/", view_func=self.start)
        pages.add_url_rule("/demo/ehr", view_func=self.ehr)
        pages.add_url_rule("/demo/ehr/<tenant>", view_func=self.choose)
        pages.add_url_rule("/demo/ehr/<tenant>/launch", view_func=self.launch)
        pages.add_url_rule("/demo/app/launch.html", view_func=self.app_launch)
        pages.add_url_rule("/demo/app/index.html", view_func=self.app_index)
        pages.after_request(_headers)
        return pages

    def start(self) -> str:
        """Where to click."""
        return self._render(
            "start.html",
            tenants=[
                {**self._tenant(slug), "people": list(_people(one))}
                for slug, one in self._seed().items()
            ],
            contract_path=str(self._paths.contract),
        )

    def ehr(self) -> AnyResponse | str:
        """With `patient` and `client`: log the practitioner in and launch. Without: choose them."""
        tenants = self._seed()
        client = request.args.get("client")
        if client is None:
            return self.choose(next(iter(tenants)))
        for slug in tenants:
            if client in {one.client_id for one in self._launchable(slug)}:
                return self._launch_at_once(slug, client)
        abort(404, "No such app in the demo.")

    def choose(self, tenant: str) -> str:
        """The EHR's patient list, by name; the demo's patient and the sample app are preset."""
        seeded = self._tenant(tenant)
        patients = self._auth.core.ports.choose_patients(tenant, None, "", LISTED_PATIENTS)
        sample = seeded["sample"]["client_id"]
        clients = sorted(
            self._launchable(tenant), key=lambda one: (one.client_id != sample, one.name)
        )
        return self._render(
            "ehr.html",
            tenant=seeded,
            patients=[
                (one.id, _patient_label(one))
                for one in sorted(patients, key=lambda one: (one.name.casefold(), one.id))
            ],
            clients=[(one.client_id, self._labelled(one)) for one in clients],
        )

    def launch(self, tenant: str) -> AnyResponse:
        """Launch an app for a patient, as the EHR's practitioner: order the launch, and send the
        browser where the answer says.
        """
        made = self._order(tenant, request.args.get("client", ""))
        return redirect(made["open_url"], 302)

    def app_launch(self) -> str:
        """The sample app's launch page."""
        clients = {
            seeded["fhir_base"]: seeded["sample"]["client_id"] for seeded in self._seed().values()
        }
        return self._render("app_launch.html", sample_clients=clients)

    def app_index(self) -> str:
        """The sample app."""
        return self._render("app_index.html")

    def _launch_at_once(self, tenant: str, client_id: str) -> AnyResponse:
        """The same without the page that logs the browser in: the session is begun here, and the
        first answer leads to the app, for scripts that read it.
        """
        made = self._order(tenant, client_id)
        response = redirect(made["launch_url"], 302)
        user = self._tenant(tenant)["practitioner"]["user_id"]
        session = self._auth.sessions.start(tenant, user, "ehr", methods="")
        info = self._auth.core.ports.tenants()[tenant]
        self._auth.sessions.set_cookie(response, info, session)
        return response

    def _order(self, tenant: str, client_id: str) -> dict[str, str]:
        """Ask the server for a launch, as any host EHR does: one authenticated call."""
        seeded = self._tenant(tenant)
        patient = request.args.get("patient", "")
        known = client_id in {one.client_id for one in self._launchable(tenant)}
        if not known or not self._auth.core.ports.patient_exists(tenant, patient):
            abort(404, "No such app or patient in the demo.")
        answer = requests.post(
            f"{seeded['fhir_base']}/auth/launch",
            json={
                "user": seeded["practitioner"]["username"],
                "client_id": client_id,
                "patient": patient,
            },
            auth=(seeded["ehr"]["client_id"], seeded["ehr"]["client_secret"]),
            timeout=ORDER_SECONDS,
        )
        if answer.status_code != 201:
            said = answer.json().get("error_description", "")
            abort(502, f"The server made no launch: {said}")
        return dict(answer.json())

    def _launchable(self, tenant: str) -> list[Client]:
        """Apps that an EHR can launch for its users now."""
        return [
            client
            for client in list_clients(self._store, tenant)
            if client.active and client.launch_uri and client.approved_at is not None
        ]

    def _labelled(self, client: Client) -> str:
        """An app's name, and where it runs when this server does not serve it."""
        launch = client.launch_uri or ""
        if launch.startswith(f"{self._root}/"):
            return client.name
        return f"{client.name} (yours, at {urlsplit(launch).netloc})"

    def _seed(self) -> dict[str, Any]:
        return dict(read_json(self._paths.seed).get("tenants", {}))

    def _tenant(self, slug: str) -> dict[str, Any]:
        seeded = self._seed().get(slug)
        if seeded is None:
            abort(404, "No such practice in the demo.")
        return {**seeded, "slug": slug}

    def _render(self, template: str, **values: Any) -> str:
        """A page in the look of the server's own: its frame, its stylesheet, and ours."""
        seeded = self._seed()
        first = next(iter(seeded.values()))
        values.setdefault("tenant", {"name": "FHIR facade demo"})
        return render_template(
            template,
            root=self._root,
            stylesheet_url=f"{first['fhir_base']}/auth/style.css",
            nav=[self._link("Start", "/"), *self._ehr_links(seeded)],
            **values,
        )

    def _ehr_links(self, seeded: Mapping[str, Any]) -> list[NavItem]:
        return [
            self._link(f"EHR of {one['name']}", f"/demo/ehr/{slug}") for slug, one in seeded.items()
        ]

    def _link(self, label: str, path: str) -> NavItem:
        return NavItem(label, f"{self._root}{path}", request.path == path)


def _patient_label(patient: PatientChoice) -> str:
    parts = [patient.name or "No name recorded", patient.birth_date]
    return f"{', '.join(part for part in parts if part)} ({patient.id})"


def _people(seeded: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, str], str]]:
    """Who can log in: in what role, with which name and password, and which second factor."""
    code = factors.code_at(seeded["practitioner_totp"]["totp_secret"], clock.now())
    shown = {
        "practitioner": ("Practitioner", "none"),
        "patient": ("Patient", "none"),
        "admin": ("Administrator of the provider", "none"),
        "developer": ("Developer", "none"),
        "practitioner_totp": (
            "Practitioner with one-time codes",
            f"code {code} as this page was loaded; "
            f"secret for an authenticator: {seeded['practitioner_totp']['totp_secret']}",
        ),
        "patient_pin": ("Patient with a PIN", f"PIN {seeded['patient_pin']['pin']}"),
    }
    for name, (label, factor) in shown.items():
        yield label, seeded[name], factor


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CSP)
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
