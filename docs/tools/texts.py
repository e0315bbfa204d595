# SPDX-License-Identifier: Apache-2.0
"""What users read outside of pages: plugins' documentation, roles' specs, names and messages.

Nothing is run or imported: Python is read as a syntax tree, YAML as data.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

#: Keys of documentation and argument specs whose values are prose.
PROSE = {"short_description", "description", "notes"}
#: Keys of tasks whose values a run prints.
MESSAGES = {"fail_msg", "msg", "message"}
#: Keys below which plays and blocks have tasks.
TASKS = {"tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"}
#: Names of calls, besides errors, whose texts reach a user.
CALLS = {"fail_json", "warn"}
#: Python that reaches a user: the collection, and the programs that it installs on hosts.
PROGRAMS = ("plugins", "files", "demo", "emulator")

_JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}", re.DOTALL)
#: Ansible's markup of a name, as `O(name)`, and of a link, as `L(text, address)`.
_MARKUP = re.compile(r"\b(?:[ICOVEMPUB]|RV)\(([^)]*)\)|\b[LR]\(([^,)]*),[^)]*\)")
_SENTENCE = re.compile(r"(?<=[.!?:;])\s+|\n\s*\n|\n(?=[-*] )")


class _Loader(yaml.SafeLoader):
    """Reads `!unsafe` and `!vault` as plain text."""


_Loader.add_multi_constructor("!", lambda loader, _tag, node: loader.construct_scalar(node))


def sentences(text: str) -> list[str]:
    """Its sentences; a name in markup, and what a run fills in, is one word."""
    plain = _MARKUP.sub(lambda found: (found[1] or found[2]).replace(" ", "_"), text)
    return [one.strip() for one in _SENTENCE.split(_JINJA.sub("X", plain)) if one.strip()]


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Each text with the path of its file below `root`."""
    for kind in ("action", "callback", "filter", "lookup", "modules"):
        yield from _of(root, f"plugins/{kind}/*.py", documentation)
    yield from _of(root, "plugins/doc_fragments/*.py", documentation)
    yield from _of(root, "roles/*/meta/argument_specs.yml", lambda path: _below(_load(path), PROSE))
    for pattern in ("roles/*/tasks/**/*.yml", "roles/*/handlers/*.yml", "playbooks/**/*.yml"):
        yield from _of(root, pattern, tasks)
    for folder in PROGRAMS:
        yield from _of(root, f"{folder}/**/*.py", messages)


def documentation(path: Path) -> Iterator[str]:
    """Prose of DOCUMENTATION and RETURN, also of those in the classes of a fragment."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Constant):
            continue
        names = {one.id for one in node.targets if isinstance(one, ast.Name)}
        if names & {"DOCUMENTATION", "RETURN"}:
            yield from _below(yaml.safe_load(str(node.value.value)), PROSE)


def tasks(path: Path) -> Iterator[str]:
    """Names of plays and tasks, and what tasks print or fail with."""
    loaded = _load(path)
    yield from _below(loaded, {"name"}, TASKS)
    yield from _below(loaded, MESSAGES)


def messages(path: Path) -> Iterator[str]:
    """Texts of errors and warnings; what is filled in is `X`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if name.endswith("Error") or name in CALLS:
            named = [one.value for one in node.keywords if one.arg in {"msg", "remedy"}]
            for text in map(_text, [*node.args, *named]):
                if " " in text:
                    yield text


def _of(root: Path, pattern: str, read: Any) -> Iterator[tuple[str, str]]:
    for path in sorted(root.glob(pattern)):
        if path.is_file() and not path.is_symlink():
            for text in read(path):
                yield str(path.relative_to(root)), text


def _load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - it is a safe one


def _below(found: Any, keys: set[str], into: Iterable[str] | None = None) -> Iterator[str]:
    """Texts at keys of these names, at any depth, or only below the keys `into`."""
    if isinstance(found, list):
        for one in found:
            yield from _below(one, keys, into)
    if not isinstance(found, dict):
        return
    for key, value in found.items():
        listed = value if isinstance(value, list) else [value]
        if key in keys and all(isinstance(one, str) for one in listed):
            yield from listed
        elif into is None or key in into:
            yield from _below(value, keys, into)


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = (str(one.value) if isinstance(one, ast.Constant) else "X" for one in node.values)
        return "".join(parts)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return ""
