# SPDX-License-Identifier: Apache-2.0
"""Reads vLLM's sources without importing them: from a wheel, or from where it is installed."""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_server.settings import normalise
from llm_server.vllm_api import names as vllm_names
from llm_server.vllm_api.names import Name, Takes

_Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Sources:
    """The texts of one vLLM, by their paths inside of a wheel."""

    texts: dict[str, str]
    _trees: dict[str, ast.Module] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Path) -> Sources:
        """Those of a wheel, or below a folder of installed packages."""
        if place.is_dir():
            files = (place / "vllm").rglob("*.py")
            return cls({str(one.relative_to(place)): one.read_text("utf-8") for one in files})
        with zipfile.ZipFile(place) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".py")]
            return cls({name: wheel.read(name).decode() for name in names})

    def takes(self, name: Name) -> Takes | None:
        """What a name takes; nothing where it is no function. None where it is not there."""
        for home in name.homes:
            node = self._find(home, name.path.split("."), made_in=name.made_in)
            if isinstance(node, _Function):
                return _takes(node, method="." in name.path)
            if node is not None:
                return Takes()
        return None

    def options(self) -> set[str]:
        """The options of `vllm serve`, as its sources spell them."""
        found = set()
        homes = ("vllm.engine.arg_utils", *vllm_names.homes()["make_arg_parser"])
        for node in (one for home in homes for one in ast.walk(self._tree(home) or ast.Module())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
                words = [str(one.value) for one in node.args if isinstance(one, ast.Constant)]
                found |= {normalise(word) for word in words if word.startswith("--")}
            if isinstance(node, ast.ClassDef) and node.name.endswith("FrontendArgs"):
                fields = (one for one in node.body if isinstance(one, ast.AnnAssign))
                found |= {ast.unparse(one.target) for one in fields}
        return found

    def routes(self) -> set[str]:
        """The paths that vLLM's routers name."""
        below = (text for path, text in self.texts.items() if "/entrypoints/" in path)
        asked = r"router\.(?:get|post|put|patch|delete|head|websocket|api_route)\(\s*\"(/[^\"]*)"
        return {path for text in below for path in re.findall(asked, text)}

    def _tree(self, module: str) -> ast.Module | None:
        path = module.replace(".", "/")
        for name in (f"{path}.py", f"{path}/__init__.py"):
            if name in self.texts:
                if name not in self._trees:
                    self._trees[name] = ast.parse(self.texts[name])
                return self._trees[name]
        return None

    def _find(self, module: str, path: list[str], *, made_in: bool = False) -> ast.AST | None:
        tree = self._tree(module)
        node = None if tree is None else _bound(tree.body).get(path[0])
        if isinstance(node, ast.ImportFrom):
            name = next(one.name for one in node.names if (one.asname or one.name) == path[0])
            return self._find(self._absolute(module, node), [name, *path[1:]], made_in=made_in)
        if len(path) == 1:
            return node
        if isinstance(node, ast.ClassDef):
            return self._member(module, node, path[1], made_in=made_in)
        return None

    def _member(self, module: str, node: ast.ClassDef, name: str, *, made_in: bool) -> Any:
        found: ast.AST | None = _bound(node.body).get(name)
        if found is None and made_in:
            found = next((one for one in _made(node) if one.attr == name), None)
        for base in node.bases if found is None else ():
            # Of one that is given types, as `Base[T]`, the name.
            base_name = re.match(r"\w+", ast.unparse(base))
            if base_name:
                found = found or self._find(module, [base_name[0], name], made_in=made_in)
        return found

    def _absolute(self, module: str, node: ast.ImportFrom) -> str:
        if not node.level:
            return str(node.module)
        package = module.split(".")
        if f"{'/'.join(package)}/__init__.py" not in self.texts:
            package.pop()
        kept = package[: len(package) - node.level + 1]
        return ".".join([*kept, *([node.module] if node.module else [])])


def _bound(body: Iterable[ast.stmt]) -> dict[str, ast.stmt]:
    """What names mean after some statements, those in `if` and `try` among them."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        if isinstance(node, (*_Function.__args__, ast.ClassDef)):
            found[node.name] = node
        elif isinstance(node, ast.ImportFrom):
            found |= {one.asname or one.name: node for one in node.names}
        elif isinstance(node, ast.Assign):
            found |= {one.id: node for one in node.targets if isinstance(one, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found[node.target.id] = node
        elif isinstance(node, (ast.If, ast.Try)):
            for block in (node.body, node.orelse, getattr(node, "finalbody", [])):
                found |= _bound(block)
    return found


def _made(node: ast.ClassDef) -> Iterator[ast.Attribute]:
    for one in ast.walk(node):
        if isinstance(one, ast.Attribute) and isinstance(one.ctx, ast.Store):
            yield one


def _takes(node: _Function, *, method: bool) -> Takes:
    static = any(getattr(one, "id", "") == "staticmethod" for one in node.decorator_list)
    given = node.args
    places = [one.arg for one in (*given.posonlyargs, *given.args)]
    filled = set(places[len(places) - len(given.defaults) :])
    if method and not static:
        places = places[1:]
    named = zip(given.kwonlyargs, given.kw_defaults, strict=True)
    filled |= {one.arg for one, value in named if value is not None}
    names = [*places, *(one.arg for one in given.kwonlyargs)]
    return Takes(
        tuple(one for one in names if one not in filled),
        tuple(one for one in names if one in filled),
        given.vararg is not None,
        given.kwarg is not None,
    )


def differences(takes: dict[str, Takes | None]) -> list[tuple[Name, str]]:
    """What of the table is another one in a vLLM, by what each of its names takes there."""
    found = []
    for name in vllm_names.NAMES:
        there = takes[key(name)]
        what = "is not there" if there is None else vllm_names.difference(name, there)
        if what:
            found.append((name, what))
    return found


def key(name: Name) -> str:
    """By what a name is told from one of the same spelling in another module."""
    return f"{name.homes[-1]}.{name.path}"
