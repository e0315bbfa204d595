# SPDX-License-Identifier: Apache-2.0
"""The alerts ask for series that there are: the server's, vLLM's and the collector's."""

from __future__ import annotations

import re
from pathlib import Path

import prometheus_client
import pytest
import yaml
from gpu_metrics.collector import Collector
from gpu_metrics.readings import READINGS
from gpu_metrics.xids import Xids
from prometheus_client.parser import text_string_to_metric_families

from tests.support.fake_nvml import FakeNvml, h200

ROOT = Path(__file__).parents[3]
RULES = yaml.safe_load((ROOT / "files/prometheus/llm-rules.yml").read_text())
#: What a server with a real vLLM said to GET /metrics.
SERVER = (ROOT / "tests/fixtures/metrics/vllm-0.32.0.txt").read_text()
#: The names that the server gives its own metrics today.
OWN = set(re.findall(r'"(llm_\w+)"', (ROOT / "files/llm_server/telemetry/metrics.py").read_text()))
NAME = re.compile(r"\b((?:llm|vllm:|DCGM_FI_DEV)_?[a-zA-Z0-9_:]*)")


def names_of(text: str) -> set[str]:
    families = text_string_to_metric_families(text)
    return {sample.name for family in families for sample in family.samples} | {
        family.name for family in text_string_to_metric_families(text)
    }


def of_the_collector() -> set[str]:
    nvml = FakeNvml([h200(0)])
    xids = Xids(nvml)
    xids.note("GPU-0", 79)
    registry = prometheus_client.CollectorRegistry()
    registry.register(Collector(nvml, xids))
    found = names_of(prometheus_client.generate_latest(registry).decode())
    # And what other GPUs have.
    return found | {one.name for one in READINGS}


RECORDS = {
    rule["record"] for group in RULES["groups"] for rule in group["rules"] if "record" in rule
}
OBJECTIVES = set(
    re.findall(r"record: (\S+)", (ROOT / "files/prometheus/llm-objectives.yml").read_text())
)
EXPRESSIONS = {
    rule.get("alert", rule.get("record")): rule["expr"]
    for group in RULES["groups"]
    for rule in group["rules"]
}


@pytest.mark.parametrize("rule", EXPRESSIONS)
def test_each_series_exists(rule: str) -> None:
    # Without what stands in quotes, as a job's or a label's value.
    expression = re.sub(r'"[^"]*"', '""', EXPRESSIONS[rule])
    known = names_of(SERVER) | of_the_collector() | RECORDS | OBJECTIVES
    assert set(NAME.findall(expression)) - known == set()


def test_the_server_still_has_its_own_names() -> None:
    recorded = {family.name for family in text_string_to_metric_families(SERVER)}
    assert {name for name in recorded if name.startswith("llm_")} == OWN


def test_no_series_is_missed_by_this_test() -> None:
    found = {name for expression in EXPRESSIONS.values() for name in NAME.findall(expression)}
    assert {"llm_state", "vllm:kv_cache_usage_perc", "DCGM_FI_DEV_GPU_TEMP"} <= found
    assert len(found) > 25
