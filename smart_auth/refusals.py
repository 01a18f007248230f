"""What the developer of an app is told of a refused request: the step, and what was wrong with it.

Only what the app itself sent, and of that no secret and no person's data, is ever put here: callers
give `received` no state, nonce, code, token, assertion, login_hint or launch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from smart_auth.core import Core
from smart_auth.ports import Refusal, Step, TenantInfo

LONGEST = 200
"""Characters kept of what was expected and received."""

_STEP_OF: dict[str, Step] = {
    "invalid_client": "client",
    "unauthorized_client": "client",
    "invalid_grant": "code",
    "invalid_scope": "scope",
    "invalid_token": "token",
    "access_denied": "consent",
    "login_required": "login",
    "consent_required": "consent",
    "invalid_redirect_uri": "redirect",
}
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_UNSAFE = re.compile(r"[^\x20-\x7e]+")
_SCOPE_WORD = re.compile(r"[A-Za-z/*._]{1,60}(\?category=[A-Za-z0-9:/|,.%_-]{1,120})?")


def refusal(
    error: str, text: str, step: Step | None = None, expected: str = "", received: str = ""
) -> Refusal:
    """A trace entry, cut and cleaned. `error` is the OAuth code, `text` a fixed sentence; without
    `step` it follows from the code."""
    return Refusal(
        step=step or _STEP_OF.get(error, "request"),
        error=error,
        text=text,
        expected=_clean(expected),
        received=_clean(received),
    )


def without_query(uri: str) -> str:
    """An address as it may be shown: no query, no fragment, no user. Other text is not shown."""
    if not _ADDRESS.match(uri):
        return "(not an address)" if uri else ""
    bare = re.split(r"[?#]", uri, maxsplit=1)[0]
    scheme, slashes, rest = bare.partition("//")
    host, slash, path = rest.partition("/")
    return scheme + slashes + host.rpartition("@")[2] + slash + path if slashes else bare


def scope_words(text: str) -> str:
    """The words of a scope parameter that look like scopes; others are only counted."""
    words = text.split()
    shown = [word for word in words if _SCOPE_WORD.fullmatch(word)]
    hidden = len(words) - len(shown)
    return " ".join([*shown, f"({hidden} more)"] if hidden else shown)


def listed(values: Iterable[str]) -> str:
    """Several values as one text."""
    return " ".join(values)


def _clean(text: str) -> str:
    clean = _UNSAFE.sub("", text)
    return clean if len(clean) <= LONGEST else clean[: LONGEST - 3] + "..."


class CannotRedirect(Exception):
    """The request names no app of ours or no address of it: the person is told, not the app.

    `received` is the value at fault, for the page only. `client_id` is set when the app is known.
    """

    def __init__(
        self,
        text: str,
        received: str | None = None,
        *,
        client_id: str | None = None,
        refusal: Refusal | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.received = received
        self.client_id = client_id
        self.refusal = refusal


class Refused(Exception):
    """The request is refused by redirect with an OAuth error. `description` is a fixed text.

    `step`, `expected` and `received` are for the app's trace (`smart_auth.refusals`).
    """

    def __init__(
        self,
        error: str,
        description: str,
        step: Step | None = None,
        expected: str = "",
        received: str = "",
    ) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.refusal = refusal(error, description, step, expected, received)


def trace(core: Core, tenant: TenantInfo, client_id: str | None, refused: Refused) -> None:
    """Keep a refusal of an authorization request, for the audit and for the app's developer."""
    core.audit(
        tenant.slug,
        "authorize",
        "refused",
        client_id=client_id,
        reason=f"{refused.error}: {refused.description}",
        refusal=refused.refusal,
    )


def trace_unsendable(core: Core, tenant: TenantInfo, refused: CannotRedirect) -> None:
    """The same of a request that the app itself will not hear of."""
    core.audit(
        tenant.slug,
        "authorize",
        "refused",
        client_id=refused.client_id,
        reason=refused.text,
        refusal=refused.refusal,
    )
