# SPDX-License-Identifier: Apache-2.0
"""Says how far a load test is, and ends it where nobody listens any more."""

from __future__ import annotations

import os
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: Exit status of a load test that nobody follows any more.
ABANDONED = 4


@dataclass
class Progress:
    """Lines for a person on stderr and, where `file` is given, at the end of that file."""

    total: int
    file: Path | None = None
    done: int = 0

    def note(self, text: str) -> None:
        """Says something."""
        print(text, file=sys.stderr, flush=True)  # noqa: T201
        if self.file is not None:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(f"{text}\n")

    def step(self, text: str) -> None:
        """Says what came out of one more run."""
        self.done += 1
        self.note(f"[{self.done}/{self.total}] {text}")


def end_when_abandoned(heartbeat: Path, seconds: float, every: float = 1.0) -> None:
    """Ends this process once nobody has touched the file for so long, or it is gone.

    Whoever starts a load test elsewhere and is interrupted can't stop it: it would go on sending.
    """

    def watch() -> None:
        while is_touched(heartbeat, seconds):
            time.sleep(every)
        os._exit(ABANDONED)  # not sys.exit: that would end this thread alone

    threading.Thread(target=watch, daemon=True, name="heartbeat").start()


def is_touched(file: Path, seconds: float) -> bool:
    """Whether the file was touched in the last so many seconds."""
    try:
        return time.time() - file.stat().st_mtime < seconds
    except FileNotFoundError:
        return False
