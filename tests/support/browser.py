# SPDX-License-Identifier: Apache-2.0
"""A real Chromium, driven by Playwright; Debian has the browser.

A test takes `open_browser()` in a fixture of its module: while it is open, its thread has an event
loop that runs, so that no other test of the same process may start one.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

from tests.debian import install

#: No sandbox, as tests run as root; nothing that speaks with anyone but the page's own server.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
#: Longest that a page may take for a step; a bound against hanging, as machines may be busy.
STEP_TIMEOUT_MS = 120_000


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Chromium without a window; each `new_context()` is a user with nothing stored."""
    install("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=list(FLAGS),
            timeout=STEP_TIMEOUT_MS,
        )
        try:
            yield browser
        finally:
            browser.close()
