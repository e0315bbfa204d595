# SPDX-License-Identifier: Apache-2.0
"""Write down what the plan says of each run of shapes.py, on an H100, before it is measured.

usage: predict.py OUT.jsonl
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import shapes

sys.path.insert(0, str(Path(__file__).parents[2] / "collections"))

from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit

GPU = gpus.GPUS["nvidia-h100-80gb"]


def predicted(number: int) -> dict[str, Any]:
    """The plan's answer to one run, with what can be compared."""
    name, arguments, _ = shapes.RUNS[number]
    found = fit.judge(model_shape.parse(shapes.CONFIGS[name]), arguments, GPU, 1)
    per_gpu = found["per_gpu"] or {}
    return {
        "run": number,
        "model": name,
        "arguments": arguments,
        "fits": found["fits"],
        "max_model_len": found["max_model_len"],
        "kv_tokens": found["kv_tokens"],
        "max_concurrency": found["max_concurrency"],
        "weights_bytes": per_gpu.get("weights_bytes"),
        "kv_cache_bytes": per_gpu.get("kv_cache_bytes"),
        "used_when_serving_bytes": per_gpu.get("used_when_serving_bytes"),
    }


def main() -> None:
    """Entry point."""
    lines = [json.dumps(predicted(number)) for number in range(len(shapes.RUNS))]
    Path(sys.argv[1]).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
