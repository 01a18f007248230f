"""OperationOutcome (R4 operationoutcome.html): what a client reads when something went wrong."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from fhir_facade.fhir import FHIRResource


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue: severity and code from R4's own value sets, `text` one sentence for people,
    `diagnostics` what to change, `expression` the parameter or element at fault. None may hold PHI.
    """

    severity: str
    code: str
    text: str
    diagnostics: str | None = None
    expression: tuple[str, ...] = ()


def outcome(
    severity: str,
    code: str,
    text: str,
    diagnostics: str | None = None,
    expression: Sequence[str] = (),
    correlation_id: str | None = None,
) -> FHIRResource:
    """An OperationOutcome with one issue. See `outcome_of` for several."""
    issue = Issue(severity, code, text, diagnostics, tuple(expression))
    return outcome_of([issue], correlation_id)


def outcome_of(issues: Sequence[Issue], correlation_id: str | None = None) -> FHIRResource:
    """An OperationOutcome with a narrative and at least one issue, in the order given.

    The correlation id ends the `diagnostics` of every issue (`… [correlation id <id>]`), so it
    survives where only the body is kept; `rest` sends it as the header X-Correlation-Id too. Raises
    ValueError without an issue.
    """
    if not issues:
        raise ValueError("an OperationOutcome has at least one issue")
    paragraphs = "".join(f"<p>{html.escape(issue.text)}</p>" for issue in issues)
    return {
        "resourceType": "OperationOutcome",
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{paragraphs}</div>',
        },
        "issue": [_element(issue, correlation_id) for issue in issues],
    }


def _element(issue: Issue, correlation_id: str | None) -> FHIRResource:
    diagnostics = issue.diagnostics or issue.text
    if correlation_id:
        diagnostics = f"{diagnostics} [correlation id {correlation_id}]"
    element: FHIRResource = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"text": issue.text},
        "diagnostics": diagnostics,
    }
    if issue.expression:
        element["expression"] = list(issue.expression)
    return element
