"""Sites, their settings, exam codes and skill grids; patients."""

from __future__ import annotations

from flask import Blueprint, Response, request

from sandbox.qubs import paging, views
from sandbox.qubs.problems import Problem
from sandbox.qubs.routes.access import Access, answer, enter

blueprint = Blueprint("directory", __name__)


@blueprint.get("/sites", endpoint="integrations_listsites")
def sites(domain: str) -> Response:
    """Active sites the caller may use."""
    access = enter(domain)
    allowed = access.caller.allowed_sites(domain)
    with access.emulator.world.lock:
        names = [
            site.name
            for site in access.domain.sites.values()
            if site.withdrawn is None and (allowed is None or site.name in allowed)
        ]
    return access.rows({"domain": domain, "siteName": name} for name in names)


def _settings(domain: str, site_name: str) -> Response:
    access = enter(domain)
    with access.emulator.world.lock:
        settings = access.site(site_name).settings
        shown = {name: value for name, value in settings.items() if value is not None}
    return access.one(shown)


@blueprint.get("/sites/<site_name>/settings", endpoint="integrations_getsitesettings_summary")
def settings(domain: str, site_name: str) -> Response:
    """Settings of one site, at the path the documentation most likely means."""
    return _settings(domain, site_name)


@blueprint.get("/sites/<site_name>", endpoint="integrations_getsitesettings_summary_alt")
def settings_alt(domain: str, site_name: str) -> Response:
    """The same at the other reading of the cut path."""
    return _settings(domain, site_name)


@blueprint.get("/sites/<site_name>/exam-codes", endpoint="integrations_listexamcodes")
def exam_codes(domain: str, site_name: str) -> Response:
    """All exam codes of a site."""
    access = enter(domain)
    with access.emulator.world.lock:
        records = list(access.site(site_name).exam_codes.values())
    return access.rows(views.show_all(records, views.EXAM_CODE, "examCodeId", access.absent))


@blueprint.get("/sites/<site_name>/staff-skills", endpoint="integrations_getstaffskills")
def staff_skills(domain: str, site_name: str) -> Response:
    """The skill grid of a site."""
    access = enter(domain)
    with access.emulator.world.lock:
        return answer(access.site(site_name).skills)


def _known_patient(access: Access, patient_id: str) -> dict[str, object]:
    with access.emulator.world.lock:
        record = access.domain.patient(patient_id)
    if record is None:
        raise Problem(404, "There is no such patient.")
    return views.show(record, views.PATIENT, patient_id, access.absent)


@blueprint.get("/patients/<patient_id>", endpoint="integrations_getpatient_summary")
def patient(domain: str, patient_id: str) -> Response:
    """One patient."""
    access = enter(domain)
    return access.one(_known_patient(access, patient_id))


@blueprint.get("/patients", endpoint="integrations_listpatients_summary")
def patients(domain: str) -> Response:
    """All patients, by skip and take: 404 unless the switch is on, as no such list is known."""
    access = enter(domain)
    if not access.settings.patient_list:
        raise Problem(404, "There is no such resource.")
    skip = paging.integer(request.args, "skip", 0, 0, paging.MAX_SKIP)
    take = paging.integer(request.args, "take", paging.DEFAULT_ROWS, 1, paging.MAX_ROWS)
    with access.emulator.world.lock:
        found = access.domain.patients(skip, take)
    return access.rows(views.show_all(found, views.PATIENT, "patientId", access.absent))
