# SPDX-License-Identifier: Apache-2.0
"""Entries of the journal as `journalctl -o json` writes them. Pure."""

from __future__ import annotations

import json
import re
import signal
from dataclasses import dataclass
from typing import Any

from .masks import masked

FIELDS = (
    "MESSAGE", "PRIORITY", "_PID", "_TRANSPORT", "_SYSTEMD_UNIT", "UNIT", "OBJECT_SYSTEMD_UNIT",
    "MESSAGE_ID", "EXIT_CODE", "EXIT_STATUS", "UNIT_RESULT",
)  # fmt: skip
# Of systemd/sd-messages.h, which promises that they stay.
EVENTS = {
    "7d4958e842da4a758f6c1cdc7b36dcc5": "starting",
    "39f53479d3a045ac8e11786248231fbf": "started",
    "de5b426a63be47a7b6ac3eaac82e2f6f": "stopping",
    "9d1aaa27d60140bd96365438aad20286": "stopped",
    "7ad2d189f7e94e70a38c781354912448": "ended",
    "98e322203f7a4ed290d09fe03c09fe15": "exited",
    "d9b373ed55a64feb8242e02dbe79a49c": "failed",
    "be02cf6855d2428ba40df7e9d022f03d": "not started",
    "5eb03494b6584870a536b337290809b3": "restart",
    "ae8f7b866b0347b9af31fe1c80b127c0": "resources",
    "7b05ebc668384222baa8881179cfda54": "reloaded",
}
# How a line begins that belongs to the one before it.
GOES_ON = "  "
# The server's own lines are 2048 bytes at most; those of others may be anything.
LONGEST = 2048
_CONTROLS = {
    number: f"\\x{number:02x}"
    for number in (*range(0x20), 0x7F, *range(0x80, 0xA0))
    if chr(number) not in "\t\n"
}
_OF_A_REQUEST = {"request_id", "method", "path", "status", "total_s"}
# What Python says before anybody has set up its log, and so without a priority.
_CRASH = re.compile(
    r"Traceback \(most recent call last\)|Fatal Python error|Segmentation fault"
    r"|[A-Za-z_][\w.]*(?:Error|Exception): "
)


@dataclass(frozen=True)
class Entry:
    """One line of the journal.

    Attributes:
        time_us: microseconds since 1970, by the host's clock.
        cursor: where it is in the journal.
        source: `server`, `systemd` or `kernel`.
        priority: as syslog numbers it; 0 is the worst.
        text: what it says, without controls and secrets.
        request: the fields of a request's line.
        content_of: id of the request whose content it has.
        event: what systemd did.
        status: what a process ended with: its number, or a signal's name.
        result: systemd's word for a failure.
    """

    time_us: int
    cursor: str
    unit: str
    source: str
    priority: int
    pid: str
    text: str
    request: dict[str, Any] | None = None
    content_of: str = ""
    event: str = ""
    status: str = ""
    result: str = ""

    @property
    def goes_on(self) -> bool:
        """Whether it belongs to the line before it of the same process."""
        return self.source == "server" and self.text.startswith(GOES_ON)


def parsed(line: str | bytes, about: str = "") -> Entry | None:
    """The entry of one line; None where it is none, as journalctl's own remarks.

    Args:
        about: what a text has to name, or it is left out: masking it takes nearly all the time.
            What goes on with another line stays whole.
    """
    try:
        found = json.loads(line)
        time_us = int(found["__REALTIME_TIMESTAMP"])
    except (ValueError, KeyError, TypeError):
        return None
    unit, source = _origin(found)
    text = _text(found.get("MESSAGE"))
    if about not in text and not text.startswith(GOES_ON):
        text = ""
    data = _object(text) if source == "server" else {}
    request = data if set(data) >= _OF_A_REQUEST else None
    content_of = str(data["content_of"]) if {"content_of", "content"} <= set(data) else ""
    text = masked(text.translate(_CONTROLS))
    if request is not None:
        request = {
            name: masked(value) if isinstance(value, str) else value
            for name, value in request.items()
        }
    return Entry(
        time_us,
        str(found.get("__CURSOR", "")),
        unit,
        source,
        _priority(found, text),
        str(found.get("_PID", "")),
        text[:LONGEST] + (f" ... {len(text) - LONGEST} left out" if len(text) > LONGEST else ""),
        request,
        content_of,
        EVENTS.get(str(found.get("MESSAGE_ID")), "") if source == "systemd" else "",
        _status(found),
        str(found.get("UNIT_RESULT", "")),
    )


def _origin(found: dict[str, Any]) -> tuple[str, str]:
    if found.get("_TRANSPORT") == "kernel":
        return "", "kernel"
    of_another = found.get("UNIT") or found.get("OBJECT_SYSTEMD_UNIT")
    if of_another:
        return str(of_another), "systemd"
    return str(found.get("_SYSTEMD_UNIT", "")), "server"


def _text(message: Any) -> str:
    """A field's text: bytes that are no text are numbers there, several values a list."""
    if isinstance(message, list):
        if all(isinstance(one, int) for one in message):
            return bytes(message).decode("utf-8", "backslashreplace")
        return "\n".join(_text(one) for one in message)
    return "" if message is None else str(message)


def _status(found: dict[str, Any]) -> str:
    status = str(found.get("EXIT_STATUS", ""))
    if found.get("EXIT_CODE") not in ("killed", "dumped"):
        return status
    try:
        return signal.Signals(int(status)).name
    except ValueError:
        return f"signal {status}"


def _object(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _priority(found: dict[str, Any], text: str) -> int:
    try:
        priority = int(found["PRIORITY"])
    except (KeyError, ValueError, TypeError):
        priority = 6
    return min(priority, 3) if _CRASH.match(text) else priority
