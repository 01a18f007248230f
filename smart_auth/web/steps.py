"""Where a person goes from here: on with an app's request, or to the page of ours they wanted."""

from __future__ import annotations

import re
from urllib.parse import quote

from flask import Response, request

from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.sessions import Sessions
from smart_auth.web import pages
from smart_auth.web.launch_pages import problem_page

_PAGE = re.compile(r"[a-z][a-z0-9_-]*(?:/[A-Za-z0-9_-]+)*")


def go_on(core: Core, tenant: TenantInfo, value: str, back: str = "") -> Response:
    """On to the next step of the request named by `value`, else to the page `back` (of ours, so it
    cannot lead elsewhere), else to the person's apps."""
    return pages.see_other(core, tenant, path_on(value, back))


def path_on(value: str, back: str = "") -> str:
    """Where `go_on` goes, as `pages.path_of` takes it."""
    if not value:
        return back if _PAGE.fullmatch(back) else "manage"
    return f"continue?request={quote(value, safe='')}"


def enter(
    core: Core,
    sessions: Sessions,
    tenant: TenantInfo,
    user_id: str,
    *,
    value: str = "",
    back: str = "",
    origin: str = "login",
    methods: str = "pwd",
    auth_time: int | None = None,
) -> Response:
    """Log a checked person in: a new session instead of the browser's last, and on to where they
    were going. Somebody who was made inactive meanwhile is told so."""
    try:
        started = sessions.start(tenant.slug, user_id, origin, methods, auth_time)
    except LookupError:
        return problem_page(core, tenant, "Your account here is not active.")
    previous = sessions.current(tenant, request)
    if previous is not None:
        sessions.end(tenant, previous)
    response = go_on(core, tenant, value, back)
    sessions.set_cookie(response, tenant, started)
    return response


def stale_form(core: Core, tenant: TenantInfo) -> Response:
    """The answer to a form that is not ours, or too old. Only one of a launch sends the person back
    to the app."""
    text = "This form has expired or did not come from this browser. Start again."
    if not request.cookies:
        text = "Your browser sent no cookies, which these pages need. Allow them and start again."
    if pages.posted("request"):
        return problem_page(core, tenant, text)
    return pages.page(core, tenant, "problem.html", 400, text=text, ours=True)
