"""The demo EHR, the start page and the sample app's pages, beside the facade on the same server."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from flask import Blueprint, Response, abort, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.demo.state import DemoPaths, read_json
from smart_auth.admin import list_clients
from smart_auth.records import Client
from smart_auth.server import AuthServer
from smart_auth.store import AuthStore

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
LISTED_PATIENTS = 2000


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
            tenants=[self._tenant(slug) for slug in self._seed()],
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
                return self._launch(slug, client)
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
            patients=sorted(patients, key=lambda one: ((one.name or "").casefold(), one.id)),
            clients=[(one.client_id, one.name, self._elsewhere(one)) for one in clients],
        )

    def launch(self, tenant: str) -> AnyResponse:
        """Launch an app for a patient, as the EHR's practitioner."""
        self._tenant(tenant)
        return self._launch(tenant, request.args.get("client", ""))

    def app_launch(self) -> str:
        """The sample app's launch page."""
        clients = {
            seeded["fhir_base"]: seeded["sample"]["client_id"] for seeded in self._seed().values()
        }
        return self._render("app_launch.html", sample_clients=clients)

    def app_index(self) -> str:
        """The sample app."""
        return self._render("app_index.html")

    def _launch(self, tenant: str, client_id: str) -> AnyResponse:
        seeded = self._tenant(tenant)
        client = next((c for c in self._launchable(tenant) if c.client_id == client_id), None)
        patient = request.args.get("patient", "")
        if (
            client is None
            or client.launch_uri is None
            or not self._auth.core.ports.patient_exists(tenant, patient)
        ):
            abort(404, "No such app or patient in the demo.")
        user = seeded["practitioner"]["user_id"]
        token = self._auth.launches.create(tenant, user, client_id, patient)
        query = urlencode({"iss": seeded["fhir_base"], "launch": token})
        separator = "&" if "?" in client.launch_uri else "?"
        response = redirect(f"{client.launch_uri}{separator}{query}", 302)
        info = self._auth.core.ports.tenants()[tenant]
        self._auth.sessions.set_cookie(
            response, info, self._auth.sessions.start(tenant, user, "ehr")
        )
        return response

    def _launchable(self, tenant: str) -> list[Client]:
        """Active apps that an EHR can launch."""
        return [c for c in list_clients(self._store, tenant) if c.active and c.launch_uri]

    def _elsewhere(self, client: Client) -> str:
        """Where an app runs that this server does not serve; '' for ours."""
        launch = client.launch_uri or ""
        return "" if launch.startswith(f"{self._root}/") else urlsplit(launch).netloc

    def _seed(self) -> dict[str, Any]:
        return dict(read_json(self._paths.seed).get("tenants", {}))

    def _tenant(self, slug: str) -> dict[str, Any]:
        seeded = self._seed().get(slug)
        if seeded is None:
            abort(404, "No such practice in the demo.")
        return {**seeded, "slug": slug}

    def _render(self, template: str, **values: Any) -> str:
        return render_template(template, root=self._root, **values)


def _headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", CSP)
    response.headers.setdefault("Referrer-Policy", "no-referrer")
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    response.headers.setdefault("Cache-Control", "no-store")
    return response
