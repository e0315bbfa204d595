# SPDX-License-Identifier: Apache-2.0
"""What a machine must get back when it boots again: its filter and its metadata."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from emulator.world.backend import IngressRule


@dataclass(frozen=True)
class Memory:
    """The last desired state of one machine."""

    rules: Sequence[IngressRule] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


class Store:
    """One JSON file a machine in one folder an owner."""

    def __init__(self, owner: str) -> None:
        """Keep it below the user's state folder."""
        base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
        self.folder = Path(base) / "gce-vllm" / owner

    def load(self, container: str) -> Memory:
        """Return what is remembered; nothing, which means deny all, for an unknown machine."""
        path = self._path(container)
        if not path.exists():
            return Memory()
        kept = json.loads(path.read_text())
        return Memory(rules=[_rule(rule) for rule in kept["rules"]], metadata=kept["metadata"])

    def save(self, container: str, memory: Memory) -> None:
        """Remember; readable by the owner only, since metadata can hold secrets."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        part = self._path(container).with_suffix(".part")
        part.touch(mode=0o600)
        rules = [asdict(rule) for rule in memory.rules]
        part.write_text(json.dumps({"rules": rules, "metadata": dict(memory.metadata)}))
        part.replace(self._path(container))

    def forget(self, container: str) -> None:
        """Drop what is remembered of one machine."""
        self._path(container).unlink(missing_ok=True)

    def forget_all(self) -> bool:
        """Drop everything; returns whether there was anything."""
        there = self.folder.exists()
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):  # other owners have theirs beside it
            self.folder.parent.rmdir()
        return there

    def _path(self, container: str) -> Path:
        return self.folder / f"{container}.json"


def _rule(kept: dict[str, object]) -> IngressRule:
    return IngressRule(
        action=kept["action"],  # type: ignore[arg-type]
        protocol=str(kept["protocol"]),
        ports=[(int(low), int(high)) for low, high in kept["ports"]],  # type: ignore[attr-defined]
        sources=list(kept["sources"]),  # type: ignore[call-overload]
    )
