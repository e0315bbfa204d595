# SPDX-License-Identifier: Apache-2.0
"""Who may import whom: no circle between packages, none upward, and what each must never know."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLLECTION = "ansible_collections.llmops.gce_vllm."
# Each imports only what stands above it. '' is what lies in no package.
FLOORS = {
    "plugins/module_utils": [
        "", "hardware", "model", "vllm", "venv", "weights", "host", "logs", "gce", "gce.network",
        "gce.disk", "gce.instance", "gce.quota", "pricing", "sizing", "reports",
    ],
}  # fmt: skip
# Neither these nor what they import may import that; packages, or files of them.
NEVER = [
    ("hardware", "gce"),
    ("model", "gce"),
    ("vllm", "gce"),
    ("vllm", "sizing"),
    ("sizing", "gce"),
    ("pricing.costs", "gce"),
    # They run on the host's own Python.
    ("weights", "gce"),
    ("venv", "gce"),
    ("host", "gce"),
    ("logs", "gce"),
    ("gce.disk", "gce.instance"),
    ("gce.network", "gce.instance"),
    ("gce", "pricing"),
    ("gce", "reports"),
]
# Libraries that a host has not.
NOT_ON_HOSTS = {"google", "requests", "urllib3", "yaml"}
ON_HOSTS = (
    *("hardware", "model.quantization", "vllm.build_choice"),
    *("weights", "venv", "host", "logs"),
)


@cache
def modules(tree: str) -> dict[str, Path]:
    """Dotted name below a folder -> file; a package by its own name."""
    found = {}
    for path in sorted((ROOT / tree).rglob("*.py")):
        parts = path.relative_to(ROOT / tree).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(path: Path) -> Iterator[str]:
    """Every name that a file imports, from the repository's root on; in functions too."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}".removeprefix(COLLECTION) for alias in node.names)


@cache
def arrows(tree: str) -> dict[str, frozenset[str]]:
    """File -> files of the same tree that it imports."""
    known, prefix = modules(tree), tree.replace("/", ".") + "."
    # The server's package is found by its own name.
    prefixes = (prefix, tree.rpartition("/")[2] + ".")
    found = {}
    for name, path in known.items():
        targets = set()
        for one in imported(path):
            for start in prefixes:
                if one.startswith(start):
                    inner = one.removeprefix(start)
                    targets.add(inner if inner in known else inner.rpartition(".")[0])
        found[name] = frozenset(targets & set(known) - {name, ""})
    return found


def package(tree: str, module: str) -> str:
    """The package that a file lies in."""
    is_package = modules(tree)[module].name == "__init__.py"
    return module if is_package else module.rpartition(".")[0]


def circles(graph: dict[str, frozenset[str]]) -> set[str]:
    """Every node from which a way leads back to it."""
    return {node for node in graph if node in reached(graph, graph[node])}


def reached(graph: dict[str, frozenset[str]], start: frozenset[str] | set[str]) -> set[str]:
    """The nodes of `start`, and all that they lead to."""
    found: set[str] = set()
    todo = set(start)
    while todo:
        node = todo.pop()
        found.add(node)
        todo |= graph.get(node, frozenset()) - found
    return found


def packages(tree: str) -> dict[str, frozenset[str]]:
    """Package -> packages that its files import."""
    found: dict[str, set[str]] = {}
    for module, targets in arrows(tree).items():
        own = found.setdefault(package(tree, module), set())
        own |= {package(tree, target) for target in targets} - {package(tree, module)}
    return {name: frozenset(targets) for name, targets in found.items()}


def test_the_files_are_read() -> None:
    """An empty graph would pass everything below."""
    for tree in TREES:
        assert sum(map(len, arrows(tree).values())) > 50, tree


TREES = ("plugins/module_utils", "emulator", "files/llm_server")


@pytest.mark.parametrize("tree", TREES)
def test_no_file_imports_itself_by_way_of_others(tree: str) -> None:
    assert circles(arrows(tree)) == set()


@pytest.mark.parametrize("tree", TREES)
def test_no_package_imports_itself_by_way_of_others(tree: str) -> None:
    # Who starts the program imports all; nobody imports that file.
    graph = {name: targets - {""} for name, targets in packages(tree).items() if name}
    assert circles(graph) == set()


@pytest.mark.parametrize("tree", FLOORS)
def test_no_package_imports_upward(tree: str) -> None:
    floor = {name: number for number, name in enumerate(FLOORS[tree])}
    assert set(packages(tree)) == set(floor), "say on which floor the package is"
    upward = [
        f"{name} -> {target}"
        for name, targets in packages(tree).items()
        for target in targets
        if floor[target] >= floor[name]
    ]
    assert upward == []


@pytest.mark.parametrize(("who", "what"), NEVER)
def test_what_a_utility_must_not_know(who: str, what: str) -> None:
    graph = arrows("plugins/module_utils")
    start = {name for name in graph if f"{name}.".startswith(f"{who}.")}
    assert start, who
    wrong = {name for name in reached(graph, start) if f"{name}.".startswith(f"{what}.")}
    assert wrong - start == set()


@pytest.mark.parametrize("who", ON_HOSTS)
def test_what_runs_on_hosts_needs_no_library(who: str) -> None:
    tree = "plugins/module_utils"
    graph = arrows(tree)
    for name in reached(graph, {name for name in graph if f"{name}.".startswith(f"{who}.")}):
        top = {one.partition(".")[0] for one in imported(modules(tree)[name])}
        # A plan reads models on the controller; what hosts take of `model` does not.
        assert not top & NOT_ON_HOSTS, name


def test_module_utils_are_below_everything_else() -> None:
    for name, path in modules("plugins/module_utils").items():
        wrong = [
            one
            for one in imported(path)
            if one.startswith("plugins.") and not one.startswith("plugins.module_utils")
        ]
        assert wrong == [], name


def test_the_trees_know_nothing_of_each_other() -> None:
    """The emulator must not share the modules' mistakes, nor may what is installed need it."""
    own = {"plugins": {"emulator", "demo", "llm_server"}, "emulator": {"plugins", "llm_server"}}
    own["files/llm_server"] = {"plugins", "emulator", "demo"}
    for tree, others in own.items():
        for name, path in modules(tree).items():
            top = {one.partition(".")[0] for one in imported(path)}
            assert not top & others, f"{tree}: {name}"


def test_packages_of_utilities_have_no_code() -> None:
    """Each module would pay for it, and it makes circles."""
    for path in (ROOT / "plugins/module_utils").rglob("__init__.py"):
        assert path.read_text(encoding="utf-8") == "", path
