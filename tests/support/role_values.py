# SPDX-License-Identifier: Apache-2.0
"""What a role's defaults, variables and templates come to, as Ansible itself renders them.

In a process of its own: Ansible's loader of collections would import ours in place of Python's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
#: Of the process that renders: settings of which each is a case of its own.
ROWS = "__rows"


def values(role: str, expressions: Iterable[str], **settings: Any) -> list[Any]:
    """What expressions come to in a role.

    Args:
        settings: beside the role's own, templates too; what a host or an earlier task tells is
            among them.
    """
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        input=json.dumps([role, list(expressions), settings]),
        cwd=ROOT,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout)
    return found


def each(role: str, expression: str, rows: Iterable[Mapping[str, Any]]) -> list[Any]:
    """What one expression comes to with each row of settings; one process for all."""
    return values(role, [expression], **{ROWS: [dict(row) for row in rows]})


def file(template: str) -> str:
    """The expression for the text that the module template would write."""
    return f"lookup('ansible.builtin.template', '{template}')"


def files(role: str, templates: Iterable[str], **settings: Any) -> list[str]:
    """The texts that the module template would write."""
    return [str(text) for text in values(role, map(file, templates), **settings)]


def tasks(role: str, *names: str) -> list[dict[str, Any]]:
    """The tasks of a role, or of some of its files, those in blocks too."""
    folder = ROOT / "roles" / role / "tasks"
    paths = [folder / name for name in names] or sorted(folder.glob("*.yml"))
    return [one for path in paths for one in _flat(yaml.safe_load(path.read_text()) or [])]


def _flat(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for one in entries:
        yield one
        for part in ("block", "rescue", "always"):
            yield from _flat(one.get(part, []))


def directives(unit: str) -> dict[str, list[str]]:
    """Directives of a systemd unit; one that is there several times has all its values."""
    found: dict[str, list[str]] = {}
    for line in unit.splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


def _trusted(value: Any, trust: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _trusted(one, trust) for key, one in value.items()}
    if isinstance(value, list):
        return [_trusted(one, trust) for one in value]
    return trust(value) if isinstance(value, str) else value


def main() -> None:
    """The process that renders."""
    from ansible.parsing.dataloader import DataLoader
    from ansible.plugins.loader import init_plugin_loader
    from ansible.template import Templar, trust_as_template

    init_plugin_loader()
    role, expressions, settings = json.load(sys.stdin)
    folder, loader = ROOT / "roles" / role, DataLoader()
    known: dict[str, Any] = {"ansible_managed": "a test", "inventory_hostname": "one"}
    for part in ("defaults", "vars"):
        path = folder / part / "main.yml"
        if path.exists():
            known |= loader.load_from_file(str(path), trusted_as_template=True) or {}
    known |= {"role_path": str(folder), "ansible_search_path": [str(folder)]}
    found = []
    for row in settings.pop(ROWS, [{}]):
        given = _trusted(settings | row, trust_as_template)
        templar = Templar(loader=loader, variables=known | given)
        found += [templar.template(trust_as_template(f"{{{{ {one} }}}}")) for one in expressions]
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
