# SPDX-License-Identifier: Apache-2.0
"""The dashboard over a real Prometheus with two hours of a load, in a real Chromium.

GCE_VLLM_SCREENSHOTS=FOLDER keeps pictures of it. Those in docs/images are of the demo, by
`python -m benchmarks.watched_load`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from llm_dashboard.panels import SECTIONS, expressions
from playwright.sync_api import Browser, Page

from tests import debian
from tests.support import dashboard_tab, grafana
from tests.support.browser import STEP_TIMEOUT_MS, open_browser
from tests.support.dashboard_host import KEY, OTHER_KEY, Host, host
from tests.support.dashboard_tab import MOST_BYTES, VIEWS
from tests.support.modules_fixtures import free_port
from tests.support.page_tabs import DESKTOP


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with host(tmp_path_factory.mktemp("dashboard")) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


@contextmanager
def logged_in(browser: Browser, url: str, **view: Any) -> Iterator[tuple[Page, list[str]]]:
    """A tab at the page, and what it said to its console."""
    with dashboard_tab.logged_in(browser, url, KEY, **view) as found:
        yield found


def texts(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(selector).all_text_contents()]


@pytest.mark.parametrize("name", VIEWS)
def test_nothing_is_in_the_way(running: Host, browser: Browser, name: str) -> None:
    with logged_in(browser, running.url, **VIEWS[name]) as (page, said):
        page.locator("#first-token summary").click()
        assert page.locator("#first-token details tbody tr").count() > 10
        # Light and dark; that of the desktop has the phone's colours.
        if name != "desktop":
            found = dashboard_tab.barriers(page)
            assert [f"{one['id']}: {[n['target'] for n in one['nodes']]}" for one in found] == []
        assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0
        assert said == []
        if folder := os.environ.get("GCE_VLLM_SCREENSHOTS"):
            page.locator("#first-token summary").click()
            page.evaluate("window.scrollTo(0, 0)")
            page.screenshot(path=Path(folder) / f"dashboard-{name}.png")


def test_each_chart_has_data(running: Host, browser: Browser) -> None:
    with logged_in(browser, running.url, **DESKTOP) as (page, _):
        panels = [panel.id for section in SECTIONS for panel in section.panels]
        assert dashboard_tab.drawn(page) == panels
        assert page.locator(".panel .none, .remark").count() == 0
        # Where it ended and started again there are no values, and a mark says why.
        assert page.locator("#first-token .serie-0 path").count() >= 2
        assert page.locator("#first-token .event path").count() >= 2
        happened = " ".join(texts(page, "#events td"))
        assert "the server's process started" in happened
        assert "ready: it takes requests" in happened


def test_counts_are_those_of_the_load(running: Host, browser: Browser) -> None:
    asked = running.load.asked
    with logged_in(browser, running.url, **DESKTOP) as (page, _):
        for key in ("team-search", "team-chat"):
            row = page.locator("#keys tr", has_text=key)
            cells = [text.strip() for text in row.locator("td").all_text_contents()]
            requests = sum(asked[f"{key} {how}"] for how in ("ok", "server_error", "refused"))
            wanted = (requests, asked[f"{key} prompt"], asked[f"{key} generation"])
            assert cells[:3] == [f"{number:,}" for number in wanted]
        assert "LLMFirstTokenSlow" in page.locator(".alerts").inner_text()
        assert "objective 500 ms" in page.locator("#figure-first_token").inner_text()
        assert re.search(r"\$3\.50/h", page.locator("#figure-cost").inner_text())


def test_each_range_is_answered(running: Host, browser: Browser) -> None:
    with logged_in(browser, running.url, **DESKTOP) as (page, _):
        for word in ("6h", "30d"):
            text = page.request.get(f"{running.url}/?range={word}", timeout=STEP_TIMEOUT_MS).text()
            assert f'href="?range={word}" aria-current' in text
            assert 'class="remark"' not in text
            assert text.count('class="serie-0"') > 20, word


def test_the_page_renews_itself(running: Host, browser: Browser) -> None:
    with logged_in(browser, running.url, **DESKTOP) as (page, said):
        page.evaluate("document.getElementById('first-token-table').open = true")
        page.evaluate("document.getElementById('content').dataset.old = 1")
        page.evaluate("refresh()")
        page.wait_for_selector("#content:not([data-old])")
        assert page.locator("details[open]").count() == 1
        # Whoever is logged out meanwhile sees that.
        page.context.clear_cookies()
        page.evaluate("void refresh()")
        page.wait_for_selector("#key")
        assert said == []


def test_the_page_is_small_and_closed_to_others(running: Host, browser: Browser) -> None:
    with logged_in(browser, running.url, **DESKTOP) as (page, _):
        assert dashboard_tab.sent(page, running.url) < MOST_BYTES
        answer = page.request.get(running.url, timeout=STEP_TIMEOUT_MS)
        assert answer.headers["content-encoding"] == "gzip"
        page.click("header button")
        page.wait_for_selector("#key")
        page.fill("#key", OTHER_KEY)
        page.keyboard.press("Enter")
        assert "does not open the page" in page.locator("[role=alert]").inner_text()
        assert page.context.cookies() == []


def test_prometheus_takes_each_expression(running: Host) -> None:
    for name, expr in expressions().items():
        query = urllib.parse.urlencode({"query": expr.replace("WINDOW", "60s")})
        with urllib.request.urlopen(f"{running.prometheus}/api/v1/query?{query}") as answer:  # noqa: S310
            assert answer.status == 200, name


def test_each_panel_in_grafana_has_data(running: Host) -> None:
    folder = Path(__file__).parents[3] / "files/grafana"
    for file in ("llm-server.json", "llm-hosts.json"):
        asked = grafana.expressions(json.loads((folder / file).read_text()))
        series = {name: grafana.ask(running.prometheus, expr, 3600) for name, expr in asked}
        # No alert fired and no GPU had an Xid; errors that were corrected are those of panel B.
        never = {"Alerts A", "mark Alerts", "mark Xid errors"}
        never |= {"Errors of GPUs A", "Errors of GPUs C"}
        assert {name for name, count in series.items() if not count} == never & set(series)
        assert len(series) > 15


def test_node_exporter_has_what_is_asked_of_it() -> None:
    program = debian.unpacked("prometheus-node-exporter", "prometheus-node-exporter")
    url = f"127.0.0.1:{free_port()}"
    with subprocess.Popen([program, f"--web.listen-address={url}"],
                          stderr=subprocess.PIPE, text=True) as exporter:  # fmt: skip
        try:
            assert exporter.stderr is not None
            for line in exporter.stderr:
                if "TLS is disabled" in line:
                    break
            with urllib.request.urlopen(f"http://{url}/metrics") as answer:
                text = answer.read().decode()
        finally:
            exporter.terminate()
    asked = set(re.findall(r"\bnode_\w+", " ".join(expressions().values())))
    assert len(asked) > 4
    assert asked <= set(re.findall(r"^(node_\w+)", text, re.MULTILINE))
