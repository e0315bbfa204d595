# SPDX-License-Identifier: Apache-2.0
"""The last errors of the server's log, and what systemd said of its units. Reads the journal."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .logs.entries import FIELDS, Entry, parsed
from .logs.journal import JournalError, newest
from .logs.question import Question

#: Errors that are shown, and how long reading them may take.
MOST = 20
SECONDS = 3.0
#: Units that say little, and each time why the machine goes.
WATCHERS = ("llm-server-idle.service", "llm-server-preemption.service")
#: Of systemd's own lines: a service that starts over and over has many.
_MOST_LINES = 400


def errors(units: Sequence[str], since: float) -> tuple[list[dict[str, str]], str]:
    """The newest first, and a remark where these are not all.

    Args:
        since: seconds since 1970.
    """
    try:
        found = newest(units, Question(lines=MOST, errors=True), since, None, SECONDS)
    except JournalError as error:
        return [], str(error)
    remark = ""
    if not found["in_time"]:
        reached = found["reached"] or time.time()
        remark = f"The journal was read back to {time.strftime('%H:%M:%S', time.gmtime(reached))}"
        remark += " UTC only: it is long."
    elif not found["complete"]:
        remark = f"The last {MOST}. The playbook logs shows all."
    return [row(one) for one in reversed(found["records"])], remark


def row(record: Mapping[str, Any]) -> dict[str, str]:
    """A record of `choice` for the page."""
    request = record.get("request")
    known = {"time": str(record["time"])[:19].replace("T", " "), "request": "", "key": ""}
    if not request:
        text = str(record.get("meaning") or record.get("text", "")).partition("\n")[0]
        return {**known, "what": text[:300]}
    what = f"{request.get('method', '')} {request.get('path', '')}: {request.get('status')}"
    why = request.get("reason") or request.get("finish_reason")
    return {
        **known,
        "request": str(request.get("request_id", "")),
        "key": str(request.get("key") or ""),
        "what": f"{what} ({why})" if why else what,
    }


def of_systemd(units: Sequence[str], since: float) -> list[Entry]:
    """What systemd said of the units, and those that watch beside the server.

    Nothing where the journal cannot be read.
    """
    words: list[str] = []
    for unit in units:
        words += [*(["+"] if words else []), f"UNIT={unit}", "_PID=1"]
        if unit in WATCHERS:
            words += ["+", f"_SYSTEMD_UNIT={unit}"]
    command = [
        "journalctl", "--all", "--output=json", f"--output-fields={','.join(FIELDS)}", "--reverse",
        f"--lines={_MOST_LINES}", f"--since=@{since:.0f}",
    ]  # fmt: skip
    try:
        done = subprocess.run(
            [*command, *words], capture_output=True, timeout=SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return []
    return entries(done.stdout.splitlines())


def entries(lines: Iterable[bytes]) -> list[Entry]:
    """The lines that can be read."""
    return [entry for entry in map(parsed, lines) if entry is not None]
