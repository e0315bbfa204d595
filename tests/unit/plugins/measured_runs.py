# SPDX-License-Identifier: Apache-2.0
"""What vLLM counted on a real H100 (dummy weights), and what the plan says of the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = json.loads((FIXTURES / "model_configs.json").read_text())


def runs(name: str) -> list[dict[str, Any]]:
    """The runs of one file of measurements."""
    lines = (FIXTURES / "vllm_memory" / name).read_text().splitlines()
    return [json.loads(line) for line in lines if '"run"' in line]


def plan(run: dict[str, Any]) -> dict[str, Any]:
    """The plan's answer for a run."""
    shape = model_shape.parse(MODELS[run["model"]]["config"])
    gpu = gpus.GPUS["nvidia-h100-80gb"]
    return fit.judge(shape, run["arguments"], gpu, 1, release="0.25.1")
