# SPDX-License-Identifier: Apache-2.0
"""Count how the project is laid out: folders, functions, templates, documents.

usage: python -m benchmarks.layout

Files are those that git knows, and a link is none. Each row says what it counts, so that it can be
compared with another project, or with an earlier commit.
"""

from __future__ import annotations

import ast
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("plugins", "files", "emulator", "demo", "docs", "benchmarks")
#: Ansible gives these one flat folder each.
FLAT_BY_ANSIBLE = frozenset({"plugins/modules", "plugins/filter"})


def files(*patterns: str, root: Path = ROOT) -> list[Path]:
    """Paths below `root` that git knows by these patterns; neither links nor packages."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-s", "--", *patterns], cwd=root, text=True
    )
    found = []
    for line in listed.splitlines():
        how, _, path = line.partition("\t")
        if not how.startswith("120000") and not path.endswith("/__init__.py"):
            found.append(Path(path))
    return found


def python(*folders: str) -> list[Path]:
    """The Python files of these folders."""
    return files(*(f"{folder}/*.py" for folder in folders))


def lines(path: Path) -> int:
    """How many lines a file has."""
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def functions(path: Path) -> Iterator[tuple[int, str]]:
    """Length in lines and name of each function; docstring and signature count."""
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"`{path}`, `{node.name}`"


def statements() -> str:
    """Lines with a Jinja statement in tasks, defaults, variables and playbooks."""
    found = {
        path: count
        for path in files("roles/*.yml", "playbooks/*.yml")
        if (count := (ROOT / path).read_text(encoding="utf-8").count("{%"))
    }
    return f"{sum(found.values())} in {len(found)} files"


def longest_folder() -> str:
    """The folder with the most Python files beside each other."""
    count = Counter(str(path.parent) for path in python(*CODE))
    folder, most = next(one for one in count.most_common() if one[0] not in FLAT_BY_ANSIBLE)
    return f"{most} (`{folder}`)"


def utilities() -> str:
    """Files and packages of module_utils."""
    found = python("plugins/module_utils")
    return f"{len(found)} files in {len({path.parent for path in found})} packages"


def sizes() -> str:
    """Lines of the files that are installed or emulate."""
    counts = [(lines(path), path) for path in python("plugins", "files", "emulator", "demo")]
    most, path = max(counts)
    return f"median {statistics.median(one[0] for one in counts):.0f}, longest {most} (`{path}`)"


def longest_function() -> str:
    """The longest function of what is installed or emulates."""
    length, where = max(
        one for path in python("plugins", "files", "emulator", "demo") for one in functions(path)
    )
    return f"{length} lines ({where})"


def longest_main() -> str:
    """The longest tasks/main.yml."""
    length, path = max((lines(path), path) for path in files("roles/*/tasks/main.yml"))
    return f"{length} lines (`{path}`)"


def readme() -> str:
    """What a reader sees first, and what follows."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = [path for path in files("docs/*.md") if path.parent == Path("docs")]
    height, widest = len(text.splitlines()), max(map(len, text.splitlines()))
    return f"{height} lines, the longest {widest} characters; {len(pages)} pages in docs"


def fragments() -> str:
    """Entries of the changelog to come."""
    return f"{len(files('changelogs/fragments/*.yml'))}"


def scenarios() -> str:
    """Molecule scenarios, and roles."""
    return f"{len(files('molecule/*/molecule.yml'))}, {len(files('roles/*/meta/main.yml'))} roles"


ROWS: dict[str, Callable[[], str]] = {
    "utilities of modules": utilities,
    "longest flat folder of code, but for modules and filters": longest_folder,
    "lines of a file": sizes,
    "longest function": longest_function,
    "longest `tasks/main.yml`": longest_main,
    "lines with `{%` in roles' and playbooks' YAML": statements,
    "molecule scenarios": scenarios,
    "README": readme,
    "changelog fragments since the last release": fragments,
}


def main() -> None:
    """Entry point."""
    print("| what | now |\n| --- | --- |")
    for what, count in ROWS.items():
        print(f"| {what} | {count()} |")


if __name__ == "__main__":
    main()
