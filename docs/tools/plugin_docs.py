# SPDX-License-Identifier: Apache-2.0
"""Modules and plugins by their own documentation, read without running them."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

#: Kinds that a user calls by name. Filters serve roles, action plugins the module of their name.
KINDS = ("modules", "lookup", "callback")
#: Ansible's markup that says "this is code": options, values, environment, return values, code.
CODE = re.compile(r"\b(?:O|V|E|RV|C)\(((?:[^()]|\([^()]*\))*)\)")
PLUGIN = re.compile(r"\b(?:M|P)\(([^()#]+)(?:#\w+)?\)")
LINK = re.compile(r"\bL\(([^(),]+),\s*([^()]+)\)")
URL = re.compile(r"\bU\(([^()]+)\)")
STRONG = re.compile(r"\bB\(([^()]+)\)")
EMPHASIS = re.compile(r"\bI\(([^()]+)\)")


@dataclass(frozen=True)
class Plugin:
    """One module or plugin, as its file documents it."""

    kind: str
    name: str
    documentation: dict[str, Any]
    examples: str
    returned: dict[str, Any]

    @property
    def page(self) -> str:
        """Its page in the reference."""
        return f"{self.kind}/{self.name}.md"


def text(said: str) -> str:
    """Ansible's markup as Markdown."""
    said = " ".join(said.split())
    said = CODE.sub(lambda found: f"`{found[1]}`", said)
    said = PLUGIN.sub(r"`\1`", said)
    said = LINK.sub(r"[\1](\2)", said)
    said = URL.sub(r"<\1>", said)
    return EMPHASIS.sub(r"*\1*", STRONG.sub(r"**\1**", said))


def read_plugins(folder: Path) -> list[Plugin]:
    """All that the folder `plugins` documents, by kind and name."""
    fragments = _fragments(folder / "doc_fragments")
    found = []
    for kind in KINDS:
        for path in sorted((folder / kind).glob("*.py")):
            texts = _constants(ast.parse(path.read_text(encoding="utf-8")).body)
            if "DOCUMENTATION" not in texts:
                continue
            document = yaml.safe_load(texts["DOCUMENTATION"])
            for name in document.get("extends_documentation_fragment", []):
                document = _extended(document, fragments.get(name, {}))
            returned = yaml.safe_load(texts.get("RETURN", "")) or {}
            examples = texts.get("EXAMPLES", "")
            found.append(Plugin(kind, path.stem, document, examples, returned))
    return found


def _extended(document: dict[str, Any], fragment: dict[str, Any]) -> dict[str, Any]:
    """A document with what a fragment adds; its own word wins."""
    merged = dict(document)
    for key in ("options", "attributes"):
        merged[key] = {**document.get(key, {}), **fragment.get(key, {}), **document.get(key, {})}
    for key in ("requirements", "notes"):
        merged[key] = [*document.get(key, []), *fragment.get(key, [])]
    return merged


def _fragments(folder: Path) -> dict[str, dict[str, Any]]:
    """Fragments of documentation by the name that a document extends."""
    found = {}
    for path in folder.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name == "ModuleDocFragment":
                for name, said in _constants(node.body).items():
                    part = "" if name == "DOCUMENTATION" else f".{name.lower()}"
                    found[f"llmops.gce_vllm.{path.stem}{part}"] = yaml.safe_load(said)
    return found


def _constants(body: list[ast.stmt]) -> dict[str, str]:
    """Names that are assigned a text."""
    return {
        target.id: node.value.value
        for node in body
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
