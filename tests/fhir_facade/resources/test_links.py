"""Which subjects a record speaks of, and what a subject depends on."""

import pytest

from fhir_facade.resources.qubs import dependencies_of, links_of
from fhir_facade.resources.subject import Subject
from tests.support.qubs_records import SITE, operational

APPOINTMENT = Subject("appointment", "A1")


@pytest.mark.parametrize(
    ("view", "key", "body", "links"),
    [
        ("sites", SITE, {}, [Subject("site", SITE)]),
        ("site-settings", SITE, {}, [Subject("site", SITE)]),
        ("exam-codes", SITE, [], [Subject("site", SITE)]),
        (
            "staff-skills",
            SITE,
            {"employees": [{"employeeId": "1"}, {}, {"employeeId": "1"}, None]},
            [Subject("site", SITE), Subject("staff", "1")],
        ),
        ("patients", "7", {"patientId": "7"}, [Subject("patient", "7")]),
        ("operational", "A1", operational(), [APPOINTMENT]),
        ("operational", "A1", operational(patientId=""), [APPOINTMENT]),
        ("operational", "A1", {"patientId": "7"}, [APPOINTMENT, Subject("patient", "7")]),
        ("tele-reporting", "A1", {"patientId": "7"}, [APPOINTMENT, Subject("patient", "7")]),
        (
            "comments",
            "A1",
            [{"patientId": "7"}, {"patientId": "7", "appointmentId": ""}, {}, "?"],
            [APPOINTMENT, Subject("patient", "7")],
        ),
        ("operational", "A1", "not a record", [APPOINTMENT]),
        ("comments", "A1", None, [APPOINTMENT]),
        ("staff-skills", SITE, {"employees": "none"}, [Subject("site", SITE)]),
    ],
)
def test_a_record_speaks_of_its_own_subject_first_then_of_others(view, key, body, links):
    assert list(links_of(view, key, body)) == links


def test_a_view_nobody_maps_is_refused():
    with pytest.raises(ValueError, match="billing"):
        links_of("billing", "A1", {})


def test_an_appointment_depends_on_the_sites_its_views_name():
    own = {
        ("tele-reporting", "A1"): operational(scheduledSite="North"),
        ("operational", "A1"): operational(),
        ("comments", "A1"): [],
    }
    assert dependencies_of(APPOINTMENT, own) == (Subject("site", SITE), Subject("site", "North"))
    assert dependencies_of(APPOINTMENT, {}) == ()
    assert dependencies_of(Subject("patient", "7"), own) == ()
