"""What each act of the audit trail is in the codes of AuditEvent: type, subtype and action
(R4 auditevent.html, and IHE Basic Audit Log Patterns where it has a pattern).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from fhir_facade.fhir.systems import (
    AUDIT_ACT,
    AUDIT_EVENT_TYPE,
    DICOM_DCM,
    RESTFUL_INTERACTION,
)

REST = "rest"
"""The `action` of rows that a request of the FHIR interface left; their act is `interaction`."""

Letter = Literal["C", "R", "U", "D", "E"]


class Code(NamedTuple):
    """A coding; `display` '' where the code says enough."""

    system: str
    code: str
    display: str = ""


class Act(NamedTuple):
    """The codes of one act. The first subtype is the word of the trail."""

    type: Code
    subtypes: tuple[Code, ...]
    action: Letter


_RESTFUL = Code(AUDIT_EVENT_TYPE, "rest", "Restful Operation")
_EXPORT = Code(DICOM_DCM, "110106", "Export")
_SECURITY = Code(DICOM_DCM, "110113", "Security Alert")
_AUTHENTICATION = Code(DICOM_DCM, "110114", "User Authentication")


def _rest(word: str, action: Letter) -> Act:
    return Act(_RESTFUL, (Code(AUDIT_ACT, word), Code(RESTFUL_INTERACTION, word)), action)


def _operation(word: str, action: Letter) -> Act:
    return Act(_RESTFUL, (Code(AUDIT_ACT, word), Code(RESTFUL_INTERACTION, "operation")), action)


def _export(word: str, action: Letter) -> Act:
    return Act(_EXPORT, (Code(AUDIT_ACT, word), Code(RESTFUL_INTERACTION, "operation")), action)


def _login(word: str, *codes: Code) -> Act:
    return Act(_AUTHENTICATION, (Code(AUDIT_ACT, word), *codes), "E")


def _security(word: str, action: Letter) -> Act:
    return Act(_SECURITY, (Code(AUDIT_ACT, word),), action)


INTERACTIONS: Mapping[str, Act] = MappingProxyType(
    {
        "read": _rest("read", "R"),
        "vread": _rest("vread", "R"),
        "history-instance": _rest("history-instance", "R"),
        "history-type": _rest("history-type", "R"),
        "history-system": _rest("history-system", "R"),
        "search-type": _rest("search-type", "E"),
        "search-system": _rest("search-system", "E"),
        "batch": _rest("batch", "E"),
        "operation-everything": _operation("operation-everything", "R"),
        "operation-docref": _operation("operation-docref", "E"),
        "operation-validate": _operation("operation-validate", "E"),
        "export": _export("export", "E"),
        "export-status": _export("export-status", "R"),
        "export-file": _export("export-file", "R"),
        "export-cancel": _export("export-cancel", "D"),
        "other": Act(_RESTFUL, (Code(AUDIT_ACT, "other"),), "E"),
    }
)
"""Requests of the FHIR interface, by interaction."""

OTHERS: Mapping[str, Act] = MappingProxyType(
    {
        "login": _login("login", Code(DICOM_DCM, "110122", "Login")),
        "logout": _login("logout", Code(DICOM_DCM, "110123", "Logout")),
        "export-end": Act(_EXPORT, (Code(AUDIT_ACT, "export-end"),), "E"),
        "account": _security("account", "U"),
        "admin": _security("admin", "U"),
        "authorize": _security("authorize", "E"),
        "code-replay": _security("code-replay", "E"),
        "consent": _security("consent", "C"),
        "introspect": _security("introspect", "R"),
        "launch": _security("launch", "C"),
        "patient-search": _security("patient-search", "E"),
        "refresh": _security("refresh", "E"),
        "register": _security("register", "C"),
        "revoke": _security("revoke", "D"),
        "token": _security("token", "C"),
    }
)
"""Everything else, by the row's `action`."""


def act_of(action: str, interaction: str | None) -> Act:
    """The codes of a row. `other` is a request that no route takes, or that carried no good token;
    a word that is in neither table is its own subtype."""
    if action != REST:
        return OTHERS.get(action) or _security(action, "E")
    return INTERACTIONS.get(interaction or "other") or INTERACTIONS["other"]
