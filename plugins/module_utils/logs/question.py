# SPDX-License-Identifier: Apache-2.0
"""What somebody wants to read of the servers' logs, checked before a host is asked. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

# What a server takes as a request's id, and as a key's name.
REQUEST = re.compile(r"[A-Za-z0-9._-]{1,64}")
KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MOST_LINES, MOST_MINUTES = 10_000, 24 * 60

_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_AGO = re.compile(
    r"(?:(?P<d>\d{1,5})d)?(?:(?P<h>\d{1,5})h)?(?:(?P<m>\d{1,6})m)?(?:(?P<s>\d{1,8})s)?"
)
#: How a person writes a time.
HOW = (
    "Write how long ago it was (90s, 30m, 2h, 1h30m, 3d), or a time in UTC "
    "(2026-11-30T08:00, or 2026-11-30)"
)
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


@dataclass(frozen=True)
class Question:
    """What is looked for.

    Attributes:
        lines: how many of the newest records at most.
        errors: only warnings and worse, failed requests, and what systemd says of the service.
        request: only what belongs to the request of this id.
        key: only requests with the key of this name.
        content: also what was asked, where the server logs that.
    """

    lines: int = 200
    errors: bool = False
    request: str = ""
    key: str = ""
    content: bool = False


def length(text: str) -> int | None:
    """Seconds of `90s`, `30m` or `1h30m`; None where it is no such thing."""
    found = _AGO.fullmatch(text)
    if not text or not found:
        return None
    return sum(int(number or 0) * _UNITS[unit] for unit, number in found.groupdict().items())


def moment(text: str, now: float) -> float:
    """Seconds since 1970 of what a person wrote.

    Args:
        now: the same, of now.

    Raises:
        ValueError: it is no time.
    """
    text = text.strip()
    ago = length(text)
    if ago is not None:
        return now - ago
    if not re.match(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    # So that Python 3.10 reads it as well.
    found = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text))
    if found.tzinfo is None:
        found = found.replace(tzinfo=timezone.utc)  # Python 3.10 has no other name
    return found.timestamp()


def problems(settings: Mapping[str, Any], now: float) -> list[str]:
    """A sentence for each setting of the playbook `logs` that can't be meant so.

    Args:
        settings: logs_since and the others as given; what is left out is not asked for.
        now: seconds since 1970.
    """
    given = {name: _text(settings.get(f"logs_{name}")) for name in (*_CHECKED, "output")}
    found = [_CHECKED[name](name, given[name]) for name in _CHECKED if given[name]]
    return [*filter(None, found), *_times(given, now), *_together(given)]


def _text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def _is_moment(name: str, text: str) -> str:
    try:
        moment(text, 0)
    except (ValueError, OverflowError):
        return f"logs_{name} is {text!r}, which is no time. {HOW}."
    return ""


def _is_switch(name: str, text: str) -> str:
    if text.lower() in (*_TRUE, *_FALSE):
        return ""
    return f"logs_{name} is {text!r}. Say true or false."


def _is_number(most: int) -> Any:
    def check(name: str, text: str) -> str:
        if re.fullmatch(r"\d{1,9}", text) and 1 <= int(text) <= most:
            return ""
        return f"logs_{name} is {text!r}. Give a number from 1 to {most}."

    return check


def _is_request(name: str, text: str) -> str:
    if REQUEST.fullmatch(text):
        return ""
    return (
        f"logs_{name} is {text!r}, which no request can have as its id. An id has 1 to 64 letters, "
        "digits, '.', '_' and '-'; the answer has it in the header X-Request-Id, and an error in "
        "request_id."
    )


def _is_key(name: str, text: str) -> str:
    if KEY.fullmatch(text):
        return ""
    return (
        f"logs_{name} is no name of a key. Give the name, not the key itself: 'default' for the "
        "first, else a name of llm_server_keys."
    )


_CHECKED: dict[str, Any] = {
    "since": _is_moment,
    "until": _is_moment,
    "lines": _is_number(MOST_LINES),
    "errors": _is_switch,
    "content": _is_switch,
    "request": _is_request,
    "key": _is_key,
    "follow": _is_switch,
    "follow_minutes": _is_number(MOST_MINUTES),
}


def _times(given: Mapping[str, str], now: float) -> list[str]:
    try:
        # One request is looked for in all that there is.
        begin = -math.inf if given["request"] else now - 3600
        since = moment(given["since"], now) if given["since"] else begin
        until = moment(given["until"], now) if given["until"] else now
    except (ValueError, OverflowError):
        return []  # told already
    # A minute for clocks that differ.
    if since > now + 60:
        return [f"logs_since is {given['since']!r}, which is yet to come. {HOW}."]
    if until <= since:
        return [
            f"logs_until ({given['until'] or 'now'}) is not after logs_since "
            f"({given['since'] or '1h'}), so that nothing is between them."
        ]
    return []


def _together(given: Mapping[str, str]) -> list[str]:
    if given["follow"].lower() not in _TRUE:
        return []
    return [
        f"logs_follow shows what is yet to come, and does not go with logs_{name}. Leave out one."
        for name in ("until", "output")
        if given[name]
    ]
