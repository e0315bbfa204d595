# SPDX-License-Identifier: Apache-2.0
"""Writes each role's README.md from its argument specification, and its defaults.

python -m docs.tools.generate_role_docs [--check]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from docs.tools import generated_files
from docs.tools.plugin_docs import text as markdown

ROOT = generated_files.ROOT
ROLES = ROOT / "roles"
NAMESPACE = "llmops.gce_vllm"


def render(role: str, spec: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """One role's README as Markdown.

    Args:
        defaults: asked where the specification has none. A template stands in it for text alone:
            Ansible's documentation tools refuse one where a number, list or dictionary is meant.
    """
    main = spec["argument_specs"]["main"]
    parts = [
        f"# {role}\n",
        f"{main['short_description']}.\n",
        *(f"{markdown(paragraph)}\n" for paragraph in _paragraphs(main.get("description", []))),
        _table(main.get("options", {}), defaults),
        "## Use\n",
        f"```yaml\n- hosts: all\n  roles:\n    - role: {NAMESPACE}.{role}\n```\n",
        "Written by `docs/tools/generate_role_docs.py` from `meta/argument_specs.yml`.\n",
    ]
    return "\n".join(part for part in parts if part)


def _paragraphs(text: str | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _table(options: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    if not options:
        return ""
    rows = [
        "## Variables\n",
        "| name | type | default | meaning |",
        "| --- | --- | --- | --- |",
        *_rows(options, defaults),
    ]
    return "\n".join(rows) + "\n"


def _rows(options: Mapping[str, Any], defaults: Mapping[str, Any], above: str = "") -> list[str]:
    """A line for each option, and for each within it."""
    rows = []
    for name, option in options.items():
        rows.append(_row(above + name, option, defaults.get(name)))
        inner = "[]." if option["type"] == "list" else "."
        rows += _rows(option.get("options", {}), {}, f"{above}{name}{inner}")
    return rows


def _row(name: str, option: Mapping[str, Any], templated: Any) -> str:
    kind = str(option["type"])
    if "elements" in option:
        kind = f"{kind} of {option['elements']}"
    meaning = markdown(" ".join(_paragraphs(option["description"])))
    if "choices" in option:
        meaning += f" One of {', '.join(f'`{choice}`' for choice in option['choices'])}."
    # A secret's default is shown nowhere.
    shown = option.get("default", None if option.get("no_log") else templated)
    default = "required" if option.get("required") else _code(shown)
    return "| " + " | ".join((f"`{name}`", kind, default, meaning.replace("|", "\\|"))) + " |"


def _code(value: Any) -> str:
    """A default as it would be written in YAML."""
    if value == "":
        return "empty"
    if isinstance(value, str):
        text = value
    else:
        text = yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n")
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def _load(path: Path) -> dict[str, Any]:
    return (yaml.safe_load(path.read_text(encoding="utf-8")) or {}) if path.exists() else {}


def written() -> dict[Path, str]:
    """Every role's README by its path."""
    roles = [spec.parent.parent for spec in sorted(ROLES.glob("*/meta/argument_specs.yml"))]
    return {
        (role / "README.md").relative_to(ROOT): render(
            role.name,
            _load(role / "meta" / "argument_specs.yml"),
            _load(role / "defaults" / "main.yml"),
        )
        for role in roles
    }


def main() -> int:
    """Write or check every role's README."""
    return generated_files.main("Writes each role's README.md.", written())


if __name__ == "__main__":
    sys.exit(main())
