# SPDX-License-Identifier: Apache-2.0
"""Which settings of the roles are secret."""

from __future__ import annotations

from pathlib import Path

import yaml


def secret_options(roles_dir: Path) -> set[str]:
    """Variables that the roles' specs say are secret."""
    names = set()
    for path in roles_dir.glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
        names |= {n for n, one in (options.get("options") or {}).items() if one.get("no_log")}
    return names
