"""The page at `[base]/docs` in a browser without scripts, narrow and wide."""

from __future__ import annotations

import pytest
from playwright.sync_api import sync_playwright

from tests.support.demo import RunningDemo
from tests.support.node import chromium

FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_opens_and_folds_out(demo: RunningDemo, width: int) -> None:
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        context = browser.new_context(
            java_script_enabled=False, viewport={"width": width, "height": 800}
        )
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("requestfailed", lambda failed: complaints.append(failed.url))
        page.on("response", lambda one: one.status >= 400 and complaints.append(one.url))
        page.goto(f"{demo.base}/docs")
        table = page.locator("#searchAppointment table")
        assert not table.is_visible()
        page.locator("#searchAppointment summary").click()
        assert table.is_visible()
        assert "practitioner" in table.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") == width
        style = page.locator("header.top").evaluate("e => getComputedStyle(e).backgroundColor")
        assert style == "rgb(27, 39, 51)"
        browser.close()
    assert complaints == []
