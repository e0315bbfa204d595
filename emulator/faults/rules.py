# SPDX-License-Identifier: Apache-2.0
"""Fault rules as they are written: what they match, what they do; checked when they are set."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from emulator.errors import ApiError, Json, invalid, required

STATUSES = (429, 500, 502, 503, 504)
CONNECTIONS = ("drop_before", "drop_after", "truncate")
HOLDS = ("before", "after")
_MATCH = ("method", "path", "project", "zone", "operation", "target")
_EFFECTS = (
    "status", "error", "latency", "connection", "hold", "revoke_tokens", "operation_error",
)  # fmt: skip
_LIMITS = ("share", "count", "skip")
_OTHERS = ("retry_after",)


@dataclass(frozen=True)
class Asked:
    """What a rule is held against: a request, or an operation that one begins.

    Attributes:
        operation: operationType, empty for a request.
        target: the operation's target from `projects/` on.
    """

    method: str
    path: str
    operation: str = ""
    target: str = ""

    def part(self, kind: str) -> str:
        """The project or zone that the path names; '' for none."""
        found = re.search(rf"/{kind}s/([^/:]+)", "/" + (self.target or self.path).lstrip("/"))
        return found[1] if found else ""


@dataclass
class Rule:
    """One rule and how often it matched and fired.

    Attributes:
        match: patterns (`*` and `?`) by name; what is not named matches everything.
        share: of the matching requests, that it fires for.
        count: so many of them at most; None for no end.
        skip: matching requests that pass before the first that it can fire for.
    """

    match: dict[str, list[str]]
    effect: Json
    share: float = 1.0
    count: int | None = None
    skip: int = 0
    matched: int = 0
    fired: int = 0
    said: Json = field(default_factory=dict)

    @property
    def of_operations(self) -> bool:
        """Whether it makes operations fail, and so is held against them."""
        return "operation_error" in self.effect

    def matches(self, asked: Asked) -> bool:
        """Whether the patterns fit."""
        values = {
            "method": asked.method,
            "path": asked.path,
            "project": asked.part("project"),
            "zone": asked.part("zone"),
            "operation": asked.operation,
            "target": asked.target,
        }
        return all(
            any(fnmatchcase(values[name], pattern) for pattern in patterns)
            for name, patterns in self.match.items()
        )

    def failure(self) -> ApiError:
        """The error with which an operation ends."""
        error = self.effect["operation_error"]
        return ApiError(
            error["http_status"],
            error["code"].lower(),
            error["message"],
            code=error["code"],
            details=error["details"],
        )

    def shown(self) -> Json:
        """As it was set, with how often it matched and fired."""
        return {**self.said, "matched": self.matched, "fired": self.fired}


def parse(said: Any, place: str) -> Rule:
    """A rule from JSON.

    Raises:
        ApiError: 400, names the field, its value and what it may be.
    """
    if not isinstance(said, dict):
        raise invalid(place, said, "A rule is an object.")
    known = (*_MATCH, *_EFFECTS, *_LIMITS, *_OTHERS)
    for name in said:
        if name not in known:
            raise invalid(f"{place}.{name}", said[name], f"A rule may have {', '.join(known)}.")
    effect = {name: said[name] for name in (*_EFFECTS, *_OTHERS) if said.get(name) is not None}
    if not any(name in effect for name in _EFFECTS):
        raise ApiError(400, "required", f"{place} names no effect: one of {', '.join(_EFFECTS)}")
    _check_effect(effect, place)
    match = {name: _patterns(said[name], f"{place}.{name}") for name in _MATCH if name in said}
    for name in ("operation", "target"):
        if name in match and "operation_error" not in effect:
            raise invalid(f"{place}.{name}", said[name], "It goes with operation_error only.")
    share = _number(said.get("share", 1), f"{place}.share", most=1)
    count = said.get("count")
    return Rule(
        match=match,
        effect=effect,
        share=share,
        count=None if count is None else _whole(count, f"{place}.count"),
        skip=_whole(said.get("skip", 0), f"{place}.skip"),
        said=dict(said),
    )


def _check_effect(effect: Json, place: str) -> None:
    choices = {"status": STATUSES, "connection": CONNECTIONS, "hold": HOLDS}
    for name, allowed in choices.items():
        if name in effect and effect[name] not in allowed:
            listed = ", ".join(map(str, allowed))
            raise invalid(f"{place}.{name}", effect[name], f"It must be one of {listed}.")
    for name in ("latency", "retry_after"):
        if name in effect:
            _number(effect[name], f"{place}.{name}")
    if "error" in effect:
        if "status" in effect:
            raise invalid(place, sorted(effect), "error goes with no status: it has its own.")
        effect["error"] = _refusal(effect["error"], f"{place}.error")
    if "retry_after" in effect and "status" not in effect:
        raise invalid(f"{place}.retry_after", effect["retry_after"], "It goes with status only.")
    if not isinstance(effect.get("revoke_tokens", True), bool):
        raise invalid(f"{place}.revoke_tokens", effect["revoke_tokens"], "It must be true.")
    if "operation_error" in effect:
        if set(effect) != {"operation_error"}:
            raise invalid(place, sorted(effect), "operation_error goes with no other effect.")
        effect["operation_error"] = _operation_error(effect["operation_error"], place)


def _refusal(error: Any, place: str) -> Json:
    """An answer that depends on the project's owners: rights, policies, locations."""
    if not isinstance(error, dict):
        raise invalid(place, error, "It must be an object with http_status, reason and messages.")
    known = ("http_status", "reason", "messages", "info", "location")
    for name in error:
        if name not in known:
            raise invalid(f"{place}.{name}", error[name], f"It may have {', '.join(known)}.")
    status, messages = error.get("http_status"), error.get("messages")
    if not isinstance(status, int) or not 400 <= status <= 499:
        raise invalid(f"{place}.http_status", status, "It must be a status from 400 to 499.")
    if not isinstance(error.get("reason"), str):
        raise invalid(f"{place}.reason", error.get("reason"), "It must be text.")
    if not isinstance(messages, list) or not all(isinstance(one, str) for one in messages):
        raise invalid(f"{place}.messages", messages, "It must be a list of texts.")
    if not messages:
        raise required(f"{place}.messages")
    if not isinstance(error.get("info", {}), dict):
        raise invalid(f"{place}.info", error["info"], "It must be an ErrorInfo.")
    return error


def _operation_error(error: Any, place: str) -> Json:
    place = f"{place}.operation_error"
    if not isinstance(error, dict):
        raise invalid(place, error, "It must be an object with code and message.")
    for name in ("code", "message"):
        if not error.get(name):
            raise required(f"{place}.{name}")
        if not isinstance(error[name], str):
            raise invalid(f"{place}.{name}", error[name], "It must be text.")
    status, details = error.get("http_status", 503), error.get("details", [])
    if not isinstance(status, int) or not 400 <= status <= 599:
        raise invalid(f"{place}.http_status", status, "It must be a status from 400 to 599.")
    if not isinstance(details, list):
        raise invalid(f"{place}.details", details, "It must be a list of errorDetails.")
    return {**error, "http_status": status, "details": details}


def _patterns(value: Any, place: str) -> list[str]:
    patterns = value if isinstance(value, list) else [value]
    if not patterns or not all(isinstance(one, str) and one for one in patterns):
        raise invalid(place, value, "It must be a pattern, or a list of them.")
    return patterns


def _number(value: Any, place: str, most: float = float("inf")) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        limit = "from 0 up" if most == float("inf") else f"from 0 to {most}"
        raise invalid(place, value, f"It must be a number {limit}.")
    return float(value)


def _whole(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise invalid(place, value, "It must be a whole number from 0 up.")
    return value
