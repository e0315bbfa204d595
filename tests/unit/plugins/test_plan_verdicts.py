# SPDX-License-Identifier: Apache-2.0
"""Models that were misread once, on four GPUs: the plan beside what others count, and a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.model import shape as model_shape
from ansible_collections.llmops.gce_vllm.plugins.module_utils.sizing import fit

ROOT = Path(__file__).parents[3]
FIXTURES = ROOT / "tests" / "fixtures"
PUBLISHED: dict[str, Any] = json.loads((FIXTURES / "published_configs.json").read_text())
ROWS: list[dict[str, Any]] = yaml.safe_load((FIXTURES / "plan_verdicts.yml").read_text())
NAMES = ("t4", "l4", "h100", "h200")
LENGTH = 32768
GIB = 1 << 30
# GiB beside weights and cache: less was never measured, and more was not either.
LEAST_BESIDE, MOST_BESIDE = 0.5, 6
WORDS = {True: "fits", False: "no", None: "can't tell"}
CASES = [(row, name) for row in ROWS for name in NAMES]


def said(row: dict[str, Any], name: str) -> dict[str, Any]:
    entry = PUBLISHED[row["model"]]
    config = entry["config"]
    if "beside" in entry:
        config = config | {"quantization_config": {"quant_method": "modelopt", **entry["beside"]}}
    gpu = gpus.find(name)
    assert gpu is not None
    given = {"max_model_len": LENGTH}
    return fit.judge(model_shape.parse(config), given, gpu, 1, release="0.32.0")


def weights(row: dict[str, Any]) -> tuple[float, float] | None:
    """GiB at least and at most, without the plan; None where nobody else has counted."""
    if "logged" in row:
        return tuple(row["logged"])
    if "files" in row:
        return row["files"] / GIB * 0.95, row["files"] / GIB
    if "parameters" not in row:
        return None
    config = PUBLISHED[row["model"]]["config"]
    text = config.get("text_config", config)
    tied = text.get("tie_word_embeddings", config.get("tie_word_embeddings", False))
    embedding = text["vocab_size"] * text["hidden_size"] * (1 if tied else 2)
    least = ((row["parameters"] - embedding) * row["bytes"] + embedding * 2) / GIB
    # Scales, and layers that a scheme leaves as they were.
    return least, least * (1 if row["bytes"] == 2 else 1.05)


def counted(row: dict[str, Any], name: str) -> str:
    """`no`, `fits` or `close`, by independent numbers alone; empty where there are none."""
    both, gpu = weights(row), gpus.find(name)
    if both is None or gpu is None:
        return ""
    share = gpu.memory / GIB * 0.92
    held = (row["token"] * LENGTH + row.get("state", 0)) / GIB
    if both[0] + held + LEAST_BESIDE > share:
        return "no"
    return "fits" if both[1] + held + MOST_BESIDE <= share else "close"


@pytest.mark.parametrize(("row", "name"), CASES, ids=[f"{r['model']}-{n}" for r, n in CASES])
def test_no_wrong_answer(row: dict[str, Any], name: str) -> None:
    found, independent = said(row, name), counted(row, name)
    assert WORDS[found["fits"]] == (row["says"][NAMES.index(name)] or "can't tell")
    other = row.get("because", {}).get(name)
    if other:
        assert other in found["reason"]
    elif found["fits"] is False:
        assert independent in {"no", "close"}
    if found["fits"] is True:
        assert independent in {"fits", "close"}


def test_where_states_refuse_they_do_not_fit() -> None:
    row = next(one for one in ROWS if one["model"] == "qwen3.5-27b")
    assert row["state"] * 1024 / GIB > gpus.GPUS["nvidia-h100-80gb"].memory / GIB


def test_the_table_is_in_the_documentation() -> None:
    page = (ROOT / "benchmarks" / "plan" / "README.md").read_text()
    for line in table():
        assert line in page.splitlines(), line


def verdict(row: dict[str, Any]) -> str:
    """Whether the plan contradicts the others anywhere."""
    both = {name: (WORDS[said(row, name)["fits"]], counted(row, name)) for name in NAMES}
    apart = [name for name, one in both.items() if set(one) == {"no", "fits"}]
    beside = [name for name in apart if name in row.get("because", {})]
    if apart != beside:
        return "wrong"
    return "right, by its states" if beside else "right"


def table() -> list[str]:
    """Plan / others, by GPU."""
    lines = []
    for row in ROWS:
        both = weights(row)
        cells = [row["model"], str(row.get("parameters", "")), f"{both[0]:.1f}" if both else ""]
        cells += [f"{said(row, 't4')['weights_bytes'] / GIB:.1f}", str(row["token"])]
        cells.append(str(row.get("state", 0)))
        for name in NAMES:
            words = WORDS[said(row, name)["fits"]]
            cells.append(f"{words} / {counted(row, name) or 'not counted'}")
        cells.append(verdict(row))
        lines.append(f"| {' | '.join(cells)} |")
    return lines
