"""Why a login at an external provider came to nothing."""

from __future__ import annotations


class LoginProblem(Exception):
    """`reason` is for the audit and `text` for the person; both are fixed texts, in which nothing
    of the provider's answer stands. `text` goes on from the provider's label ("{label} …")."""

    def __init__(self, reason: str, text: str, status: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.text = text
        self.status = status


def unavailable(reason: str) -> LoginProblem:
    """The provider does not answer, or not as the protocol wants."""
    return LoginProblem(
        reason,
        "cannot be used to log in at the moment. Try again later, or log in with your password.",
        502,
    )


def untrusted(reason: str) -> LoginProblem:
    """The provider's answer must not be believed."""
    return LoginProblem(
        reason, "sent an answer that cannot be trusted, so you were not logged in.", 502
    )


def stale() -> LoginProblem:
    """No login of this browser waits under the state."""
    return LoginProblem(
        "no such login is under way in this browser",
        "sent you back to a login that has expired, was finished already, or was begun in another"
        " browser.",
        400,
    )


def declined(reason: str) -> LoginProblem:
    """The provider did not log the person in."""
    return LoginProblem(reason, "did not log you in.", 403)


def unknown(reason: str) -> LoginProblem:
    """The person has no account here that may be opened this way."""
    return LoginProblem(
        reason,
        "knows you, but your account there is not linked to an account here. Ask the people who run"
        " this server to link it.",
        403,
    )
