# SPDX-License-Identifier: Apache-2.0
"""What the documentation may name: `make` targets, playbooks, files, settings, modules, roles."""

from __future__ import annotations

import re
import subprocess
from functools import cached_property
from pathlib import Path

from docs.tools.page import Page

COLLECTION = "llmops.gce_vllm."
MAKE = re.compile(r"\bmake ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)")
PLAYBOOK = re.compile(r"(?<![\w/.-])(?:playbooks/)?([a-z_]+\.yml)\b")
STEP = re.compile(r"tests/run ([a-z]+)")
#: A path of this repository: begins with a folder of it, and has no place holder in it.
PATH = re.compile(
    r"(?<![\w/.~<-])((?:benchmarks|demo|docs|emulator|files|inventories|molecule|playbooks|plugins"
    r"|requirements|roles|tests|changelogs)/[\w./*-]*)"
)
SETTING = re.compile(
    r"(?<![\w./-])((?:gce_instance|gce_network|gce|llm_server|llm_model|llm_benchmark|llm_probe|llm"
    r"|vllm_venv|gpu_host|data_disk|preflight|checklist|timer|plan|cost|status|drift|benchmark"
    r"|monitoring|gateway|logs|usage|report|advise|rollback|destroy|metrics)_[a-z0-9_]+)\b"
)
#: Google's roles, which look like paths, and what a reader has to replace.
NO_PATH = re.compile(r"^roles/[a-z]+\.|(?<!README)(?<!CHANGELOG)[A-Z]{4,}(?!\.md)")
#: A file that a reader has elsewhere.
OTHERS_FILES = {"prometheus.yml", "play.yml"}
#: The code in which a setting, a metric or a module has to stand.
CODE = ("roles", "playbooks", "inventories", "plugins", "files", "meta", "demo")


class Names:
    """What the repository has."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def targets(self) -> set[str]:
        """Targets of the Makefile."""
        text = (self.root / "Makefile").read_text(encoding="utf-8")
        return set(re.findall(r"^([a-z][a-z-]*):", text, re.MULTILINE))

    @cached_property
    def steps(self) -> set[str]:
        """Steps of tests/run."""
        text = (self.root / "tests" / "run").read_text(encoding="utf-8")
        return set(re.findall(r"^    ([a-z]+)\) ", text, re.MULTILINE)) | {"lint", "unit"}

    @cached_property
    def playbooks(self) -> set[str]:
        """File names of the playbooks."""
        return {path.name for path in (self.root / "playbooks").glob("*.yml")}

    @cached_property
    def files(self) -> list[str]:
        """Every file in Git or new, by its path."""
        done = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
            cwd=self.root,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.split("\n")

    @cached_property
    def yaml_names(self) -> set[str]:
        """File names of every YAML file, as pages name some without their folder."""
        return {Path(one).name for one in self.files if one.endswith(".yml")}

    @cached_property
    def words(self) -> set[str]:
        """Every word of the code."""
        words: set[str] = set()
        for name in self.files:
            path = self.root / name
            if name.startswith(CODE) and path.suffix in {".yml", ".py", ".j2"} and path.is_file():
                words |= set(re.findall(r"[a-z][a-z0-9_]+", path.read_text(encoding="utf-8")))
        return words | {path.stem for path in (self.root / "plugins" / "modules").glob("*.py")}

    def has_path(self, path: str) -> bool:
        """Whether a file or folder is there; `*` stands for anything."""
        if "*" in path:
            return any(self.root.glob(path))
        return (self.root / path).exists()

    def has_member(self, name: str) -> bool:
        """Whether a playbook, plugin, role or action group of the collection is called so."""
        kinds = ("modules", "lookup", "callback", "filter")
        return (
            f"{name}.yml" in self.playbooks
            or (self.root / "roles" / name).is_dir()
            or any((self.root / "plugins" / kind / f"{name}.py").is_file() for kind in kinds)
            or f"  {name}:" in (self.root / "meta" / "runtime.yml").read_text().splitlines()
        )


def unknown_names(page: Page, names: Names) -> list[str]:
    """What a page names in code and the repository lacks."""
    found = []
    for text in dict.fromkeys((*page.blocks, *page.spans)):
        for said in MAKE.findall(text):
            found += [
                f"there is no `make {one}`" for one in said.split() if one not in names.targets
            ]
        found += [
            f"tests/run has no step {one}" for one in STEP.findall(text) if one not in names.steps
        ]
        found += [
            f"there is no playbook {one}"
            for one in PLAYBOOK.findall(text)
            if one not in names.playbooks | names.yaml_names | OTHERS_FILES
        ]
        found += [
            f"there is no file {one}"
            for one in (path.rstrip("./") for path in PATH.findall(text))
            if not NO_PATH.search(one) and not names.has_path(one)
        ]
        found += [
            f"the collection has no {one}"
            for one in re.findall(re.escape(COLLECTION) + r"([a-z_]+)", text)
            if not names.has_member(one)
        ]
        found += [
            f"nothing is called {one}"
            for one in SETTING.findall(text)
            # Prometheus appends `_total` by itself.
            if not {one, one.removesuffix("_total")} & names.words and not one.endswith("_")
        ]
    return list(dict.fromkeys(found))
