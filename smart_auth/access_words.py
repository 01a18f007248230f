"""Lines of an access log in plain words."""

from __future__ import annotations

from smart_auth.admin.clients import OPERATOR
from smart_auth.ports import AccessShown
from smart_auth.records import FormerUser, User
from smart_auth.scope_words import noun

_ACTS = {
    "consent": "Access was allowed",
    "revoke": "Access was ended",
    "launch": "An app was opened on the record",
    "code-replay": "A stolen login to an app was stopped",
    "export": "The data was exported, with that of a whole group",
    "export-file": "A file of an export was fetched",
    "admin": "The clinic's settings for the record were changed",
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
_ADMINISTERED = {
    "patient assigned to a user": "Opened to {person}",
    "patient taken from a user": "No longer open to {person}",
    "patient given to an app": "Opened to an app: {app}",
    "patient taken from an app": "No longer open to an app: {app}",
    "grant ended": "Access was ended: {access}",
    "group members changed": "Put on a list of patients, or taken off it",
    "audit trail read": "Looked up who used the record",
    "launch made": "An app was opened on the record: {app}",
    "patient purged": "The record was removed",
}
"""Administrative acts by the trail's fixed texts: what was done to whom."""
_ROLES = {
    "patient": "a patient",
    "practitioner": "a practitioner",
    "admin": "an administrator",
    "developer": "a developer",
}


def what(reader: User, user: User | FormerUser | None, app: str | None, access: AccessShown) -> str:
    """What was done. `user` and `app` are those of the access: the user None where nobody knows of
    the account, the app by the name people know."""
    if access.kind == "admin":
        words = _ADMINISTERED.get(access.act, _ACTS["admin"])
        person = None if access.user_id is None else _person(reader, user)
        both = [part for part in (person, app) if part]
        return words.format(person=person, app=app, access=", with ".join(both))
    if access.kind == "consent" and access.outcome != "success":
        return "Access was denied"
    if access.resource_type and access.kind in _READS:
        return _READS[access.kind].format(noun(access.resource_type))
    return _ACTS.get(access.kind, "The record was used")


def who(reader: User, user: User | FormerUser | None, app: str | None, access: AccessShown) -> str:
    """Who did it: the person as far as there was one, and the app; of an administrative act, who
    did it to them. `user` is the actor's account then."""
    if access.kind == "admin":
        is_person = access.actor not in (None, OPERATOR)
        return _capital(_person(reader, user) if is_person else "the clinic")
    if access.user_id is None:
        return _capital(app or "the clinic")
    person = _person(reader, user)
    return _capital(person if app is None else f"{person}, with {app}")


def _person(reader: User, user: User | FormerUser | None) -> str:
    if user is None:
        return "somebody who has no account any more"
    if user.user_id == reader.user_id:
        return "you"
    role = _ROLES[user.role]
    if isinstance(user, FormerUser):
        role = f"{role} then"
    return f"{user.name} ({role})" if user.name else role


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]
