# SPDX-License-Identifier: Apache-2.0
"""Writes docs/reference: a page for each module and plugin, one for the roles, one for playbooks.

    python -m docs.tools.generate_reference [--check]

What modules take and return is read from their own documentation, roles from their argument specs,
and playbooks' own variables from shared_variables.yml beside this.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

from docs.tools import generated_files
from docs.tools.plugin_docs import Plugin, read_plugins, text

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path("docs") / "reference"
NAMESPACE = "llmops.gce_vllm"
HEAD = "<!-- Written by docs/tools/generate_reference.py: do not edit -->\n"


def plugin_page(plugin: Plugin) -> str:
    """What one module or plugin takes and returns."""
    document = plugin.documentation
    parts = [
        f"{HEAD}# {NAMESPACE}.{plugin.name}\n",
        f"{text(document['short_description'])}.\n",
        *(f"{text(one)}\n" for one in _listed(document.get("description"))),
        _options(document.get("options", {})),
        _support(document.get("attributes", {})),
        _needs(document.get("requirements", [])),
        _notes(document.get("notes", [])),
        f"## Examples\n\n```yaml\n{plugin.examples.strip()}\n```\n" if plugin.examples else "",
        _returned(plugin.returned),
    ]
    return "\n".join(part for part in parts if part)


def _listed(value: Any) -> list[str]:
    """Paragraphs, of which one may stand without a list."""
    return [] if value is None else [value] if isinstance(value, str) else [str(v) for v in value]


def _options(options: dict[str, Any]) -> str:
    if not options:
        return ""
    rows = [
        "## Options\n",
        "| name | type | default | meaning |",
        "| --- | --- | --- | --- |",
        *_option_rows(options),
    ]
    return "\n".join(rows) + "\n"


def _option_rows(options: dict[str, Any], above: str = "") -> list[str]:
    rows = []
    for name, option in options.items():
        kind = str(option.get("type", "str"))
        if "elements" in option:
            kind = f"{kind} of {option['elements']}"
        meaning = " ".join(text(one) for one in _listed(option["description"]))
        if "choices" in option:
            meaning += f" One of {', '.join(f'`{_plain(one)}`' for one in option['choices'])}."
        if "aliases" in option:
            meaning += f" Also called {', '.join(f'`{one}`' for one in option['aliases'])}."
        default = "required" if option.get("required") else _default(option)
        rows.append(_row(f"`{above}{name}`", kind, default, meaning))
        inner = "[]." if kind.startswith("list") else "."
        rows += _option_rows(option.get("suboptions", {}), f"{above}{name}{inner}")
    return rows


def _default(option: dict[str, Any]) -> str:
    if option.get("default") is None:
        return ""
    return f"`{_plain(option['default'])}`" if option["default"] != "" else "empty"


def _plain(value: Any) -> str:
    """A value as YAML writes it in a line."""
    if isinstance(value, str):
        return value
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("...\n").strip()
    )


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def _support(attributes: dict[str, Any]) -> str:
    said = [
        f"- {name.replace('_', ' ')}: {one['support']}."
        f" {' '.join(text(line) for line in _listed(one['description']))}"
        for name, one in attributes.items()
    ]
    return "## Check and diff mode\n\n" + "\n".join(said) + "\n" if said else ""


def _needs(requirements: list[str]) -> str:
    return f"Needs, where it runs: {', '.join(requirements)}.\n" if requirements else ""


def _notes(notes: list[str]) -> str:
    return "## Notes\n\n" + "\n".join(f"- {text(note)}" for note in notes) + "\n" if notes else ""


def _returned(values: dict[str, Any]) -> str:
    if not values:
        return ""
    rows = ["## Returned\n", "| name | type | when | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join(rows + _returned_rows(values)) + "\n"


def _returned_rows(values: dict[str, Any], above: str = "") -> list[str]:
    rows = []
    for name, value in values.items():
        kind = str(value.get("type", ""))
        if "elements" in value:
            kind = f"{kind} of {value['elements']}"
        meaning = " ".join(text(one) for one in _listed(value["description"]))
        rows.append(_row(f"`{above}{name}`", kind, text(str(value.get("returned", ""))), meaning))
        inner = "[]." if kind.startswith("list") else "."
        rows += _returned_rows(value.get("contains") or {}, f"{above}{name}{inner}")
    return rows


def playbooks_page(root: Path) -> str:
    """Each playbook, and the variables that belong to no role."""
    settings = yaml.safe_load(
        (root / "docs/tools/shared_variables.yml").read_text(encoding="utf-8")
    )
    parts = [
        f"{HEAD}# Playbooks\n",
        "In a clone a playbook is `playbooks/NAME.yml`, with the collection installed"
        f" `{NAMESPACE}.NAME`.",
        "Variables of the roles are in [the roles' pages](README.md#roles).\n",
        "## What several playbooks share\n",
        _settings_table(settings["shared"]),
    ]
    for name, one in settings["playbooks"].items():
        parts += [f"## {name}\n", f"{one['does'].strip()}\n"]
        parts += [_settings_table(one["settings"])] if one.get("settings") else []
    return "\n".join(parts)


def _settings_table(settings: dict[str, Any]) -> str:
    rows = ["| variable | default | meaning |", "| --- | --- | --- |"]
    for name, one in settings.items():
        default = f"`{_plain(one['default'])}`" if one.get("default") not in (None, "") else ""
        rows.append(_row(f"`{name}`", default, one["meaning"]))
    return "\n".join(rows) + "\n"


def index(root: Path, plugins: list[Plugin]) -> str:
    """The list of all pages."""
    modules = [one for one in plugins if one.kind == "modules"]
    others = [one for one in plugins if one.kind != "modules"]
    roles = sorted(path.parent.parent for path in root.glob("roles/*/meta/argument_specs.yml"))
    return "\n".join(
        [
            f"{HEAD}# Reference\n",
            "Written from the code, so it says what this version takes and returns.",
            f"`ansible-doc {NAMESPACE}.NAME` shows the same in a terminal,",
            f"`ansible-doc -t role {NAMESPACE}.NAME` a role.\n",
            "- [Playbooks and their variables](playbooks.md)\n",
            "## Roles\n",
            "| role | what it does |",
            "| --- | --- |",
            *(
                _row(f"[{role.name}](../../roles/{role.name}/README.md)", _role_says(role))
                for role in roles
            ),
            "\n## Modules\n",
            "| module | what it does |",
            "| --- | --- |",
            *(_plugin_row(one) for one in modules),
            "\n## Other plugins\n",
            "| plugin | kind | what it does |",
            "| --- | --- | --- |",
            *(_plugin_row(one, one.kind) for one in others),
            "",
        ]
    )


def _role_says(role: Path) -> str:
    spec = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))
    return str(spec["argument_specs"]["main"]["short_description"])


def _plugin_row(plugin: Plugin, *kind: str) -> str:
    return _row(
        f"[{plugin.name}]({plugin.page})", *kind, text(plugin.documentation["short_description"])
    )


def written(root: Path) -> dict[Path, str]:
    """Every page of the reference by its path."""
    plugins = read_plugins(root / "plugins")
    pages = {Path(plugin.page): plugin_page(plugin) for plugin in plugins}
    pages[Path("playbooks.md")] = playbooks_page(root)
    pages[Path("README.md")] = index(root, plugins)
    return {TARGET / path: re.sub(r"\n{3,}", "\n\n", page) for path, page in pages.items()}


def main() -> int:
    """Write or check every page."""
    owned = (path.relative_to(ROOT) for path in (ROOT / TARGET).rglob("*.md"))
    return generated_files.main("Writes docs/reference.", written(ROOT), owned)


if __name__ == "__main__":
    sys.exit(main())
