"""A browser without scripts: follows links and redirects, fills forms and presses their buttons.

Used by `make demo-check` and by tests, so that the pages are proved to work without scripts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urljoin

import requests


@dataclass
class Field:
    """An input, select or button of a form."""

    name: str
    value: str
    kind: str
    checked: bool = False
    options: list[str] = field(default_factory=list)


@dataclass
class Form:
    """One form: `fields` in page order, as a browser would send them if untouched."""

    action: str
    method: str
    fields: list[Field] = field(default_factory=list)

    def names(self) -> set[str]:
        return {one.name for one in self.fields}

    def options(self, name: str) -> list[str]:
        """Values that a select or a group of radio buttons and checkboxes offers."""
        found: list[str] = []
        for one in self.fields:
            if one.name == name:
                found += one.options if one.kind == "select" else [one.value]
        return found

    def data(self, fill: dict[str, str | list[str]], button: str | None) -> list[tuple[str, str]]:
        """What is sent: untouched fields, those in `fill` replaced, and the button pressed
        (name=value or first).
        """
        pairs: list[tuple[str, str]] = []
        pressed = False
        for one in self.fields:
            if one.kind == "submit":
                wanted = button is None or button in (one.value, f"{one.name}={one.value}")
                if wanted and not pressed and one.name:
                    pairs.append((one.name, one.value))
                pressed = pressed or wanted
            elif one.name and one.name not in fill:
                if one.kind not in ("checkbox", "radio") or one.checked:
                    pairs.append((one.name, one.value))
        for name, value in fill.items():
            values = [value] if isinstance(value, str) else value
            pairs += [(name, each) for each in values]
        return pairs


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self._form: Form | None = None
        self._select: Field | None = None
        self._area: Field | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        have = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._form = Form(have.get("action", ""), have.get("method", "get").lower())
            self.forms.append(self._form)
        elif self._form is None:
            return
        elif tag in ("input", "button", "textarea"):
            kind = have.get("type", "submit" if tag == "button" else "text").lower()
            default = "on" if kind in ("checkbox", "radio") else ""
            self._form.fields.append(
                Field(have.get("name", ""), have.get("value", default), kind, "checked" in have)
            )
            self._area = self._form.fields[-1] if tag == "textarea" else None
        elif tag == "select":
            self._select = Field(have.get("name", ""), "", "select")
            self._form.fields.append(self._select)
        elif tag == "option" and self._select is not None:
            value = have.get("value", "")
            if "selected" in have or not self._select.options:
                self._select.value = value
            self._select.options.append(value)

    def handle_data(self, data: str) -> None:
        if self._area is not None:
            self._area.value += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "textarea" and self._area is not None:
            # A line break right behind the opening tag is not part of the value.
            self._area.value = self._area.value.removeprefix("\n")
            self._area = None
        elif tag == "select":
            self._select = None


class FormBrowser:
    """Keeps cookies, follows redirects while they stay on hosts that answer, and stops at
    `stop_at`.
    """

    def __init__(self, stop_at: str = "") -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.stop_at = stop_at
        self.url = ""
        self.status = 0
        self.text = ""

    def __enter__(self) -> FormBrowser:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.session.close()

    def open(self, url: str) -> FormBrowser:
        """GET a page. `url` afterwards is where redirects ended."""
        return self._go("get", url, None)

    def forms(self) -> list[Form]:
        parser = _Parser()
        parser.feed(self.text)
        return parser.forms

    def form(self, *names: str) -> Form:
        """The first form with fields of all these names; AssertionError when there is none."""
        for one in self.forms():
            if set(names) <= one.names():
                return one
        raise AssertionError(f"no form with {names} at this page (status {self.status})")

    def submit(
        self, form: Form, fill: dict[str, str | list[str]] | None = None, button: str | None = None
    ) -> FormBrowser:
        """Send a form as a browser would."""
        target = urljoin(self.url, form.action or self.url)
        return self._go(form.method, target, form.data(fill or {}, button))

    def _go(self, method: str, url: str, data: list[tuple[str, str]] | None) -> FormBrowser:
        for _ in range(20):
            if self.stop_at and url.startswith(self.stop_at):
                self.url, self.status, self.text = url, 0, ""
                return self
            response = self.session.request(
                method,
                url,
                params=data if method == "get" else None,
                data=data if method == "post" else None,
                allow_redirects=False,
                timeout=30,
            )
            self.url, self.status, self.text = response.url, response.status_code, response.text
            if not response.is_redirect:
                return self
            url, method, data = urljoin(response.url, response.headers["Location"]), "get", None
        raise AssertionError("too many redirects")
