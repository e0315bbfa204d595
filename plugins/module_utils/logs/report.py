# SPDX-License-Identifier: Apache-2.0
"""Records of several hosts in one order, as lines for people and as JSON. Pure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from .restarts import restarts

UNIT = "llm-server.service"


def report(logs: Mapping[str, Mapping[str, Any]], lines: int) -> dict[str, Any]:
    """What the playbook shows.

    Args:
        logs: host -> what server_logs_info returned; without records it could not be asked.
        lines: how many records are kept.

    Returns:
        {lines, json, remarks, failed}
    """
    read = {host: found for host, found in logs.items() if "records" in found}
    records = {host: found["records"] for host, found in read.items()}
    kept = merged(records, lines)
    down = restart_lines(records, UNIT)
    remarks = [text for host, found in read.items() for text in _remarks(host, found)]
    left_out = sum(map(len, records.values())) - len(kept)
    if left_out or not all(found["complete"] for found in read.values() if found["in_time"]):
        remarks.append(f"There are older lines. logs_lines={lines} is how many are shown.")
    return {
        "lines": [line(one) for one in kept],
        "restarts": down,
        "json": as_json(kept),
        "remarks": remarks,
        "failed": [
            f"{host}: {found.get('msg') or 'no answer'}"
            for host, found in logs.items()
            if host not in read
        ],
    }


def _remarks(host: str, found: Mapping[str, Any]) -> list[str]:
    """What of the time that was asked for is not there, and nothing at all."""
    since, begins = found["since"], found["journal_begins"]
    if not found["in_time"]:
        reached = found["reached"]
        back = f"to {clock(reached)}" if reached else "to no line"
        on = "Ask for less time."
        if since is None and reached:
            until = datetime.fromtimestamp(math.ceil(reached), tz=timezone.utc)  # for Python 3.10
            on = f"logs_until={until:%Y-%m-%dT%H:%M:%S} reads on from there."
        return [f"{host}: reading took too long and came back {back}. {on}"]
    if begins is None:
        return [f"{host}: the journal is empty."]
    if since is None:
        return [f"{host}: {_all_read(found)}."]
    remarks = [] if found["records"] else [f"{host}: no such lines since {clock(since)}."]
    if begins > since + 1 and found["complete"]:
        remarks.append(f"{host}: the journal begins at {clock(begins)}.")
    return remarks


def _all_read(found: Mapping[str, Any]) -> str:
    """How far back was read where the whole journal was to be."""
    begins = clock(found["journal_begins"])
    if not found["complete"]:
        return f"the journal was read back to {clock(found['reached'])}"
    if not found["records"]:
        return f"no such lines since {begins}, where its journal begins"
    return f"the journal was read from its start, {begins}"


def clock(seconds: float) -> str:
    """A time of UTC to the second."""
    return f"{datetime.fromtimestamp(seconds, tz=timezone.utc):%Y-%m-%d %H:%M:%S} UTC"


def merged(logs: Mapping[str, Sequence[Mapping[str, Any]]], lines: int) -> list[dict[str, Any]]:
    """The newest records of all hosts, the oldest first, each with its host."""
    together = [{"host": host, **record} for host, records in logs.items() for record in records]
    # Records of one host keep their order where the time is the same.
    return sorted(together, key=lambda record: str(record["time"]))[-lines:]


def line(record: Mapping[str, Any]) -> str:
    """A record as a person reads it; a traceback goes on below it."""
    time = f"{record['time'][:10]} {record['time'][11:23]}"
    said = of_request(record["request"]) if "request" in record else str(record["text"])
    if record["source"] == "kernel":
        said = f"kernel: {said}"
    if record.get("meaning"):
        said += f" (NVIDIA: {record['meaning']})"
    return f"{time} {record['host']} {said}".replace("\n", "\n    ")


def of_request(request: Mapping[str, Any]) -> str:
    """One request in a line."""
    got = request.get
    parts = [
        f"{got('status') or '?'} {got('method') or '?'} {got('path') or '?'}",
        f"key {got('key')}" if got("key") else f"from {got('client') or '?'}",
        f"reason {got('reason')}" if got("reason") else "",
        f"{got('tokens_in')} tokens in, {got('tokens_out')} out" if got("tokens_in") else "",
        _seconds("first token", got("time_to_first_token_s")),
        _seconds("queue", got("queue_s")),
        _seconds("all", got("total_s")),
        f"ended by {got('finish_reason')}" if got("finish_reason") else "",
        f"request {got('request_id')}",
    ]
    return ", ".join(filter(None, parts))


def _seconds(name: str, number: Any) -> str:
    return f"{name} {number:.3f} s" if isinstance(number, (int, float)) else ""


def restart_lines(logs: Mapping[str, Sequence[Mapping[str, Any]]], unit: str) -> list[str]:
    """A line for each time that the unit was down on a host, in order of time."""
    found = [
        {"host": host, **one} for host, records in logs.items() for one in restarts(records, unit)
    ]
    found.sort(key=lambda one: str(one["down"]))
    return [_restart_line(one) for one in found]


def _restart_line(one: Mapping[str, Any]) -> str:
    back = "it did not come back" if one["up"] is None else f"back after {one['seconds']} s"
    tries = f", starts that failed: {one['attempts']}" if one["attempts"] else ""
    down = f"{one['down'][:10]} {one['down'][11:19]}"
    return f"down at {down} on {one['host']}: {one['cause']}; {back}{tries}"


def as_json(records: Sequence[Mapping[str, Any]]) -> str:
    """A line of JSON for each record."""
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
