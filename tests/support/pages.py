"""Pages in a real browser with scripts turned off, narrow and wide: fixtures, and what to look for.

`SCREENSHOTS` may name a folder for a picture of every page.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.support.node import chromium
from tests.support.smart_auth import PASSWORD

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WIDTHS = {"narrow": (390, 844), "wide": (1200, 900)}

FAULTS = """() => {
  const faults = [];
  const say = (what, element) => faults.push(
    what + (element ? ': ' + element.outerHTML.slice(0, 120) : ''));
  const root = document.documentElement;
  if (document.querySelectorAll('h1').length !== 1) say('not one h1');
  if (root.lang !== 'en') say('no lang');
  if (!document.title) say('no title');
  if (document.querySelector('script')) say('a script');
  if (root.scrollWidth > window.innerWidth) say('wider than the window: ' + root.scrollWidth);
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  if (new Set(ids).size !== ids.length) say('an id twice: ' + ids);
  for (const e of document.querySelectorAll('input:not([type=hidden], [hidden]), select, textarea'))
    if (!e.labels.length || !e.labels[0].textContent.trim()) say('no label', e);
  for (const e of document.querySelectorAll('[hidden]'))
    if (e.offsetParent) say('hidden, and shown', e);
  for (const e of document.querySelectorAll('[aria-describedby], [aria-labelledby]'))
    for (const id of ((e.getAttribute('aria-describedby') || '') + ' ' +
                      (e.getAttribute('aria-labelledby') || '')).split(/ +/).filter(Boolean))
      if (!document.getElementById(id)) say('points nowhere', e);
  for (const e of document.querySelectorAll('button, a'))
    if (!e.textContent.trim() && e.offsetParent) say('no name', e);
  const headings = [...document.querySelectorAll('h1, h2, h3')].map(e => +e.tagName[1]);
  headings.forEach((level, at) => {
    if (at && level > headings[at - 1] + 1) say('a heading too deep: ' + headings); });
  return faults;
}"""

CONTRASTS = """() => {
  const parts = text => text.match(/[\\d.]+/g).map(Number);
  const linear = c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = e => { for (; e; e = e.parentElement) {
    const colour = parts(getComputedStyle(e).backgroundColor);
    if (colour.length < 4 || colour[3] > 0) return colour; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.nodeValue.trim() || !e.offsetParent) continue;
    const style = getComputedStyle(e), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && +style.fontWeight >= 700);
    const [a, b] = [light(parts(style.color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < (large ? 3 : 4.5))
      found.push(ratio.toFixed(2) + ' ' + walker.currentNode.nodeValue.trim().slice(0, 40));
  }
  return found;
}"""

FOCUSABLE = """() => [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, textarea, summary')]
  .filter(e => e.checkVisibility() && !e.closest('details:not([open]) > :not(summary)')
    && !(e.type === 'radio' && e !== (
      document.querySelector(`input[type=radio][name="${e.name}"]:checked`)
      || document.querySelector(`input[type=radio][name="${e.name}"]`))))"""

FOCUS = f"""() => {{
  const all = ({FOCUSABLE})(), e = document.activeElement, style = getComputedStyle(e);
  return {{ at: all.indexOf(e), seen: style.outlineStyle !== 'none' && style.outlineWidth !== '0px',
            html: e.outerHTML.slice(0, 120) }};
}}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def faults() -> list[str]:
    """What the browser itself complains of: refused content, missing files."""
    return []


@pytest.fixture(params=WIDTHS)
def page(request: pytest.FixtureRequest, browser: Browser, faults: list[str]) -> Iterator[Page]:
    """A fresh browser without scripts, of each width."""
    width, height = WIDTHS[request.param]
    context = browser.new_context(
        java_script_enabled=False,
        viewport={"width": width, "height": height},
        is_mobile=width < 500,
    )
    opened = context.new_page()
    opened.on(
        "console",
        lambda message: message.type in ("error", "warning") and faults.append(message.text),
    )
    opened.on("requestfailed", lambda failed: faults.append(failed.url))
    opened.on("response", lambda answer: answer.status == 404 and faults.append(answer.url))
    yield opened
    context.close()


@pytest.fixture
def look(page: Page, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Looks at the page that is open: its markup, its contrast and the way of the Tab key."""

    def at(name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            width = page.viewport_size["width"] if page.viewport_size else 0
            page.screenshot(path=Path(folder) / f"{name}-{width}.png", full_page=True)
        assert page.evaluate(FAULTS) == [], name
        assert page.evaluate(CONTRASTS) == [], name
        assert tab_faults(page) == [], name

    return at


def tab_faults(page: Page) -> list[str]:
    """What is wrong with the way of the Tab key from the top: order, holes, unseen focus."""
    page.evaluate("() => { document.activeElement.blur(); window.getSelection().empty(); }")
    page.locator("body").evaluate(
        "e => { e.tabIndex = -1; e.focus(); e.removeAttribute('tabindex'); }"
    )
    count = page.evaluate(f"() => ({FOCUSABLE})().length")
    found: list[str] = []
    way = []
    for _ in range(count):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUS)
        way.append(now["at"])
        if not now["seen"]:
            found.append(f"no focus seen: {now['html']}")
    if way != list(range(count)):
        found.append(f"order {way}")
    return found


def go(page: Page, locator: Locator) -> None:
    """Click what leads to another page, and wait until that one is loaded."""
    with page.expect_navigation():
        locator.click()


def log_in(page: Page, username: str, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill(username)
    page.get_by_label("Password").fill(password)
    go(page, page.get_by_role("button", name="Log in"))
