# SPDX-License-Identifier: Apache-2.0
"""What make audit makes of pip-audit's answers."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_PATH = Path(__file__).parents[2] / "requirements" / "audit_report.py"
_SPEC = importlib.util.spec_from_file_location("audit_report", _PATH)
assert _SPEC is not None and _SPEC.loader is not None
audit_report = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(audit_report)

CLEAN: dict[str, Any] = {"name": "a", "version": "1", "vulns": []}
ILL = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}
SKIPPED = {"name": "c", "skip_reason": "not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "status", "said"),
    [
        ([CLEAN], 0, "1 of 1 packages looked up"),
        ([CLEAN, SKIPPED], 0, "1 of 2 packages looked up, not c"),
        ([CLEAN, ILL, SKIPPED], 1, "b 2 has PYSEC-1, fixed in 2.1"),
        ([SKIPPED, SKIPPED], 2, "none of its packages could be looked up"),
        (None, 2, "none of its packages could be looked up"),
    ],
)
def test_an_audit_says_what_it_knows(packages: Any, status: int, said: str) -> None:
    found = None if packages is None else {"dependencies": packages}
    ended, lines = audit_report.report("x.txt", found)
    assert ended == status and said in "\n".join(lines)
