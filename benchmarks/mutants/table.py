# SPDX-License-Identifier: Apache-2.0
"""The faults to inject, by area: `faults/*.yml` beside this."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "faults"


@dataclass(frozen=True)
class Fault:
    """One text in place of another, in one file.

    Attributes:
        harm: what an operator would see of it.
        unit, integration: test files that should see it first, relative to the repository's root.
    """

    name: str
    area: str
    file: str
    old: str
    new: str
    harm: str
    unit: tuple[str, ...]
    integration: tuple[str, ...]

    def injected(self, text: str) -> str:
        """The file's text with the fault.

        Raises:
            ValueError: the old text is not there exactly once: the code has changed since.
        """
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.name}: {self.file} has its old text {text.count(self.old)} times, not once"
            )
        return text.replace(self.old, self.new)


def load(folder: Path = FOLDER) -> list[Fault]:
    """All faults, in the order of files and of their entries."""
    return [
        fault
        for path in sorted(folder.glob("*.yml"))
        for fault in _area(path.stem, yaml.safe_load(path.read_text()))
    ]


def _area(area: str, data: dict[str, Any]) -> list[Fault]:
    tests = data["tests"]
    return [
        Fault(
            area=area,
            unit=_paths("unit", entry.pop("unit", tests["unit"])),
            integration=_paths("integration", entry.pop("integration", tests["integration"])),
            **entry,
        )
        for entry in data["faults"]
    ]


def _paths(kind: str, names: list[str]) -> tuple[str, ...]:
    return tuple(f"tests/{kind}/{name}" for name in names)
