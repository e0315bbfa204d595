# SPDX-License-Identifier: Apache-2.0
"""Modules and utilities import with nothing but Ansible and Python: what is missing, they say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
PROGRAM = """
import importlib, sys
from importlib.abc import MetaPathFinder

MISSING = ("google", "requests", "urllib3", "vllm", "torch", "pygal", "cyclonedx", "packageurl")

class Missing(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in MISSING:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return None

sys.meta_path.insert(0, Missing())
for name in sys.stdin.read().split():
    importlib.import_module(f"ansible_collections.llmops.gce_vllm.plugins.{name}")
    print(name)
"""


def test_no_module_needs_a_library_to_be_imported() -> None:
    names = [
        ".".join(path.relative_to(ROOT / "plugins").with_suffix("").parts)
        for kind in ("modules", "module_utils")
        for path in sorted((ROOT / "plugins" / kind).rglob("*.py"))
        if path.name != "__init__.py"
    ]
    assert len(names) > 100
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input="\n".join(names),
        capture_output=True,
        text=True,
        cwd=ROOT / "collections",
        timeout=300,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == names
