"""How a page leaves: rendered on the server, works without scripts, cannot be framed or cached."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from flask import Response, render_template, request

from smart_auth.core import Core
from smart_auth.ports import TenantInfo
from smart_auth.records import User
from smart_auth.sessions import Sessions
from smart_auth.web.browser import Browser

STYLESHEET = (Path(__file__).parent.parent / "static" / "style.css").read_bytes()


class NavItem(NamedTuple):
    """A link of the header; `current` where its page, or one below it, is shown."""

    label: str
    url: str
    current: bool


def path_of(tenant: TenantInfo, page: str) -> str:
    """The path of one of our pages, as the browser sees it. A path, not an address: the browser
    stays on the host it came to, where its cookies are."""
    return f"{urlsplit(tenant.issuer).path}/auth/{page}"


def page(
    core: Core,
    tenant: TenantInfo,
    template: str,
    status: int = 200,
    redirect_uri: str | None = None,
    *,
    user: User | None = None,
    **values: Any,
) -> Response:
    """Render a page of a tenant. `template` is one of ours, or of another folder when it names one.
    `redirect_uri`: where a form of it may lead in the end. With `user`, who is logged in, the page
    has the links of that user's role and a button to log out."""
    browser = Browser(core, Sessions(core), tenant)
    if user is not None:
        values |= {"user": user, "nav": _links(tenant, user)}
        values["logout_csrf"] = browser.csrf("logout", user.user_id)
    body = render_template(
        template if "/" in template else f"smart_auth/{template}",
        tenant=tenant,
        stylesheet_url=path_of(tenant, "style.css"),
        path=lambda name: path_of(tenant, name),
        **values,
    )
    response = Response(body, status=status, mimetype="text/html")
    return browser.remember(secure(core, response, redirect_uri))


def see_other(core: Core, tenant: TenantInfo, page: str) -> Response:
    """After a form that changed something: on to one of our pages, which may be loaded again."""
    response = Response(status=303, headers={"Location": path_of(tenant, page)})
    return secure(core, response)


def _links(tenant: TenantInfo, user: User) -> list[NavItem]:
    places = [("Your apps", "manage")]
    if user.own_patients:
        places.append(("Access log", "log"))
    places.append(("Account", "account"))
    if user.role == "developer":
        places.append(("Developer portal", "portal"))
    if user.role == "admin":
        places.append(("Console", "console"))
    here = f"{urlsplit(tenant.issuer).path}/auth{request.path.partition('/auth')[2]}"
    return [
        NavItem(label, url, here == url or here.startswith(f"{url}/"))
        for label, url in ((label, path_of(tenant, name)) for label, name in places)
    ]


def secure(core: Core, response: Response, redirect_uri: str | None = None) -> Response:
    """Headers of every page and of every redirect that carries a code."""
    headers = response.headers
    headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none';"
        f" frame-ancestors 'none'; form-action {_form_targets(redirect_uri)}"
    )
    headers["Referrer-Policy"] = "no-referrer"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Cache-Control"] = "no-store"
    headers["Pragma"] = "no-cache"
    if core.settings.cookie_secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"
    return response


def _form_targets(redirect_uri: str | None) -> str:
    """Browsers hold redirects after a form to its page's policy, those of the app included: so the
    app's own address is allowed, and https, where an app's call-back may send the browser on."""
    if redirect_uri is None:
        return "'self'"
    parts = urlsplit(redirect_uri)
    own = f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"
    return f"'self' https: {own}"


def send_to(core: Core, url: str) -> Response:
    """A redirect that keeps the address byte for byte."""
    response = Response(status=302, headers={"Location": url})
    return secure(core, response)


def stylesheet() -> Response:
    """The one stylesheet."""
    response = Response(STYLESHEET, mimetype="text/css")
    response.headers["Cache-Control"] = "public, max-age=3600"
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


def posted(name: str) -> str:
    """A field of the form that was sent, '' when absent."""
    return request.form.get(name, "")
