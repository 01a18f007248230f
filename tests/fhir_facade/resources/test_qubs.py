"""The seam to sync: what is refused, that nothing raises, and a whole synthetic domain."""

import datetime as dt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_facade.fhir import json
from fhir_facade.fhir.references import iter_references
from fhir_facade.fhir.validation import fast_check
from fhir_facade.resources import qubs_fields
from fhir_facade.resources.qubs import (
    QubsContext,
    SubjectRecords,
    dependencies_of,
    links_of,
    map_subject,
)
from fhir_facade.resources.subject import Subject
from sandbox.qubs import views
from sandbox.qubs.selection import Selection
from sandbox.qubs.settings import demo_world_settings
from sandbox.qubs.world import World
from tests.support.qubs_records import CONTEXT, SITE, map_appointment, operational, site_records
from tests.support.soak import examples

KINDS = ("appointment", "patient", "site", "staff", "domain")
VIEWS = (
    "operational",
    "tele-reporting",
    "comments",
    "patients",
    "sites",
    "site-settings",
    "exam-codes",
    "staff-skills",
)
NAMES = sorted(
    {
        name
        for names in vars(qubs_fields).values()
        if isinstance(names, tuple)
        for name in names
        if isinstance(name, str)
    }
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.decimals(-1000, 1000, places=2)
    | st.text(max_size=12)
    | st.sampled_from(["2026-10-04", "02:30:00", "FINALISED", "2026-01-01T00:00:00Z", "K", SITE])
)
BODIES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(["K", SITE, "220000"]) | st.text(min_size=1, max_size=8)
RECORDS = st.dictionaries(st.tuples(st.sampled_from(VIEWS), KEYS), BODIES, max_size=5)


@given(st.sampled_from(KINDS), KEYS, RECORDS, RECORDS)
@settings(max_examples=examples(120), deadline=None)
def test_any_records_give_valid_fhir_or_nothing(kind, key, own, site):
    subject = Subject(kind, key)
    related = {dependency: site for dependency in dependencies_of(subject, own)}
    mapped = map_subject(subject, SubjectRecords(own, related), CONTEXT)
    assert len(mapped.resources) == len(mapped.sources)
    for resource in mapped.resources:
        assert fast_check(resource) == []
        assert json.loads(json.dumps(resource)) == resource
    assert map_subject(subject, SubjectRecords(own, related), CONTEXT) == mapped


@given(st.dictionaries(st.sampled_from(NAMES), SCALARS))
@settings(max_examples=examples(80), deadline=None)
def test_any_members_of_an_appointment_give_valid_fhir(members):
    body = {**operational(), **members, "domain": "acme", "appointmentId": "A1"}
    mapped = map_appointment(body)
    assert mapped.rejected == ()
    assert mapped.resources
    for resource in mapped.resources:
        assert fast_check(resource) == []


@given(st.sampled_from(VIEWS), KEYS, BODIES)
@settings(max_examples=examples(80), deadline=None)
def test_any_body_has_links_and_its_own_subject_comes_first(view, key, body):
    first, *others = links_of(view, key, body)
    assert first.key == key
    assert first not in others


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("text", "the record is not an object"),
        ([], "the record is not an object"),
        (operational(domain="elsewhere"), "the record is of another domain"),
        (operational("A2"), "the record says it has another key"),
    ],
)
def test_a_record_that_may_be_anothers_is_refused_whole(body, reason):
    mapped = map_appointment(body)
    assert mapped.resources == ()
    assert [(r.view, r.key, r.reason) for r in mapped.rejected] == [("operational", "A1", reason)]


def test_the_rest_of_a_subject_goes_on_without_a_refused_record():
    tele = operational(status="PENDING REPORTING")
    more = {("tele-reporting", "A1"): tele, ("comments", "A1"): {"not": "a list"}}
    mapped = map_appointment(operational(domain="elsewhere"), more=more)
    assert [r["resourceType"] for r in mapped.resources] == ["Appointment", "DiagnosticReport"]
    assert [r.view for r in mapped.rejected] == ["operational", "comments"]


def test_a_subject_without_a_key_is_refused():
    own = {("patients", " "): {"lastName": "Doe"}}
    mapped = map_subject(Subject("patient", " "), SubjectRecords(own), CONTEXT)
    assert mapped.resources == ()
    assert [tuple(r) for r in mapped.rejected] == [("patients", " ", "the subject has no key")]


def test_a_site_of_another_domain_is_not_referenced():
    site = {k: {**b, "domain": "elsewhere"} for k, b in site_records().items() if k[0] == "sites"}
    references = list(iter_references(map_appointment(operational(), site=site).resources[0]))
    assert references == []


def test_a_kind_that_qubs_does_not_have_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="group"):
        map_subject(Subject("group", "g"), SubjectRecords({}), CONTEXT)


@pytest.fixture(scope="module")
def synthetic():
    """Every record of the first demo domain by subject, as sync would have stored them."""
    world = World(demo_world_settings(dt.date(2026, 11, 21)))
    domain = next(iter(world.domains.values()))
    records = dict(_records_of(domain))
    by_subject = {Subject("domain", domain.spec.name): {}}
    for (view, key), body in records.items():
        for subject in links_of(view, key, body):
            by_subject.setdefault(subject, {})[view, key] = body
    return domain.spec.name, by_subject


def _records_of(domain):
    name = domain.spec.name
    for site in domain.sites.values():
        yield ("sites", site.name), {"domain": name, "siteName": site.name}
        yield ("site-settings", site.name), site.settings
        yield ("exam-codes", site.name), list(site.exam_codes.values())
        yield ("staff-skills", site.name), site.skills
    appointments, _ = domain.page(Selection(), 0, 10_000)
    for record in appointments:
        key = record["appointmentId"]
        lean = domain.lean(record["scheduledSite"])
        fields = views.OPERATIONAL if lean else views.OPERATIONAL_WITH_PATIENT
        yield ("operational", key), views.show(record, fields, key)
        if record["status"] == "PENDING REPORTING":
            yield ("tele-reporting", key), views.show(record, views.TELE_REPORTING, key)
        yield ("comments", key), views.show_all(domain.comments(record), views.COMMENT, "guid")
    for patient in domain.patients(0, 10_000):
        key = patient["patientId"]
        yield ("patients", key), views.show(patient, views.PATIENT, key)


def test_a_whole_domain_maps_to_valid_fhir_whose_references_resolve(synthetic):
    domain, by_subject = synthetic
    context = QubsContext("http://127.0.0.1/fhir/acme", domain)
    there, references, faults = set(), set(), []
    for subject, own in by_subject.items():
        related = {s: by_subject.get(s, {}) for s in dependencies_of(subject, own)}
        mapped = map_subject(subject, SubjectRecords(own, related), context)
        assert mapped.rejected == ()
        for resource in mapped.resources:
            there.add(f"{resource['resourceType']}/{resource['id']}")
            references |= set(iter_references(resource))
            faults += fast_check(resource)
    assert faults == []
    assert references <= there
    types = {reference.split("/")[0] for reference in there}
    assert types == {
        "Appointment",
        "DiagnosticReport",
        "Location",
        "Organization",
        "Patient",
        "Practitioner",
    }
