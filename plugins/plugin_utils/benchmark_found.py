# SPDX-License-Identifier: Apache-2.0
"""The newest report that benchmark.yml left on this machine."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: What of each level is shown.
FIGURES = ("runs", "output_throughput", "p50_ttft_ms", "p95_ttft_ms", "p95_itl_ms", "failed")
_TIME = re.compile(r"-\d{8}T\d{6}Z")


def newest(folder: Path, host: str) -> dict[str, Any] | None:
    """`folder`, `date` and `levels` of the newest run on a host; None where there is none.

    Args:
        folder: has a folder for each run, called by host and time.
    """
    runs = sorted(
        path
        for path in folder.glob("*/summary.json")
        if path.parent.name.startswith(host) and _TIME.fullmatch(path.parent.name[len(host) :])
    )
    for path in reversed(runs):
        try:
            summary = json.loads(path.read_text(encoding="utf-8"))
            return {
                "folder": str(path.parent),
                "date": _date(summary),
                "levels": [_level(one) for one in summary["levels"]],
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue  # one that was interrupted; the one before it may be whole
    return None


def _date(summary: Mapping[str, Any]) -> str:
    environments = summary["environments"] or [{}]
    return str(environments[0].get("date") or "")


def _level(one: Mapping[str, Any]) -> dict[str, Any]:
    load = one.get("concurrency") or one.get("rate")
    unit = "at once" if one.get("concurrency") else "a second"
    return {
        "load": f"{load} {unit}",
        "tokens": f"{one.get('input_tokens')} in, {one.get('output_tokens')} out",
        **{name: one.get(name) for name in FIGURES},
    }
