"""Sites, exam codes and staff skill grids: few enough to be held as they are."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sandbox.qubs import vocabulary as words_of
from sandbox.qubs.draws import chance, pick, words
from sandbox.qubs.records import Record, exam_code_id, staff_numbers
from sandbox.qubs.settings import DomainSpec, SiteSpec


@dataclass(slots=True)
class Site:
    """A site as it stands now. ``withdrawn`` is the status by-id reads of it answer, when set."""

    name: str
    settings: Record
    patient_ids: bool
    exam_codes: dict[str, Record]
    skills: Record
    withdrawn: int | None = None


def site_exams(spec: DomainSpec, site: SiteSpec, seed: int) -> tuple[words_of.Exam, ...]:
    """The catalogue entries a site offers: about two thirds, at least one."""
    draw = f"{seed}/{spec.name}/exams/{site.name}/"
    offered = [exam for exam in words_of.EXAMS if chance(words(draw + exam.key)[0], 66)]
    return tuple(offered) or words_of.EXAMS[:1]


def build_site(spec: DomainSpec, site: SiteSpec, reference: dt.date, seed: int) -> Site:
    """The settings, exam codes and skill grid of one site."""
    exams = site_exams(spec, site, seed)
    draws = {exam.key: words(f"{seed}/{spec.name}/code/{site.name}/{exam.key}") for exam in exams}
    codes = {exam_code_id(e): _exam_code(e, site.name, reference, draws[e.key]) for e in exams}
    settings: Record = {
        "domain": spec.name,
        "siteName": site.name,
        "timeZone": site.served_zone or site.time_zone,
    }
    return Site(site.name, settings, site.patient_ids, codes, _skills(spec, site, exams, seed))


def _exam_code(exam: words_of.Exam, site: str, reference: dt.date, draw: tuple[int, ...]) -> Record:
    changed = reference - dt.timedelta(days=10 + draw[0] % 500)
    return {
        "examCodeId": exam_code_id(exam),
        "key": exam.key,
        "site": site,
        "description": exam.description,
        "category": None if chance(draw[1], 10) else exam.category,
        "modality": None if chance(draw[2], 10) else exam.modality,
        "totalDuration": None if chance(draw[3], 8) else exam.minutes,
        "showOnline": None if chance(draw[4], 8) else bool(draw[4] & 1),
        "lastModifiedDateTime": None if chance(draw[5], 8) else f"{changed}T02:03:04Z",
    }


def _skills(
    spec: DomainSpec, site: SiteSpec, exams: tuple[words_of.Exam, ...], seed: int
) -> Record:
    """A grid with holes: labels, comments and cells are missing here and there."""
    draw = words(f"{seed}/{spec.name}/skills/{site.name}")
    columns = [exam for number, exam in enumerate(exams) if not chance(draw[number % 16], 15)]
    return {
        "examKeys": [exam.key for exam in columns],
        "examDisplay": {e.key: e.description for n, e in enumerate(columns) if n % 5 != 3},
        "headerComments": {
            e.key: ("needs contrast nurse", {"marker": "*"}, None)[n % 3]
            for n, e in enumerate(columns)
            if n % 4 == 1
        },
        "employees": _employees(spec, site, columns, seed),
        "examSites": {e.key: [site.name] for n, e in enumerate(columns) if n % 6 != 2},
    }


def _employees(
    spec: DomainSpec, site: SiteSpec, columns: list[words_of.Exam], seed: int
) -> list[Record]:
    rows: list[Record] = []
    for place, number in enumerate(staff_numbers(site.name)):
        draw = words(f"{seed}/{spec.name}/employee/{site.name}/{number}")
        cells: dict[str, Any] = {
            exam.key: pick(words_of.SKILL_MARKS, draw[n % 15 + 1])
            for n, exam in enumerate(columns)
            if draw[n % 15] & 3
        }
        row: Record = {"employeeId": str(120 + number), "skills": cells}
        if place != 3:
            row["employeeName"] = words_of.STAFF_NAMES[number]
        if place == 4:
            del row["skills"]
        rows.append(row)
    rows.append({})
    rows.append({"employeeName": "Locum", "skills": {}})
    return rows
