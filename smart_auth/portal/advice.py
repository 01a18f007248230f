"""What a developer should do about a refused request, by the step that refused it."""

from __future__ import annotations

from collections.abc import Mapping

from smart_auth.ports import Step

STEPS: Mapping[Step, tuple[str, str]] = {
    "client": (
        "The app itself",
        "Check that the app is active and inside its validity window, and that it proves itself in"
        " the way of its kind: client_id alone, its present secret, or a signed assertion.",
    ),
    "redirect": (
        "Redirect URI",
        "Send exactly one of the registered redirect URIs, letter by letter, or register this one"
        " on the page of the app.",
    ),
    "request": (
        "Form of the request",
        "Compare the request with what was expected: each parameter once, in a form body or query"
        " as the endpoint takes it.",
    ),
    "aud": (
        "aud",
        "Send the FHIR base of this server as aud, as the page of the app shows it; an EHR launch"
        " gives it as iss.",
    ),
    "pkce": (
        "PKCE",
        "Send code_challenge with code_challenge_method=S256, and at the token endpoint the"
        " code_verifier it was made from.",
    ),
    "launch": (
        "Launch value",
        "A launch value is good once, for five minutes, for one app and one user: launch the app"
        " again from the record system.",
    ),
    "login": (
        "Login",
        "Somebody has to log in: leave out prompt=none, or begin again with a page people can see.",
    ),
    "consent": (
        "Consent",
        "The person who logged in refused, or is not asked without a page: explain in the app what"
        " it needs, and let them try again.",
    ),
    "scope": (
        "Scope",
        "Ask for scopes the app is registered for; the provider may have limited the app or the"
        " user to fewer. Read the scope in the token answer: it says what was granted.",
    ),
    "code": (
        "Authorization code",
        "Exchange each code once, within a minute, with the redirect_uri of the authorization"
        " request and by the same app. Begin a new launch.",
    ),
    "refresh": (
        "Refresh token",
        "Keep the newest refresh token only: each is replaced when used, and reuse of an old one"
        " ends the grant. People end grants too. Begin a new launch.",
    ),
    "assertion": (
        "Client assertion",
        "Sign a new JWT each time with a registered key: iss and sub are the client_id, aud is the"
        " token URL or the FHIR base, alone; exp at most five minutes ahead, jti never used before,"
        " alg RS384 or ES384.",
    ),
    "token": (
        "Access token",
        "Get a new token: this one has expired, was revoked, or was made by another server. Send it"
        " as Authorization: Bearer.",
    ),
    "compartment": (
        "Patient",
        "The request was for data of somebody the token does not reach. Use the patient that came"
        " with the token, and see the list of patients of the app.",
    ),
    "group": (
        "Group",
        "The provider assigns Groups to backend services. Ask for this Group to be assigned, or"
        " export one that is.",
    ),
    "approval": (
        "Approval",
        "The provider has to approve the app first. Until then only you can launch it, logged in as"
        " yourself.",
    ),
    "rate": (
        "Too many requests",
        "Wait as long as Retry-After says, and keep tokens until they expire instead of asking for"
        " new ones.",
    ),
    "other": (
        "Something else",
        "Read what was expected; if that does not help, give the correlation id to the provider.",
    ),
}
"""By step: its name for people, and what to do."""


def advice_on(step: Step) -> tuple[str, str]:
    """The name of a step, and what to do."""
    return STEPS.get(step, STEPS["other"])
