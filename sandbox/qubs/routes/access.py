"""What every operation does first, in this order: token 401, domain 403, unknown domain 404."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import orjson
from flask import Response, current_app, g, request

from sandbox.qubs import faults as faulting
from sandbox.qubs import paging, views
from sandbox.qubs.directory import Site
from sandbox.qubs.emulator import Emulator
from sandbox.qubs.faults import Fault
from sandbox.qubs.problems import Problem
from sandbox.qubs.records import Record
from sandbox.qubs.selection import Selection
from sandbox.qubs.settings import ServiceSettings
from sandbox.qubs.tokens import Caller
from sandbox.qubs.vocabulary import STATUS_CODE
from sandbox.qubs.world import DomainWorld

EXTENSION = "qubs-emulator"


def emulator() -> Emulator:
    """The emulator behind the running app."""
    return cast(Emulator, current_app.extensions[EXTENSION])


def answer(body: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(body), status, mimetype="application/json")


@dataclass(frozen=True, slots=True)
class Access:
    """A caller let into a domain."""

    emulator: Emulator
    caller: Caller
    domain: DomainWorld
    faults: tuple[Fault, ...]

    @property
    def settings(self) -> ServiceSettings:
        """The switches of the service."""
        return self.emulator.settings

    @property
    def absent(self) -> str | None:
        """The form every absent value takes, when a fault says so."""
        return faulting.absent_form(self.faults)

    def site(self, name: str) -> Site:
        """A site by its exact name; raises Problem 404 when unknown, 403 when not granted."""
        found = self.domain.sites.get(name)
        if found is None:
            raise Problem(404, "There is no such site.")
        self._granted(name)
        return found

    def appointment(self, appointment_id: str) -> Record:
        """An appointment the caller may see; raises Problem 404 or 403."""
        record = self.domain.appointment(appointment_id)
        if record is None:
            raise Problem(404, "There is no such appointment.")
        self._granted(record["scheduledSite"])
        return record

    def _granted(self, site: Any) -> None:
        allowed = self.caller.allowed_sites(self.domain.spec.name)
        if allowed is not None and not (isinstance(site, str) and site in allowed):
            raise Problem(403, "The site is not granted to the caller.")
        found = self.domain.sites.get(site) if isinstance(site, str) else None
        if found is not None and found.withdrawn is not None:
            raise Problem(found.withdrawn, "The site is not available to the caller.")

    def operational(self, record: Record) -> dict[str, Any]:
        """The operational view; with ``patientId`` only where the site is not lean."""
        lean = self.domain.lean(record["scheduledSite"])
        fields = views.OPERATIONAL if lean else views.OPERATIONAL_WITH_PATIENT
        return views.show(record, fields, record["appointmentId"], self.absent)

    def one(self, body: dict[str, Any]) -> Response:
        """A single record, after the row faults."""
        return answer(faulting.spoil([body], self.faults)[0])

    def rows(self, bodies: Iterable[dict[str, Any]]) -> Response:
        """A bare array, after the row faults."""
        return answer(faulting.spoil(list(bodies), self.faults))


def enter(domain: str) -> Access:
    """Let the caller in; raises Problem 401, 403 or 404."""
    running = emulator()
    caller = running.tokens.check(request.headers.get("Authorization"))
    if domain not in caller.domains:
        raise Problem(403, "The domain is not granted to the caller.")
    found = running.world.domains.get(domain)
    if found is None:
        raise Problem(404, "There is no such domain.")
    return Access(running, caller, found, g.faults)


def known_status(status: str) -> str:
    """A status of the list; raises Problem 400."""
    if status not in STATUS_CODE:
        raise Problem(400, "status is not one of the known values.")
    return status


def selection(access: Access, **filters: Any) -> Selection:
    """Filters of a list, narrowed to the sites granted."""
    return Selection(allowed=access.caller.allowed_sites(access.domain.spec.name), **filters)


def window(access: Access, chosen: Selection) -> list[Record]:
    """One page of an offset list, by ``skip`` and ``take``; raises Problem 400.

    ``repeat_rows`` shifts every page after the first, ``unstable_order`` rotates the whole list
    from call to call: what offset paging over an unordered set does.
    """
    skip = paging.integer(request.args, "skip", 0, 0, paging.MAX_SKIP)
    take = paging.integer(request.args, "take", paging.DEFAULT_ROWS, 1, paging.MAX_ROWS)
    repeat = faulting.find(access.faults, "repeat_rows")
    if repeat and skip:
        skip = max(skip - min(repeat.rows, take - 1), 0)
    unstable = faulting.find(access.faults, "unstable_order")
    with access.emulator.world.lock:
        if unstable is None:
            return access.domain.page(chosen, 0, take, skip)[0]
        records, _ = access.domain.page(chosen, 0, paging.MAX_SKIP + paging.MAX_ROWS)
    turn = unstable.fired * unstable.rows % len(records) if records else 0
    return (records[turn:] + records[:turn])[skip : skip + take]


def cursor_page(access: Access, chosen: Selection) -> tuple[list[Record], dict[str, Any]]:
    """One cursor page and what it says of the next token; raises Problem 400."""
    size = paging.integer(request.args, "pageSize", paging.DEFAULT_ROWS, 1, paging.MAX_ROWS)
    token = request.args.get("nextToken")
    binding = f"{request.path}|{access.caller.client_id}"
    cursors = access.emulator.cursors
    start = cursors.read(binding, token) if token else 0
    if faulting.find(access.faults, "empty_pages"):
        return [], {"nextToken": cursors.make(binding, start)}
    short = faulting.find(access.faults, "short_pages")
    if short:
        size = min(size, max(short.rows, 1))
    repeat = faulting.find(access.faults, "repeat_rows")
    with access.emulator.world.lock:
        records, after = access.domain.page(chosen, start, size)
        if repeat and start:
            before, _ = access.domain.page(chosen, max(start - repeat.rows, 0), repeat.rows)
            records = before + records
    if after is None:
        return records, cursors.last_page(binding, start)
    return records, {"nextToken": cursors.make(binding, after)}
