# SPDX-License-Identifier: Apache-2.0
"""The distribution's promtool reads each expression that a Grafana would ask."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

from tests import debian
from tests.support.grafana import expressions

ROOT = Path(__file__).parents[3]


def test_each_expression_is_one(tmp_path: Path) -> None:
    rules = [
        {"record": "a:test", "expr": expr, "labels": {"of": f"{file.stem}: {name}"}}
        for file in sorted((ROOT / "files/grafana").glob("*.json"))
        for name, expr in expressions(json.loads(file.read_text()))
    ]
    assert len(rules) > 60
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "grafana", "rules": rules}]}))
    promtool = debian.unpacked("prometheus", "promtool")
    done = subprocess.run(
        [promtool, "check", "rules", path], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
