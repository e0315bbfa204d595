# SPDX-License-Identifier: Apache-2.0
"""When a service was down and why, by what systemd and the service said. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

_RESULTS = {
    "watchdog": "it gave no sign of life (watchdog)",
    "oom-kill": "the kernel killed it for want of memory",
    "timeout": "it took longer than it may to start or to stop",
    "core-dump": "it crashed",
    "start-limit-hit": "it was started too often",
    "resources": "systemd could not start it",
    "protocol": "it ended before it was ready",
}
# Who says it, as the server begins its lines.
_BEGINNING = re.compile(r"[A-Z]+ \S+(?: \([^)]*\))?: ")


def restarts(records: Iterable[Mapping[str, Any]], unit: str) -> list[dict[str, Any]]:
    """Each time that the unit was down.

    Args:
        records: of one host, the oldest first, as server_logs_info gives them.

    Returns:
        [{down, cause, attempts, up, seconds}]; `up` and `seconds` are None where it did not come
        back. `attempts` counts starts that failed.
    """
    found: list[dict[str, Any]] = []
    down: dict[str, Any] | None = None
    last_words = ""
    for record in records:
        if record.get("unit") != unit:
            continue
        if record["source"] == "server":
            if record["priority"] in ("critical", "alert", "emergency"):
                last_words = str(record.get("text", "")).partition("\n")[0]
            continue
        event = record.get("event")
        if event in ("exited", "failed", "not started", "stopping"):
            if down is None:
                down = _begun(record["time"])
            _learn(down, record, last_words)
            last_words = ""
        elif event == "started":
            if down is not None:
                found.append(_over(down, record["time"]))
            down, last_words = None, ""
    return [*found, _over(down, None)] if down else found


def _begun(time: str) -> dict[str, Any]:
    return {"down": time, "cause": "", "words": "", "attempts": 0}


def _learn(down: dict[str, Any], record: Mapping[str, Any], last_words: str) -> None:
    event = record["event"]
    if event == "not started":
        down["attempts"] += 1
    down["words"] = down["words"] or last_words
    result = record.get("result", "")
    if event == "stopping":
        down["cause"] = down["cause"] or "somebody stopped it"
    elif event == "exited":
        down["cause"] = down["cause"] or _ended_by(record.get("status", ""))
    # What ended the process may be what systemd did to it.
    elif result in _RESULTS and not down.get("named"):
        down["cause"], down["named"] = _RESULTS[result], True


def _ended_by(status: str) -> str:
    if status.upper().startswith("SIG"):
        return f"{status} killed it"
    return f"it ended with status {status}" if status else "it ended"


def _over(down: Mapping[str, Any], up: str | None) -> dict[str, Any]:
    words = _BEGINNING.sub("", str(down["words"]), count=1)
    cause = down["cause"] or "not told"
    seconds = None
    if up is not None:
        seconds = round((_moment(up) - _moment(down["down"])).total_seconds(), 1)
    return {
        "down": down["down"],
        "cause": f"{cause}; its last words: {words}" if words else cause,
        "attempts": down["attempts"],
        "up": up,
        "seconds": seconds,
    }


def _moment(time: str) -> datetime:
    return datetime.fromisoformat(time.replace("Z", "+00:00"))
