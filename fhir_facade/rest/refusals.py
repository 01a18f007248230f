"""Why a request was refused, as its app's developer is shown it: the step that failed, what was
expected and what was received. Nothing of it tells of a patient, nor whether something exists that
the token does not reach.
"""

from __future__ import annotations

from fhir_facade import errors
from fhir_facade.resources.definition import ResourceDefinition
from fhir_facade.rest.accesses import Access
from fhir_facade.search import result_parameters
from fhir_facade.search.cursor import PARAMETER
from fhir_facade.search.parse import NEGOTIATED
from smart_auth.ports import Refusal, Step
from smart_auth.refusals import refusal

_INSTANCE = frozenset({"read", "vread", "history-instance", "operation-everything"})
_EXPORTS = frozenset({"export", "export-status", "export-file", "export-cancel"})
_COMMON = frozenset(
    {
        *result_parameters.NAMES,
        *NEGOTIATED,
        *(PARAMETER, "_id", "_lastUpdated", "_type", "_since", "_at", "_typeFilter"),
        *("_outputFormat", "Accept", "Prefer", "Range", "Group.id", "mode"),
    }
)
_UNCLEAR = "The request is not well formed, or asks for what is not served."
_ABSENT = "There is no such resource, or it is outside what the token reaches."


def token_refusal(reason: str) -> Refusal:
    """The refusal of a token that was once good; `reason` is `smart_auth.verify.InvalidToken`'s."""
    return refusal(
        "invalid_token",
        "The token is not valid any more.",
        "token",
        expected="an access token that is in force",
        received=reason,
    )


def refusal_of(error: errors.FacadeError, access: Access) -> Refusal | None:
    """The refusal of an authorized request; None for a fault that is not the app's."""
    match error:
        case errors.OutOfCompartment():
            expected, received = "the patient of this launch", "another patient"
            return refusal(error.issue, error.text, "compartment", expected, received)
        case errors.Forbidden():
            granted = " ".join(str(scope) for scope in access.token.scopes.resources)
            expected = error.diagnostics or "a scope that covers the request"
            return refusal(error.issue, error.text, "scope", expected, granted or "no such scope")
        case errors.NotFound() | errors.Gone() if access.interaction in _EXPORTS:
            return _of_export(error, access)
        case errors.NotFound() if access.interaction in _INSTANCE:
            # The same for what does not exist: the trace must not tell one from the other.
            return refusal(error.issue, _ABSENT, "compartment", "a resource within reach", "none")
        case errors.Throttled():
            return refusal(error.issue, error.text, "rate")
        case errors.InvalidRequest():
            return _of_request(error, access)
        case errors.UpstreamFault() | errors.SettingsError():
            return None
        case _ if type(error) is errors.FacadeError:
            return None
        case _:
            return refusal(error.issue, error.text, "request", error.diagnostics or "")


def _of_export(error: errors.FacadeError, access: Access) -> Refusal:
    step: Step = "group" if access.interaction == "export" else "other"
    expected = "a Group assigned to this app" if step == "group" else "an export of this app"
    return refusal(error.issue, error.text, step, expected, "none")


def _of_request(error: errors.InvalidRequest, access: Access) -> Refusal:
    """Its text may repeat names that the client made up; those of parameters that exist it may."""
    known = _COMMON | _parameters(access.tenant.registry.get(access.type or ""))
    if isinstance(error, errors.UnsupportedParameter) or not known.issuperset(error.expression):
        return refusal(error.issue, _UNCLEAR, "request")
    return refusal(error.issue, error.text, "request", error.diagnostics or "")


def _parameters(definition: ResourceDefinition | None) -> frozenset[str]:
    return frozenset() if definition is None else frozenset(p.name for p in definition.search)
