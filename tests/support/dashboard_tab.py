# SPDX-License-Identifier: Apache-2.0
"""A tab of a real browser at the dashboard, for its tests and for what is measured of it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.support.browser import STEP_TIMEOUT_MS
from tests.support.page_tabs import DARK, DESKTOP, PHONE

VIEWS = {"desktop": DESKTOP, "dark": DARK, "phone": PHONE}
#: What is drawn is hidden from readers of the screen, who have the tables.
CHECKED = {"exclude": [[".chart"], [".spark"]]}
MOST_BYTES = 150_000
_DRAWN = "[...document.querySelectorAll('.panel:has(.chart path.line)')].map((one) => one.id)"


@contextmanager
def logged_in(
    browser: Browser, url: str, key: str, **view: Any
) -> Iterator[tuple[Page, list[str]]]:
    """A tab at the page, and what it said to its console."""
    with browser.new_context(**view) as context:
        context.set_default_timeout(STEP_TIMEOUT_MS)
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(url)
        page.fill("#key", key)
        page.keyboard.press("Enter")
        page.wait_for_selector("#events-title")
        yield page, said


def barriers(page: Page) -> list[dict[str, Any]]:
    """What axe finds wrong, as it says it."""
    found: list[dict[str, Any]] = Axe().run(page, context=CHECKED).response["violations"]
    return found


def drawn(page: Page) -> list[str]:
    """The panels with a line."""
    found: list[str] = page.evaluate(_DRAWN)
    return found


def sent(page: Page, url: str, query: str = "") -> int:
    """Bytes of the page with its style and script, compressed."""
    answers = [
        page.request.get(f"{url}/{name}", timeout=STEP_TIMEOUT_MS)
        for name in (query, "style.css", "refresh.js")
    ]
    return sum(len(gzip.compress(one.body())) for one in answers)
