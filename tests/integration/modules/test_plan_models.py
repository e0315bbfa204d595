# SPDX-License-Identifier: Apache-2.0
"""Published configurations, counted by the plan and by transformers and vLLM themselves."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import size as weights_size
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import kv_cache

from tests.support.programs import output_of

pytestmark = pytest.mark.vllm
FIXTURES = Path(__file__).parents[2] / "fixtures"
CONFIGS: dict[str, dict[str, Any]] = {
    name: entry["config"]
    for file in ("model_configs.json", "published_configs.json")
    for name, entry in json.loads((FIXTURES / file).read_text()).items()
}
# Neither transformers nor vLLM makes these from what is kept of their config.json.
NOT_MADE = {"mimo-7b-base", "minimax-m3", "phi-4-multimodal-instruct"}
COUNTED = [name for name in CONFIGS if name not in NOT_MADE]
VERDICTS = [
    row
    for row in yaml.safe_load((FIXTURES / "plan_verdicts.yml").read_text())
    if row["model"] in COUNTED
]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What transformers and vLLM count; both are imported once for all."""
    asked = tmp_path_factory.mktemp("models") / "configs.json"
    asked.write_text(json.dumps({name: CONFIGS[name] for name in COUNTED}))
    python = os.environ["GCE_VLLM_TEST_PYTHON"]
    said = output_of(python, "model_counts.py", str(asked), timeout=600)
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


@pytest.mark.parametrize("row", VERDICTS, ids=lambda row: row["model"])
def test_what_the_verdicts_rest_on(counts: dict[str, Any], row: dict[str, Any]) -> None:
    """The plan's verdicts on four GPUs are compared with these in the unit tests."""
    assert counts[row["model"]]["parameters"] == row["parameters"]
    assert counts[row["model"]]["cache"]["sequence"] == row.get("state", 0)


def test_there_are_many() -> None:
    assert len(COUNTED) >= 40


@pytest.mark.parametrize("name", COUNTED)
def test_the_plan_counts_what_they_count(counts: dict[str, Any], name: str) -> None:
    shape, found = model_shape.parse(CONFIGS[name]), counts[name]
    assert weights_size.count(shape).total == pytest.approx(found["parameters"], rel=0.005)
    if shape.encoder:  # It caches nothing, though vLLM has a size for what it would.
        return
    assert found["cache"] == {
        "token": kv_cache.bytes_per_token(shape, 2),
        "sequence": kv_cache.state_bytes(shape, 2),
    }
