# SPDX-License-Identifier: Apache-2.0
"""Chromium at the dashboard: pictures of it, and what it took to show it."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

from tests.support.dashboard_tab import VIEWS, barriers, drawn, logged_in, sent

#: The last quarter of an hour: the load and what was before it.
QUERY = "?range=15m"
#: Of the page's first paint; the dashboard keeps a page for 10 s, and a new one is to be measured.
PAINTS, KEPT_S = 3, 11
MORE = "Journal: The last "
SERIOUS = frozenset({"serious", "critical"})
_PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null"


def take(browser: Browser, url: str, key: str, folder: Path) -> dict[str, Any]:
    """Pictures of each view, and what was painted, drawn and said on the way."""
    found: dict[str, Any] = {"paint_ms": {}, "console": [], "too_wide_px": {}}
    for name, view in VIEWS.items():
        with logged_in(browser, url, key, **view) as (page, said):
            _open(page, url)
            found["paint_ms"][name] = paint(page)
            page.screenshot(path=folder / f"dashboard-{name}.png")
            wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            found["too_wide_px"][name] = max(0, wide)
            found["console"] += [f"{name}: {text}" for text in said]
    return found


def look(browser: Browser, url: str, key: str) -> dict[str, Any]:
    """What a page has when nobody asks the model any more: size, paints, panels, barriers."""
    found: dict[str, Any] = {"paint_ms": [], "barriers": [], "console": []}
    for name, view in VIEWS.items():
        with logged_in(browser, url, key, **view) as (page, said):
            for _ in range(PAINTS if name == "desktop" else 0):
                time.sleep(KEPT_S)
                _open(page, url)
                found["paint_ms"].append(paint(page))
            _open(page, url)
            if name == "desktop":
                found["bytes"] = sent(page, url, QUERY)
                found["drawn"] = drawn(page)
                said_by = page.locator(".remark").all_inner_texts()
                # That there were more errors than it shows is none.
                found["remarks"] = [one for one in said_by if not one.startswith(MORE)]
                text = " ".join(page.locator("#events td").all_inner_texts())
                found["starts"] = len(re.findall("the server's process started", text))
            found["barriers"] += [
                f"{name}: {one['id']} ({one['impact']})"
                for one in barriers(page)
                if one["impact"] in SERIOUS
            ]
            found["console"] += [f"{name}: {text}" for text in said]
    return found


def _open(page: Page, url: str) -> None:
    page.goto(f"{url}/{QUERY}")
    page.wait_for_selector("#events-title")


def paint(page: Page) -> float:
    """Milliseconds until the first paint with something in it."""
    page.wait_for_function(f"({_PAINT}) !== null")
    return round(float(page.evaluate(_PAINT)), 1)
