# SPDX-License-Identifier: Apache-2.0
"""The dashboards for Grafana are the page's, ask for series that there are, and know their host."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from llm_dashboard import panels
from llm_dashboard.units import UNITS

from docs.tools import generate_grafana, grafana_queries
from tests.support.grafana import expressions, filled
from tests.unit.monitoring.test_metric_names import (
    NAME,
    OBJECTIVES,
    ROOT,
    SERVER,
    names_of,
    of_the_collector,
)

FILES = sorted((ROOT / "files/grafana").glob("*.json"))
KNOWN = names_of(SERVER) | of_the_collector() | OBJECTIVES
#: Of every scrape, and of the host's own programs.
OTHERS = re.compile(r"\b(?:up|ALERTS|process_start_time_seconds|node_\w+)\b")
#: What may still hold one of Grafana's variables after what the tests put in.
VARIABLE = re.compile(r"\$\w+|\$\{")


def of(path: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def test_the_files_are_those_of_the_table() -> None:
    written = {ROOT / path: text for path, text in generate_grafana.written()}
    assert set(FILES) == set(written)
    assert all(path.read_text(encoding="utf-8") == text for path, text in written.items())


def test_each_panel_of_the_page_is_there() -> None:
    shown = [panel["title"] for panel in of(ROOT / "files/grafana/llm-server.json")["panels"]]
    for section in panels.SECTIONS:
        at = shown.index(section.question)
        titles = [panel.title for panel in section.panels]
        assert shown[at + 1 : at + 1 + len(titles)] == titles
    assert set(generate_grafana.UNITS) == set(UNITS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_series_exists_and_is_asked_of_the_chosen_hosts(path: Any) -> None:
    for name, expr in expressions(of(path)):
        plain = re.sub(r'"[^"]*"', '""', expr)
        asked = set(NAME.findall(plain))
        assert asked - KNOWN == set(), name
        hosts = [one for one in NAME.findall(plain) if one not in OBJECTIVES]
        hosts += OTHERS.findall(plain)
        assert plain.count('instance=~""') == len(hosts), name
        # Each sum keeps its host apart, and there is no variable that nobody fills.
        assert re.findall(
            r"\b(?:sum|min|max|avg|count)(?! by \(instance\b)\s*(?:by|\()", plain
        ) == (["max("] if asked & OBJECTIVES else []), name
        assert not VARIABLE.search(expr), name


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_name_leads_somewhere(path: Any) -> None:
    dashboard = of(path)
    shown = dashboard["panels"]
    assert len({panel["id"] for panel in shown}) == len(shown)
    named = {one["name"] for one in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-zA-Z]\w*)", json.dumps([shown, dashboard["annotations"]])))
    assert used == named
    # Imported by a person, or read from a file: both fill the same name.
    assert {one["name"] for one in dashboard["__inputs"]} <= named
    types = {panel["type"] for panel in shown} - {"row"}
    assert types == {one["id"] for one in dashboard["__requires"] if one["type"] == "panel"}
    for panel in shown:
        ids = [target["refId"] for target in panel.get("targets", [])]
        assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_panel_covers_another(path: Any) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in of(path)["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


@pytest.mark.parametrize(
    ("expr", "wanted"),
    [
        ("sum(a_b)", "sum by (instance) (a_b)"),
        (
            'max by (gpu) (llm_x{y="up"}) / 2',
            'max by (instance, gpu) (llm_x{instance=~"$instance",y="up"}) / 2',
        ),
        (
            "histogram_quantile(0.5, sum by (le) (rate(vllm:x_bucket[WINDOW])))",
            "histogram_quantile(0.5, sum by (instance, le)"
            ' (rate(vllm:x_bucket{instance=~"$instance"}[$__rate_interval])))',
        ),
        ("max by (x) (ALERTS)", 'max by (instance, x) (ALERTS{instance=~"$instance|"})'),
        (
            "sum by (a) (llm_x) / on () group_left () (max(llm_y))",
            'sum by (instance, a) (llm_x{instance=~"$instance"})'
            ' / on (instance) group_left () (max by (instance) (llm_y{instance=~"$instance"}))',
        ),
        ("avg_over_time(up[5m])", 'avg_over_time(up{instance=~"$instance"}[5m])'),
    ],
)
def test_an_expression_is_of_the_chosen_hosts(expr: str, wanted: str) -> None:
    assert grafana_queries.of_hosts(expr) == wanted


def test_the_tests_fill_each_variable_that_is_known() -> None:
    assert filled("$__range:$__interval [$__rate_interval] $instance $within").count("$") == 0
