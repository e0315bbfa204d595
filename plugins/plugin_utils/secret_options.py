# SPDX-License-Identifier: Apache-2.0
"""Which settings of the roles are secret, and what their values are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Specs = dict[str, dict[str, Any]]
#: Shorter ones would black out whatever else is spelled like them.
SHORTEST = 4


def secret_options(roles_dir: Path) -> Specs:
    """Variables that the roles' specs say are secret, with their specs."""
    found: Specs = {}
    for path in roles_dir.glob("*/meta/argument_specs.yml"):
        options = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
        found |= {n: one for n, one in (options.get("options") or {}).items() if one.get("no_log")}
    return found


def secret_values(roles_dir: Path, hostvars: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """What these variables, and the API key, are set to on any host."""
    specs = {"llm_api_key": {}, **secret_options(roles_dir)}
    return {
        text
        for host in hostvars
        for name in specs.keys() & set(hostvars[host])
        for text in _texts(hostvars[host][name], specs[name].get("options") or {})
        if len(text) >= SHORTEST
    }


def _texts(value: Any, options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Of a dictionary whose fields are known only those that are secret: names of keys are not."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if not options or (options.get(name) or {}).get("no_log"):
                yield from _texts(one, {})
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one, options)
    elif value is not None and not isinstance(value, bool):
        yield str(value)
