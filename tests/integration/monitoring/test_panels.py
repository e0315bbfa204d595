# SPDX-License-Identifier: Apache-2.0
"""The page's arithmetic, by the distribution's promtool over series that stand here."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_dashboard import panels, peaks

from tests import debian

ROOT = Path(__file__).parents[3]
WORK, MFU = (
    next(panel for panel in panels.GPU.panels if panel.id == name).queries[0].expr
    for name in ("gpu-work", "gpu-mfu")
)
#: What drivers called their GPUs.
NAMES = {
    found[1]
    for file in (ROOT / "tests/fixtures/nvidia_smi").rglob("*.xml")
    for found in [re.search(r"<product_name>(.*?)</product_name>", file.read_text())]
    if found
}


def case(gpu: str, teraflops: float, work: float | None, share: float | None) -> dict[str, Any]:
    """Two engines on two such GPUs; the second does half as much as the first."""
    series = [
        {
            "series": f'vllm:estimated_flops_per_gpu_total{{engine="{engine}",instance="a"}}',
            "values": f"{done}+{done}x20",
        }
        for engine, done in enumerate((60e12 * teraflops, 30e12 * teraflops))
    ]
    series += [
        {
            "series": f'DCGM_FI_DEV_FB_TOTAL{{gpu="{number}",instance="a",modelName="{gpu}"}}',
            "values": "1000x20",
        }
        for number in range(2)
    ]
    return {
        "interval": "1m",
        "name": gpu,
        "input_series": series,
        "promql_expr_test": [_expected(WORK, 1, work), _expected(MFU, 100, share)],
    }


def _expected(expr: str, times: float, value: float | None) -> dict[str, Any]:
    samples = [
        {"labels": f'{{engine="{engine}"}}', "value": round(part)}
        for engine, part in enumerate((value, value / 2) if value is not None else ())
    ]
    rounded = f"round({times} * ({expr.replace('WINDOW', '5m')}))"
    return {"expr": rounded, "eval_time": "10m", "exp_samples": samples}


def wrong(folder: Path, *cases: dict[str, Any]) -> str:
    """What promtool says of tests that fail, else nothing."""
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump({"evaluation_interval": "1m", "tests": list(cases)}))
    promtool = debian.unpacked("prometheus", "promtool")
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=300, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_the_share_is_of_the_gpus_own_peak(tmp_path: Path) -> None:
    known = [one for name in NAMES for one in peaks.PEAKS if re.fullmatch(one.models, name)]
    assert len(NAMES) == len(known) >= 5
    cases = [
        case(name, peak.teraflops * 0.4, peak.teraflops * 0.4, 40)
        for name, peak in zip(NAMES, known, strict=True)
    ]
    assert wrong(tmp_path, *cases) == ""


def test_nothing_is_told_where_nothing_is_known(tmp_path: Path) -> None:
    unknown = case("NVIDIA A GPU to come", 100, 100, None)
    # vLLM makes no estimate unless it is told to: its counter stays at zero while GPUs work.
    not_estimated = case("NVIDIA H200", 0, None, None)
    assert wrong(tmp_path, unknown, not_estimated) == ""


@pytest.mark.parametrize("share", [41, None])
def test_another_share_would_be_seen(tmp_path: Path, share: float | None) -> None:
    assert "FAILED" in wrong(tmp_path, case("NVIDIA H200", 989 * 0.4, 989 * 0.4, share))
