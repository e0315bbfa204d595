# SPDX-License-Identifier: Apache-2.0
"""No scenario is forgotten: `tests/run` names them all, and which of them are in `make test`."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SCENARIOS = {file.parent.name for file in ROOT.glob("molecule/*/molecule.yml")}


def test_each_scenario_is_run_by_a_step() -> None:
    text = (ROOT / "tests" / "run").read_text()
    named = re.findall(r"scenarios\+?='([^']+)'", text)
    assert len(named) == 2
    assert sorted([*" ".join(named).split(), "upgrade"]) == sorted(SCENARIOS)
    assert "molecule test -s upgrade" in text
