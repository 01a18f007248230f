"""The control API: no part of QUBS, for tests and the demo; ``sandbox.qubs.control`` calls it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import orjson
from flask import Blueprint, Response, request

from sandbox.qubs.edits import apply_script, parse_script
from sandbox.qubs.faults import fault_from
from sandbox.qubs.problems import Problem
from sandbox.qubs.random_edits import random_script
from sandbox.qubs.routes.access import answer, emulator
from sandbox.qubs.settings import ServiceSettings
from sandbox.qubs.world import DomainWorld

blueprint = Blueprint("control", __name__)


def _json() -> Any:
    try:
        return orjson.loads(request.get_data())
    except orjson.JSONDecodeError:
        raise Problem(400, "The body is not valid JSON.") from None


def _domain(name: Any) -> DomainWorld:
    found = emulator().world.domains.get(name) if isinstance(name, str) else None
    if found is None:
        raise Problem(404, "There is no such domain.")
    return found


@blueprint.get("/health")
def health() -> Response:
    """Ready once it answers."""
    world = emulator().world
    return answer(
        {
            "ready": True,
            "seed": world.settings.seed,
            "referenceDate": world.settings.reference_date.isoformat(),
            "now": emulator().clock.text(),
            "domains": {
                name: {
                    "appointments": domain.spec.appointments,
                    "patients": domain.spec.patients,
                    "sites": list(domain.sites),
                }
                for name, domain in world.domains.items()
            },
        }
    )


@blueprint.get("/faults")
def faults() -> Response:
    """The faults that are on."""
    return answer(emulator().faults.listed())


@blueprint.post("/faults")
def add_faults() -> Response:
    """Switch on one fault or a list of them; answers their ids."""
    body = _json()
    try:
        wished = [fault_from(item) for item in (body if isinstance(body, list) else [body])]
    except ValueError as error:
        raise Problem(400, str(error)) from None
    return answer({"ids": [emulator().faults.add(fault) for fault in wished]})


@blueprint.delete("/faults")
def clear_faults() -> Response:
    """Switch all faults off."""
    emulator().faults.clear()
    return answer({})


@blueprint.delete("/faults/<fault_id>")
def remove_fault(fault_id: str) -> Response:
    """Switch one fault off."""
    if not emulator().faults.remove(fault_id):
        raise Problem(404, "There is no such fault.")
    return answer({})


@blueprint.post("/edits")
def edits() -> Response:
    """Apply an edit script (see ``edits.py``), all or nothing."""
    try:
        script = parse_script(_json())
        return answer({"ids": apply_script(emulator().world, script, emulator().clock)})
    except ValueError as error:
        raise Problem(400, str(error)) from None


@blueprint.post("/edits/random")
def random_edits() -> Response:
    """Apply ``count`` random edits to a domain, drawn by ``seed``; answers the script."""
    body = _json()
    fields = body if isinstance(body, dict) else {}
    seed, count = fields.get("seed"), fields.get("count")
    if type(seed) is not int or type(count) is not int:
        raise Problem(400, "seed and count must be integers")
    running = emulator()
    try:
        with running.world.lock:
            script = random_script(_domain(fields.get("domain")), seed, count)
            apply_script(running.world, parse_script(script), running.clock)
    except ValueError as error:
        raise Problem(400, str(error)) from None
    return answer({"script": script})


@blueprint.get("/calls")
def calls() -> Response:
    """Counts per operation and the last ``recent`` calls."""
    recent = request.args.get("recent", 0, type=int)
    return answer(emulator().calls.summary(max(recent, 0)))


@blueprint.delete("/calls")
def clear_calls() -> Response:
    """Start counting anew."""
    emulator().calls.clear()
    return answer({})


@blueprint.post("/clock")
def clock() -> Response:
    """Advance the clock by ``advance_s`` seconds."""
    body = _json()
    seconds = body.get("advance_s") if isinstance(body, dict) else None
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        raise Problem(400, "advance_s must be a number of seconds")
    emulator().clock.advance(seconds)
    return answer({"now": emulator().clock.text()})


@blueprint.post("/sites/withdraw")
def withdraw() -> Response:
    """Withdraw a site (reads of it answer ``status``, 403 or 404), or give it back (null)."""
    body = _json()
    if not isinstance(body, dict) or body.get("status") not in (403, 404, None):
        raise Problem(400, "status must be 403, 404 or null")
    with emulator().world.lock:
        site = _domain(body.get("domain")).sites.get(str(body.get("siteName")))
        if site is None:
            raise Problem(404, "There is no such site.")
        site.withdrawn = body.get("status")
    return answer({})


@blueprint.get("/settings")
def settings() -> Response:
    """The switches of the service."""
    current = asdict(emulator().settings)
    return answer({name: current[name] for name in ServiceSettings.CHANGEABLE})


@blueprint.patch("/settings")
def change_settings() -> Response:
    """Change switches, all or none."""
    body = _json()
    try:
        if not isinstance(body, dict):
            raise ValueError("the body must be an object")
        emulator().settings.change(body)
    except ValueError as error:
        raise Problem(400, str(error)) from None
    return settings()


@blueprint.get("/records/<domain>/<appointment_id>")
def record(domain: str, appointment_id: str) -> Response:
    """All that is known of an appointment, whatever the views show; null when there is none."""
    with emulator().world.lock:
        return answer(_domain(domain).appointment(appointment_id))


@blueprint.get("/reports/<domain>/<appointment_id>")
def report(domain: str, appointment_id: str) -> Response:
    """The report submitted last for an appointment; null when there is none."""
    with emulator().world.lock:
        return answer(_domain(domain).reports.get(appointment_id))


@blueprint.post("/reset")
def reset() -> Response:
    """Back to the start: no edits, submissions, faults or counts, real time."""
    emulator().reset()
    return answer({})
