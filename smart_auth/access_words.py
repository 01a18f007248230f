"""Lines of an access log in plain words."""

from __future__ import annotations

from smart_auth.ports import AccessShown
from smart_auth.records import Client, User
from smart_auth.scope_words import noun

_ACTS = {
    "consent": "Access was allowed",
    "revoke": "Access was ended",
    "launch": "An app was opened on the record",
    "code-replay": "A stolen login to an app was stopped",
    "export": "The data was exported, with that of a whole group",
    "export-file": "A file of an export was fetched",
    "admin": "The account was administered",
    "search-system": "The record was searched",
    "history-system": "Changes of the record were read",
    "create": "Something was added",
    "update": "Something was changed",
    "delete": "Something was deleted",
}
_READS = {
    "read": "Read: {}",
    "vread": "Read an earlier version: {}",
    "search-type": "Searched: {}",
    "history-instance": "Read earlier versions: {}",
    "history-type": "Read changes: {}",
    "create": "Added: {}",
    "update": "Changed: {}",
    "delete": "Deleted: {}",
}
_ROLES = {
    "patient": "a patient",
    "practitioner": "a practitioner",
    "admin": "an administrator",
    "developer": "a developer",
}


def what(access: AccessShown) -> str:
    """What was done."""
    if access.kind == "consent" and access.outcome != "success":
        return "Access was denied"
    if access.resource_type and access.kind in _READS:
        return _READS[access.kind].format(noun(access.resource_type))
    return _ACTS.get(access.kind, "The record was used")


def who(reader: User, user: User | None, client: Client | None, access: AccessShown) -> str:
    """Who did it: the person as far as there was one, and the app. `user` and `client` are those of
    the access, None where they are no longer there."""
    app = None if access.client_id is None else "an app" if client is None else client.name
    if access.user_id is None:
        return _capital(app or "the clinic")
    person = _person(reader, user)
    return _capital(person if app is None else f"{person}, with {app}")


def _person(reader: User, user: User | None) -> str:
    if user is None:
        return "somebody who has no account any more"
    if user.user_id == reader.user_id:
        return "you"
    return f"{user.name} ({_ROLES[user.role]})" if user.name else _ROLES[user.role]


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
