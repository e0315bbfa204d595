# SPDX-License-Identifier: Apache-2.0
"""From what an instance is to what it is to be. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...diff import Change


@dataclass(frozen=True)
class Transition:
    """What is to be done to an instance that exists, and what it has before and after that."""

    status: str  # RUNNING or TERMINATED, where it ends
    boot_disk: tuple[str, str]  # its desired image family and type
    current: dict[str, Any]
    desired: dict[str, Any]
    found: list[Change]
    after: dict[str, Any]
    is_up: bool
    settling: bool
    # Both only where it is recreated: what it had, and all fields of the new one.
    carried: dict[str, Any] = field(default_factory=dict)
    replacement: dict[str, Any] | None = None

    @property
    def recreates(self) -> bool:
        """Whether a change needs a new instance."""
        return any(change.how == "recreate" for change in self.found)
