# SPDX-License-Identifier: Apache-2.0
"""Reads a host's journal, the newest first, or what comes after a place in it."""

from __future__ import annotations

import os
import selectors
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

from .choice import chosen
from .entries import FIELDS, Entry, parsed
from .question import Question

# Lines that come together are shown together.
TOGETHER_S = 0.3
# Read at once of what comes.
_CHUNK = 1 << 16
_NO_RIGHT = ("insufficient permissions", "not seeing messages from other users")


class JournalError(Exception):
    """The journal can't be read; the text says what to do."""


def matches(units: Sequence[str]) -> list[str]:
    """Arguments of journalctl: what the units say, what systemd says of them, and the kernel."""
    words: list[str] = []
    for unit in units:
        words += [f"_SYSTEMD_UNIT={unit}", "+", f"UNIT={unit}", "_PID=1", "+"]
        words += [f"OBJECT_SYSTEMD_UNIT={unit}", "_UID=0", "+"]
    return [*words, "_TRANSPORT=kernel"]


def newest(
    units: Sequence[str],
    question: Question,
    since: float | None,
    until: float | None,
    seconds: float,
) -> dict[str, Any]:
    """What the question asks for between two moments.

    Args:
        since: seconds since 1970; None for all that the journal has.
        until: the same; None for now.
        seconds: how long reading may take.

    Returns:
        {records, the oldest first; cursor, the place after the newest line; complete, whether
        these are all; in_time, whether reading was not given up; reached, the time of the oldest
        line that was read}.

    Raises:
        JournalError: nothing can be read.
    """
    ends = {"since": since, "until": until}
    times = [f"--{name}=@{end:.6f}" for name, end in ends.items() if end is not None]
    seen = _Seen(question.request)
    with (
        _journalctl("--reverse", *times, *matches(units)) as running,
        _ended(running, seconds) as late,
    ):
        # One more than is shown tells whether there are more.
        more = replace(question, lines=question.lines + 1)
        records = list(chosen(seen.watch(running.stdout), more))
        if len(records) < more.lines and not late.is_set():
            _check(running)
    return {
        "records": records[: question.lines][::-1],
        "cursor": seen.first,
        "complete": len(records) < more.lines and not late.is_set(),
        "in_time": not late.is_set(),
        "reached": seen.last_us / 1_000_000 if seen.last_us else None,
    }


def after(
    units: Sequence[str], question: Question, cursor: str, since: float, seconds: float
) -> dict[str, Any]:
    """What comes after a place in the journal; waits for it so many seconds at most.

    Args:
        cursor: the place; where it is empty, `since` is.
    """
    place = [f"--after-cursor={cursor}"] if cursor else [f"--since=@{since:.6f}"]
    until = time.monotonic() + seconds
    entries: list[Entry] = []
    with _journalctl("--follow", "--no-tail", *place, *matches(units)) as running:
        for line in _lines(running, until):
            entry = parsed(line)
            if entry is not None:
                entries.append(entry)
    records = list(chosen(reversed(entries), question))
    return {
        "records": records[::-1],
        "cursor": entries[-1].cursor if entries else cursor,
        "complete": len(records) < question.lines,
    }


def begins() -> float | None:
    """When the host's journal begins, in seconds since 1970; None where there is none."""
    with _journalctl() as running:
        entry = next(filter(None, map(parsed, running.stdout or ())), None)
    return entry.time_us / 1_000_000 if entry else None


class _Seen:
    """What was read, by the way."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.first = ""
        self.last_us = 0

    def watch(self, lines: IO[bytes] | None) -> Iterator[Entry]:
        for line in lines or ():
            entry = parsed(line, self.about)
            if entry is not None:
                self.first = self.first or entry.cursor
                self.last_us = entry.time_us
                yield entry


@contextmanager
def _journalctl(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("journalctl")
    if program is None:
        raise JournalError("There is no journalctl: this host keeps no journal of systemd.")
    command = [program, "--all", "--output=json", f"--output-fields={','.join(FIELDS)}"]
    with subprocess.Popen(
        [*command, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def _check(running: subprocess.Popen[bytes]) -> None:
    """Tells an empty journal from one that can't be read."""
    said = (running.stderr.read() if running.stderr else b"").decode(errors="replace").strip()
    if any(sign in said for sign in _NO_RIGHT):
        raise JournalError(
            "This user may not read the journal. Log in as one with sudo and set ansible_become, "
            "or put the user into the group systemd-journal."
        )
    if running.wait() != 0:
        raise JournalError(f"journalctl failed: {said or f'status {running.returncode}'}")


@contextmanager
def _ended(running: subprocess.Popen[bytes], seconds: float) -> Iterator[threading.Event]:
    """Ends the command after so many seconds; the event tells whether it had to."""
    late = threading.Event()

    def end() -> None:
        late.set()
        running.kill()

    timer = threading.Timer(seconds, end)
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()


def _lines(running: subprocess.Popen[bytes], until: float) -> Iterator[bytes]:
    """Lines as they come, until there were some and no more follow, or it is too late."""
    if running.stdout is None:
        return
    rest, came = b"", False
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        while True:
            wait = max(0.0, until - time.monotonic())
            if not selector.select(min(wait, TOGETHER_S) if came else wait):
                return
            data = os.read(running.stdout.fileno(), _CHUNK)
            if not data:
                _check(running)
                return
            came = True
            *whole, rest = (rest + data).split(b"\n")
            yield from whole
            if time.monotonic() > until:
                return
