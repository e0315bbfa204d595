# SPDX-License-Identifier: Apache-2.0
"""The demo is watched: what its monitoring counts is what the test itself sent."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from llm_dashboard.panels import GPU, SECTIONS

from tests.demo.commands import ROOT, TIMEOUT_S, first_key, on_instance, play
from tests.demo.load import NO_KEY, Load
from tests.demo.watched import Dashboard, Page, Used, counted, looked_at, until

#: The second is of this run alone: a demo that is kept knows others.
FIRST, GUEST = "default", f"guest-{secrets.token_hex(4)}"
GUESTS_KEY = "a-key-for-a-guest-of-the-demo"
WATCHED = f"{FIRST}|{GUEST}|{NO_KEY}"
PID = "systemctl show --value --property=MainPID llm-server"
EXAMPLE = ROOT / "docs/examples/report.json"
#: On the dashboard and in the table of usage.
NOBODY = "(no key)"


@dataclass
class Watched:
    """A load that has ended, and what was there before it."""

    load: Load
    dashboard: Dashboard
    before: Page
    counted_before: Counter[tuple[str, str]]
    pid: str


def opened(demo: dict[str, Any]) -> int:
    """The status that the second key gets."""
    answer = requests.get(
        f"{demo['endpoint']}/v1/models",
        headers={"Authorization": f"Bearer {GUESTS_KEY}"},
        timeout=TIMEOUT_S,
    )
    return answer.status_code


@pytest.fixture(scope="module")
def dashboard(demo: dict[str, Any]) -> Iterator[Dashboard]:
    with Dashboard(demo["dashboard"]) as opened:
        yield opened


def test_the_dashboard_opens_by_key_alone(demo: dict[str, Any], dashboard: Dashboard) -> None:
    assert dashboard.ask().headers["Location"] == "login"
    assert dashboard.login("a-key-that-opens-nothing") == 401
    assert dashboard.login(Path(demo["api_key_file"]).read_text().strip()) == 303
    page = until(dashboard.page, lambda page: "<strong>Ready</strong>" in page.text)
    assert "<strong>Ready</strong>" in page.text


@pytest.fixture(scope="module")
def watched(demo: dict[str, Any], dashboard: Dashboard) -> Watched:
    """Requests of two keys and of nobody; the second key's budget is used up by them."""
    pid = on_instance(demo, PID)
    guest = {"name": GUEST, "key": GUESTS_KEY, "scope": "inference", "tokens_per_day": 60}
    said = play("keys", "-e", json.dumps({"llm_server_keys": [guest]}))
    assert GUESTS_KEY not in said
    # The server reads its keys a moment after it was told to.
    assert until(partial(opened, demo), lambda status: status == 200) == 200
    assert dashboard.login(first_key()) == 303
    load = Load(demo["endpoint"], {FIRST: first_key(), GUEST: GUESTS_KEY})
    # What was asked before has to be counted: the ledger is written once a second.
    since = time.time() + 2
    until(partial(looked_at, demo), lambda at: at > since)
    page = until(dashboard.page, lambda page: page.at > since)
    found = Watched(load, dashboard, page, counted(demo, WATCHED), pid)

    def round_of_requests() -> None:
        load.generate(GUEST)
        load.generate(FIRST)
        load.overreach(GUEST)
        load.guess()
        until(partial(added, demo, found), lambda now: now == load.counted)

    # Of what it first sees with a value Prometheus knows no rate.
    round_of_requests()
    load.use_up(GUEST)
    round_of_requests()
    return found


def added(demo: dict[str, Any], watched: Watched) -> Counter[tuple[str, str]]:
    """What Prometheus counted since the load began."""
    return counted(demo, WATCHED) - watched.counted_before


def test_prometheus_has_what_was_sent(demo: dict[str, Any], watched: Watched) -> None:
    assert added(demo, watched) == watched.load.counted
    assert watched.load.reasons(GUEST).keys() == {"out_of_scope", "budget_day"}


def test_each_source_answers_and_is_drawn(watched: Watched) -> None:
    of_gpus = {panel.id for panel in GPU.panels}
    panels = {panel.id for section in SECTIONS for panel in section.panels} - of_gpus
    page = until(watched.dashboard.page, lambda page: panels <= page.drawn and not silent(page))
    assert silent(page) == []
    assert panels - page.drawn == set()


def silent(page: Page) -> list[str]:
    """Sources without an answer. That there were more errors than it shows is none."""
    return [remark for remark in page.remarks if not remark.startswith("Journal: The last ")]


def used_since(watched: Watched) -> dict[str, Used]:
    """What the dashboard has of each key since the load began, by Prometheus' names."""
    before, now = watched.before.used, watched.dashboard.page().used
    names = {FIRST: FIRST, GUEST: GUEST, NO_KEY: NOBODY}
    return {
        key: now.get(shown, Used()).since(before.get(shown, Used())) for key, shown in names.items()
    }


def test_the_ledger_has_what_was_sent(watched: Watched, tmp_path: Path) -> None:
    load = watched.load
    sent = {key: load.used(key) for key in (FIRST, GUEST, NO_KEY)}
    assert until(partial(used_since, watched), lambda found: found == sent) == sent

    target = tmp_path / "usage.json"
    play("usage", "-e", "usage_format=json", "-e", f"usage_output={target}")
    found = json.loads(target.read_text())
    rows = {row["key"]: row for row in found["rows"]}
    assert rows[GUEST]["refusals"] == load.reasons(GUEST)
    shown = watched.dashboard.page().used
    for key, name in ((FIRST, FIRST), (GUEST, GUEST), ("", NOBODY)):
        row = rows[key]
        of_row = Used(row["requests"], row["tokens_in"], row["tokens_out"], row["refused"])
        assert of_row == shown[name]
    # The dashboard is told the price, and this playbook asks for it.
    settings = yaml.safe_load((ROOT / "inventories/demo/group_vars/all.yml").read_text())
    assert settings["monitoring_hour_price"] == pytest.approx(found["hosts"][0]["hour_price"], 0.01)


def test_a_request_is_found_by_its_id(watched: Watched, tmp_path: Path) -> None:
    wanted = watched.load.answered[GUEST][-1]
    target = tmp_path / "logs"
    play("logs", "-e", f"logs_request={wanted}", "-e", f"logs_output={target}")
    text = target.read_text()
    [request] = [one["request"] for one in map(json.loads, text.splitlines()) if "request" in one]
    assert (request["request_id"], request["key"], request["status"]) == (wanted, GUEST, 200)
    assert GUESTS_KEY not in text


def test_the_report_has_it_too(watched: Watched, tmp_path: Path) -> None:
    # What differs from the settings drift.yml says, in the tests before: nothing of monitoring.
    play("report", "-e", f"report_output={tmp_path}", "-e", "report_drift=false")
    found = json.loads((tmp_path / "report.json").read_text())
    assert found["missing"] == []
    outcomes = {line["what"]: line["outcome"] for line in found["checklist"]}
    assert outcomes == dict.fromkeys(outcomes, "ok") | {"quota": "not known"}
    assert outcomes["monitoring"] == "ok"
    [row] = [row for row in found["usage"]["rows"] if row["key"] == GUEST]
    shown = watched.dashboard.page().used[GUEST]
    assert (row["requests"], row["tokens_out"]) == (shown.requests, shown.tokens_out)
    assert re.search(rf"<td[^>]*>{GUEST}</td>", (tmp_path / "report.html").read_text())
    # The one in the documentation is of the same form.
    assert list(json.loads(EXAMPLE.read_text())) == list(found)


def test_a_key_comes_and_goes_without_a_restart(demo: dict[str, Any], watched: Watched) -> None:
    assert opened(demo) != 401
    play("keys")
    assert until(partial(opened, demo), lambda status: status == 401) == 401
    assert on_instance(demo, PID) == watched.pid
    said = play("keys")
    assert all("changed=0" in line for line in said.splitlines() if "changed=" in line)
