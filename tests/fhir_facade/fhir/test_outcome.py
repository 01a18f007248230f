import pytest

from fhir_facade.fhir.outcome import Issue, outcome, outcome_of


def test_one_issue_says_what_happened_and_what_to_change() -> None:
    made = outcome("error", "invalid", "Bad <date>.", "Use YYYY-MM-DD.", ["date"], "c-1")
    assert made["issue"] == [
        {
            "severity": "error",
            "code": "invalid",
            "details": {"text": "Bad <date>."},
            "diagnostics": "Use YYYY-MM-DD. [correlation id c-1]",
            "expression": ["date"],
        }
    ]
    assert "<p>Bad &lt;date&gt;.</p>" in made["text"]["div"]


def test_diagnostics_repeat_the_text_when_there_is_nothing_more_to_say() -> None:
    (issue,) = outcome("error", "not-found", "No such resource.")["issue"]
    assert issue["diagnostics"] == "No such resource."
    assert "expression" not in issue


def test_several_issues_keep_their_order() -> None:
    made = outcome_of([Issue("warning", "incomplete", "A."), Issue("information", "value", "B.")])
    assert [issue["details"]["text"] for issue in made["issue"]] == ["A.", "B."]
    with pytest.raises(ValueError, match="at least one"):
        outcome_of([])
