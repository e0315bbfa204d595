# SPDX-License-Identifier: Apache-2.0
"""Which entries of a journal answer a question; a line and its traceback are one record. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from ..host import nvidia_xid
from .entries import Entry
from .question import Question

PRIORITIES = ("emergency", "alert", "critical", "error", "warning", "notice", "info", "debug")
WARNING = 4
# Lines of one record, and requests whose other lines are looked for.
MOST_LINES, MOST_REQUESTS = 120, 10_000
# Of the kernel's log only what ends or slows a server of models.
_KERNEL = re.compile(
    r"NVRM|nvidia.*(?:error|fail)|fallen off the bus|Out of memory|oom-kill|oom_reaper"
    r"|Memory cgroup out of memory|I/O error|EXT4-fs (?:error|warning)|XFS .*(?:error|corrupt)"
    r"|Hardware Error|Machine check",
    re.IGNORECASE,
)
_XID = re.compile(r"NVRM: Xid \(PCI:[^)]*\): (?P<code>\d+),?\s*(?P<text>.*)")
_WHOSE = re.compile(r"\brequest (?P<id>[A-Za-z0-9._-]{1,64})(?=[:\s]|$)")


def chosen(entries: Iterable[Entry], question: Question) -> Iterator[dict[str, Any]]:
    """What a question asks for, the newest first, as many as it asks for.

    Args:
        entries: the newest first.

    Yields:
        As server_logs_info documents a record.
    """
    below: dict[str, list[Entry]] = {}
    requests: set[str] = set()
    left = question.lines
    for entry in entries:
        if entry.goes_on:
            rest = below.setdefault(entry.pid, [])
            if len(rest) < MOST_LINES:
                rest.append(entry)
            continue
        rest = below.pop(entry.pid, [])[::-1] if entry.source == "server" else []
        if not _wanted(entry, question, requests):
            continue
        yield _record(entry, rest)
        left -= 1
        if left <= 0:
            return
    # What begins before the first line that was read.
    for rest in below.values():
        if _wanted(rest[-1], question, requests) and left > 0:
            left -= 1
            yield _record(rest[-1], rest[-2::-1])


def failed(request: dict[str, Any]) -> bool:
    """Whether the server could not do what was asked, by the line of a request."""
    status = request.get("status")
    return isinstance(status, int) and status >= 500


def _wanted(entry: Entry, question: Question, requests: set[str]) -> bool:
    if entry.source == "kernel" and not _KERNEL.search(entry.text):
        return False
    if entry.content_of and not question.content:
        return False
    if question.key and not _is_of_key(entry, question.key, requests):
        return False
    if question.request and not _is_of_request(entry, question.request):
        return False
    return not question.errors or _tells_of_failure(entry)


def _tells_of_failure(entry: Entry) -> bool:
    if entry.source == "systemd":
        return entry.event != "resources"
    if entry.request is not None and failed(entry.request):
        return True
    return entry.priority <= WARNING or entry.source == "kernel"


def _is_of_key(entry: Entry, key: str, requests: set[str]) -> bool:
    """A line of a request names its key; what else is said of it stands before that line."""
    if entry.request is not None:
        mine = entry.request.get("key") == key
        if mine and len(requests) < MOST_REQUESTS:
            requests.add(str(entry.request.get("request_id")))
        return mine
    if entry.content_of:
        # Behind its line, so that it is met first.
        return False
    whose = _WHOSE.search(entry.text) if entry.source == "server" else None
    return whose is not None and whose["id"] in requests


def _is_of_request(entry: Entry, request: str) -> bool:
    if entry.source != "server":
        return False
    if entry.request is not None:
        return entry.request.get("request_id") == request
    if entry.content_of:
        return entry.content_of == request
    if any(found["id"] == request for found in _WHOSE.finditer(entry.text)):
        return True
    # The engine's names begin with a kind, and may end in more.
    engine = rf"\b[a-z]+-{re.escape(request)}(?![A-Za-z0-9])"
    return bool(
        re.search(r"\brequest", entry.text, re.IGNORECASE) and re.search(engine, entry.text)
    )


def _record(entry: Entry, rest: list[Entry]) -> dict[str, Any]:
    seconds, micro = divmod(entry.time_us, 1_000_000)
    moment = datetime.fromtimestamp(seconds, tz=timezone.utc)  # for Python 3.10
    found: dict[str, Any] = {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{micro:06d}Z",
        "unit": entry.unit,
        "source": entry.source,
        "priority": PRIORITIES[min(max(entry.priority, 0), 7)],
        "pid": int(entry.pid) if entry.pid.isdigit() else None,
    }
    if entry.request is not None:
        return {**found, "request": entry.request}
    found["text"] = "\n".join([entry.text, *(one.text for one in rest)])
    xid = _XID.search(entry.text) if entry.source == "kernel" else None
    if xid:
        what = nvidia_xid.meaning(int(xid["code"]), xid["text"])
        found["meaning"] = f"{what.text}: {what.action}"
    named = {"event": entry.event, "status": entry.status, "result": entry.result}
    return {**found, **{name: value for name, value in named.items() if value}}
