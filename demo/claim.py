# SPDX-License-Identifier: Apache-2.0
"""One demo a machine: the instance and its network have the same names in all clones."""

from __future__ import annotations

from pathlib import Path

from demo import paths


class ClaimError(Exception):
    """The demo of another clone is there; the text says how to remove it."""


class Claim:
    """A file outside of the clones that names the one whose demo is on this machine."""

    def __init__(self, home: Path = paths.HOME, cache: Path = paths.CACHE) -> None:
        """Of the clone whose demo keeps its things in `home`."""
        self.home = home
        self.file = cache / "demo-of"

    def check(self) -> None:
        """Raises ClaimError while the demo of another clone is there. A deleted clone has none."""
        other = Path(self.file.read_text()) if self.file.exists() else self.home
        if other != self.home and other.exists():
            raise ClaimError(
                f"A demo of another clone is on this machine: {other.parent}. Two would take each"
                f" other's machines. Remove that one first: make -C {other.parent} demo-destroy"
            )

    def take(self) -> None:
        """Notes that the demo is this clone's, unless it is another's. Raises ClaimError."""
        self.check()
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(str(self.home))

    def release(self) -> None:
        """Notes that there is no demo any more. Raises ClaimError where it is another clone's."""
        self.check()
        self.file.unlink(missing_ok=True)
