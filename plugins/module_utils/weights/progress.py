# SPDX-License-Identifier: Apache-2.0
"""Tells how far a model has come: lines that are added to a file, for who waits to read."""

from __future__ import annotations

import fcntl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

EVERY_S = 10.0


class Progress:
    """Lines of one run.

    Args:
        path: the file; None tells nobody.
        every: seconds between two lines of one stage.

    Attributes:
        lines: all that was said.
    """

    def __init__(self, path: Path | None = None, every: float = EVERY_S) -> None:
        self._every, self._path = every, path
        self.lines: list[str] = []
        self._file: IO[str] | None = None
        self._boards: list[Callable[[str], None]] = []
        if path:
            self._file = path.open("a", encoding="utf-8")
            # By this others see that somebody still writes it.
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def say(self, line: str) -> None:
        """Add a line."""
        self.lines.append(line)
        if self._file:
            self._file.write(f"{line}\n")
            self._file.flush()
        for board in self._boards:
            board(line)

    def also_to(self, board: Callable[[str], None]) -> None:
        """Tell each further line to somebody else too."""
        self._boards.append(board)

    def close(self) -> None:
        """Remove the file: who has not read all of it finds it in the run's result."""
        if self._file and self._path:
            self._path.unlink(missing_ok=True)
            self._file.close()

    @contextmanager
    def stage(self, what: str, size: int, files: int = 0, present: int = 0) -> Iterator[Meter]:
        """Say a line now, and another every few seconds until the block ends.

        Args:
            what: is done, as in 'fetching'.
            size: bytes in all; 0 where nobody knows.
            files: in all; 0 where they are not counted.
            present: bytes that are there from an earlier run.
        """
        meter = Meter(what, size, files, present)
        self.say(meter.line())
        over = threading.Event()

        def tell() -> None:
            while not over.wait(self._every):
                self.say(meter.line())

        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        try:
            yield meter
        finally:
            over.set()
            teller.join()
        self.say(meter.end())


class Meter:
    """Counts what several threads do at once; `clock` gives seconds."""

    def __init__(
        self,
        what: str,
        size: int,
        files: int = 0,
        present: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._size, self._files, self._present = what, size, files, present
        self._clock, self._lock = clock, threading.Lock()
        self._began = clock()
        self._bytes = self._done = 0
        self._recent = [(self._began, 0)]

    def add(self, size: int) -> None:
        """So many more bytes; fewer, where some did not count."""
        with self._lock:
            self._bytes += size

    def file_done(self) -> None:
        """One more file is whole."""
        with self._lock:
            self._done += 1

    def line(self) -> str:
        """How far it is; rate and time left as of the last minute."""
        with self._lock:
            now, moved, done = self._clock(), self._bytes, self._done
        self._recent = [one for one in self._recent if now - one[0] <= 60] or self._recent[-1:]
        then, before = self._recent[0]
        self._recent.append((now, moved))
        parts = [f"{done} of {self._files} files"] if self._files else []
        at = min(self._present + moved, self._size)
        if self._size:
            parts.append(f"{amount(at)} of {amount(self._size)} ({at * 100 // self._size} %)")
        if now > then and moved > before:
            rate = (moved - before) / (now - then)
            parts.append(f"{amount(rate)}/s")
            if self._size:
                parts.append(f"{duration((self._size - at) / rate)} left")
        elif now - self._began >= 1:
            parts.append(f"{duration(now - self._began)} so far")
        return f"{self._what}: {', '.join(parts)}" if parts else self._what

    def end(self) -> str:
        """What was done, and how fast."""
        with self._lock:
            took, moved = self._clock() - self._began, self._bytes
        rate = f", {amount(moved / took)}/s" if moved and took else ""
        size = f", {amount(moved)}" if moved else ""
        return f"{self._what}: done in {duration(took)}{size}{rate}"


def amount(size: float) -> str:
    """Bytes for people, in decimal units."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} B"


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def abandoned(folder: Path) -> list[Path]:
    """Progress files beside a model's folder whose writers are gone."""
    found = []
    for path in folder.parent.glob(f".{folder.name}.*.progress"):
        with suppress(OSError), path.open("r+", encoding="utf-8") as file:
            # Fails where somebody still writes.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found.append(path)
    return found
