"""Refused requests as their developer reads them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args
from zoneinfo import ZoneInfo

import pytest

from smart_auth.portal.advice import STEPS
from smart_auth.ports import AccessEvent, Refusal, RefusalShown, Step
from smart_auth.records import Client
from smart_auth.server import AuthServer
from tests.support.portal import PortalBrowser
from tests.support.smart_auth import FakeFacade, Tab, make_app

AppOf = Callable[..., Client]


def refuse(facade: FakeFacade, app: Client, step: Step, correlation_id: str) -> None:
    facade.record(
        AccessEvent(
            "acme",
            f"endpoint of {step}",
            "refused",
            client_id=app.client_id,
            correlation_id=correlation_id,
            refusal=Refusal(step, "invalid_x", f"Refused at {step}", "<wanted>", f"got {step}"),
        )
    )


@pytest.mark.parametrize("step", get_args(Step))
def test_each_step_is_explained(
    dev: PortalBrowser, facade: FakeFacade, app_of: AppOf, step: Step
) -> None:
    app = app_of()
    refuse(facade, app, step, "c-1")
    dev.visit(f"portal/apps/{app.client_id}/trace")
    name, advice = STEPS[step]
    for text in (name, f"Refused at {step}", "<wanted>", f"got {step}", "c-1", "invalid_x", advice):
        assert text in dev.shown
    assert "<wanted>" not in dev.text
    assert "1970-01-01 00:00:00+00:00" in dev.shown
    dev.visit("portal")
    assert name in dev.shown


def test_one_correlation_id_can_be_looked_up(
    dev: PortalBrowser, facade: FakeFacade, app_of: AppOf
) -> None:
    app = app_of()
    refuse(facade, app, "aud", "c-1")
    refuse(facade, app, "pkce", "c-2")
    page = f"portal/apps/{app.client_id}/trace"
    dev.visit(page)
    assert dev.shown.index("Refused at pkce") < dev.shown.index("Refused at aud"), "newest first"
    dev.submit(dev.form("id"), {"id": " c-1 "})
    assert "Refused at aud" in dev.shown
    assert "Refused at pkce" not in dev.shown
    dev.submit(dev.form("id"), {"id": "c-3"})
    assert "No refused request of this app has this correlation id" in dev.shown


@pytest.mark.parametrize("wanted", ["two words", "x" * 129, "c\u00e9"])
def test_what_is_no_correlation_id_is_refused(
    dev: PortalBrowser, app_of: AppOf, wanted: str
) -> None:
    dev.visit(f"portal/apps/{app_of().client_id}/trace")
    dev.submit(dev.form("id"), {"id": wanted})
    assert dev.status == 422
    assert "Paste the correlation id" in dev.error("id")


def test_refusals_of_anothers_app_are_not_found(
    dev: PortalBrowser, facade: FakeFacade, app_of: AppOf
) -> None:
    mine, theirs = app_of(), app_of("rival")
    refuse(facade, theirs, "aud", "c-1")
    dev.visit(f"portal/apps/{mine.client_id}/trace")
    dev.submit(dev.form("id"), {"id": "c-1"})
    assert "Refused at aud" not in dev.shown
    assert dev.visit(f"portal/apps/{theirs.client_id}/trace").status == 404


def test_times_are_the_tenants_and_say_so(
    dev: PortalBrowser, facade: FakeFacade, app_of: AppOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = app_of()
    refuse(facade, app, "aud", "c-1")
    refusals, tenants = facade.refusals, facade.tenants
    zone = ZoneInfo("America/New_York")

    def later(*args: str, **more: str) -> Sequence[RefusalShown]:
        return [replace(one, at=1_900_000_000) for one in refusals(*args, **more)]  # type: ignore[arg-type]

    monkeypatch.setattr(facade, "refusals", later)
    monkeypatch.setattr(
        facade, "tenants", lambda: {k: replace(v, zone=zone) for k, v in tenants().items()}
    )
    dev.visit(f"portal/apps/{app.client_id}/trace")
    assert "2030-03-17 13:46:40-04:00" in dev.shown


def test_a_refused_launch_shows_up(dev: PortalBrowser, server: AuthServer, app_of: AppOf) -> None:
    app = app_of()
    tab = Tab(make_app(server).test_client())
    tab.authorize(client_id=app.client_id, aud="https://elsewhere.example/fhir")
    assert tab.sent_back["error"] == "invalid_request"
    dev.visit(f"portal/apps/{app.client_id}/trace")
    assert "aud" in dev.shown
    assert "https://elsewhere.example/fhir" in dev.shown
    assert "http://127.0.0.1:8000/fhir/acme" in dev.shown
    assert "st4te" not in dev.text
