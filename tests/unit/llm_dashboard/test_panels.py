# SPDX-License-Identifier: Apache-2.0
"""The page asks for series that there are: the server's, vLLM's and the collector's."""

from __future__ import annotations

import re

import pytest
from llm_dashboard.panels import SECTIONS, expressions
from llm_dashboard.units import UNITS

from tests.unit.monitoring.test_metric_names import (
    NAME,
    OBJECTIVES,
    SERVER,
    names_of,
    of_the_collector,
)

EXPRESSIONS = expressions()
#: Of every scrape, and of the host's own programs; molecule/monitoring asks the real ones for them.
OTHERS = {"up", "ALERTS", "process_start_time_seconds"}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_each_series_exists(name: str) -> None:
    expression = re.sub(r'"[^"]*"', '""', EXPRESSIONS[name])
    known = names_of(SERVER) | of_the_collector() | OBJECTIVES
    asked = set(NAME.findall(expression))
    assert asked - known == set()
    assert asked or "node_" in expression or OTHERS & set(re.findall(r"\w+", expression))


def test_panels_are_told_apart_and_have_a_unit() -> None:
    panels = [panel for section in SECTIONS for panel in section.panels]
    assert len({panel.id for panel in panels}) == len(panels) > 20
    assert {panel.unit for panel in panels} <= set(UNITS)
    # A panel has lines, or a histogram of which a share is shown.
    assert all(bool(panel.queries) != bool(panel.buckets) for panel in panels)


def test_a_line_is_named_by_labels_that_its_expression_keeps() -> None:
    for section in SECTIONS:
        for panel in section.panels:
            for query in panel.queries:
                labels = set(re.findall(r"{(\w+)}", query.name))
                kept = re.findall(r"by \(([^)]*)\)", query.expr)
                assert all(labels <= set(re.split(r",\s*", one)) for one in kept), query
                assert bool(labels) <= bool(kept), query
