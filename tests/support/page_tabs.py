# SPDX-License-Identifier: Apache-2.0
"""A person at the page of a server: a tab of a real browser, and what it said to its console."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

DESKTOP: dict[str, Any] = {"viewport": {"width": 1100, "height": 800}}
DARK: dict[str, Any] = DESKTOP | {"color_scheme": "dark"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "has_touch": True,
    "is_mobile": True,
    "device_scale_factor": 2,
}
#: What a finger needs, in CSS pixels.
_SMALL = """
() => [...document.querySelectorAll("button, a, select, summary, input:not([type=checkbox])")]
  .filter((node) => node.offsetParent)
  .map((node) => ({ name: node.id || node.textContent, box: node.getBoundingClientRect() }))
  .filter(({ box }) => box.height < 44 || box.width < 44)
  .map(({ name, box }) => `${name}: ${box.width} x ${box.height}`)
"""
_OVERFLOW = "() => document.documentElement.scrollWidth - window.innerWidth"


class Tab:
    """One tab at the page of the server at `url`."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.console: list[str] = []
        #: Bodies of the requests for text, in their order.
        self.asked: list[dict[str, Any]] = []
        page.on("console", lambda message: self.console.append(message.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self._note(request.post_data))
        page.goto(url)
        page.wait_for_selector("#state[class]:not([class=''])")

    def _note(self, body: str | None) -> None:
        if body:
            self.asked.append(json.loads(body))

    def log_in(self, key: str) -> None:
        """Types the key."""
        self.page.fill("#key", key)
        self.page.keyboard.press("Enter")

    def say(self, text: str) -> None:
        """Sends a message by keyboard."""
        self.page.fill("#prompt", text)
        self.page.keyboard.press("Control+Enter")

    def answer(self, number: int = 1) -> str:
        """What is said below an answer, counted from one, once that has ended."""
        return self.page.locator("article.model").nth(number - 1).locator(".meta span").inner_text()

    def settings(self, **fields: str) -> None:
        """Fills fields of the settings."""
        self.page.click("#show-settings")
        for name, value in fields.items():
            self.page.fill(f"#{name}", value)
        self.page.keyboard.press("Escape")

    def barriers(self) -> list[str]:
        """What axe finds wrong, what is too small for a finger, and what does not fit."""
        found = [
            f"{violation['id']}: {[node['target'] for node in violation['nodes']]}"
            for violation in Axe().run(self.page).response["violations"]
        ]
        found += self.page.evaluate(_SMALL)
        overflow = self.page.evaluate(_OVERFLOW)
        return found + ([f"{overflow} px too wide"] if overflow > 0 else [])


@contextmanager
def open_tab(browser: Browser, url: str, **options: Any) -> Iterator[Tab]:
    """A tab of somebody with nothing stored."""
    context = browser.new_context(**options)
    context.set_default_timeout(120_000)
    try:
        yield Tab(context.new_page(), url)
    finally:
        context.close()
