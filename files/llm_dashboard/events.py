# SPDX-License-Identifier: Apache-2.0
"""What happened, and when: from series that changed, and from what systemd says. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .logs.entries import Entry
from .moments import Span
from .prometheus import Series
from .state import PHASES

#: States that are worth a mark; loading follows a start, and healthy ends each of them.
_STATES = {
    "healthy": "ready: it takes requests",
    "draining": "draining: it takes no new requests",
    "stuck": "stuck: it has requests and makes no tokens",
    "unhealthy": "unhealthy: its engine died",
}
_SYSTEMD = {
    "reloaded": "keys, limits or a certificate were read again",
    "stopping": "systemd stops it",
    "failed": "it failed",
    "not started": "it did not start",
    "restart": "systemd starts it again after a failure",
}
#: What those say that watch beside the server, by the kind of event that it is. A line begins with
#: its level and its logger.
_WATCHERS = (
    ("idle stop", re.compile(r"\w+ llm_server\.idle_stop: (Switching this machine off: .*)")),
    ("idle stop", re.compile(r"\w+ llm_server\.idle_stop: (The server goes on: .*)")),
    (
        "preemption",
        re.compile(r"\w+ llm_server\.preemption: (Google takes this instance back\b.*)"),
    ),
)
#: What systemd says of several things within so many seconds is one event.
_TOGETHER_S = 2.0
#: Phases of a start that are worth naming.
_SHORT_S = 0.5


@dataclass(frozen=True)
class Event:
    """One thing that happened: seconds since 1970, a kind of one word, and a sentence."""

    at: float
    kind: str
    text: str


def of_series(found: Mapping[str, Sequence[Series]], span: Span) -> list[Event]:
    """Events from the expressions of `panels.EVENTS`, those within the span alone."""
    events = [
        *_starts(found.get("started", ())),
        *_states(found.get("state", ()), found.get("phases", ()), span),
        *_releases(found.get("release", ()), span),
        *_alerts(found.get("alert", ()), span),
        *_xids(found.get("xid", ())),
    ]
    return sorted(
        (one for one in events if span.start <= one.at <= span.end), key=lambda one: one.at
    )


def _starts(found: Iterable[Series]) -> Iterable[Event]:
    # The value is the moment itself; Prometheus writes it with less than a microsecond.
    moments = dict.fromkeys(round(value) for one in found for _, value in one.points)
    return (Event(float(at), "start", "the server's process started") for at in moments)


def _begins(one: Series, span: Span) -> Iterable[float]:
    """When a series came to be, again and again; not what was there at the span's start."""
    before: float = span.start
    for at, _ in one.points:
        if at - before > 1.5 * span.step:
            yield at
        before = at


def _states(found: Iterable[Series], phases: Sequence[Series], span: Span) -> Iterable[Event]:
    for one in found:
        state = one.labels.get("state", "")
        if state in _STATES:
            for at in _begins(one, span):
                took = _took(phases, at) if state == "healthy" else ""
                yield Event(at, "state", _STATES[state] + took)


def _took(phases: Sequence[Series], at: float) -> str:
    """How long the start took that was over then, by phases."""
    values = {
        one.labels.get("phase", ""): value
        for one in phases
        for moment, value in one.points
        if moment == at
    }
    known = [(name.replace("_", " "), values[name]) for name in PHASES if name in values]
    if not known:
        return ""
    parts = ", ".join(f"{name} {value:.0f} s" for name, value in known if value >= _SHORT_S)
    return f", after {sum(value for _, value in known):.0f} s ({parts})" if parts else ""


def _releases(found: Sequence[Series], span: Span) -> Iterable[Event]:
    for one in found:
        labels = one.labels
        others = [each for each in found if each is not one and _serves_the_same(each, one)]
        text = (
            f"release {labels.get('release', '')} serves: {labels.get('model', '')}"
            f" on vLLM {labels.get('vllm', '')}"
        )
        # A process that starts again with the same release is no deployment.
        first = next(iter(_begins(one, span)), None)
        if first is None or len(found) == 1:
            continue
        if any(each.points and each.points[0][0] < first for each in others):
            yield Event(first, "settings", f"other settings are in force; {text}")
        else:
            yield Event(first, "deploy", text)


def _serves_the_same(one: Series, other: Series) -> bool:
    names = ("release", "model", "vllm")
    return all(one.labels.get(name) == other.labels.get(name) for name in names)


def _alerts(found: Iterable[Series], span: Span) -> Iterable[Event]:
    for one in found:
        name = one.labels.get("alertname", "")
        yield from (Event(at, "alert", f"alert {name} fires") for at in _begins(one, span))


def _xids(found: Iterable[Series]) -> Iterable[Event]:
    for one in found:
        gpu, xid, action = (one.labels.get(name, "") for name in ("gpu", "xid", "action"))
        text = f"Xid {xid} on GPU {gpu}: NVIDIA's action is to {_verb(action)}"
        yield from (
            Event(float(at), "gpu", text)
            for at in dict.fromkeys(round(value) for _, value in one.points)
        )


def _verb(action: str) -> str:
    return {"reset": "reset it", "recreate elsewhere": "take another machine"}.get(action, action)


def of_journal(entries: Iterable[Entry]) -> list[Event]:
    """What systemd says of the server's units, the causes of a restart among it."""
    found: list[Event] = []
    for entry in sorted(entries, key=lambda one: one.time_us):
        if entry.source != "systemd":
            found += _of_watcher(entry)
            continue
        text = _said(entry)
        if text is None:
            continue
        at = entry.time_us / 1e6
        if found and at - found[-1].at <= _TOGETHER_S and found[-1].kind == "systemd":
            text = f"{found[-1].text}; {text}" if text not in found[-1].text else found[-1].text
            found[-1] = Event(found[-1].at, "systemd", text)
        else:
            found.append(Event(at, "systemd", text))
    return found


def _of_watcher(entry: Entry) -> Iterable[Event]:
    for kind, pattern in _WATCHERS:
        if matched := pattern.match(entry.text):
            yield Event(entry.time_us / 1e6, kind, matched[1])


def _said(entry: Entry) -> str | None:
    if entry.event == "exited":
        return f"{entry.unit}: its process ended with {entry.status or 'no status'}"
    if entry.event not in _SYSTEMD:
        return None
    why = f" ({entry.result})" if entry.result and entry.result != "done" else ""
    return f"{entry.unit}: {_SYSTEMD[entry.event]}{why}"


def together(*parts: Iterable[Event]) -> list[Event]:
    """All of them, the newest first."""
    return sorted((one for part in parts for one in part), key=lambda one: one.at, reverse=True)


def rows(events: Iterable[Event], written: Any) -> list[dict[str, str]]:
    """For the page."""
    return [{"time": written(one.at), "kind": one.kind, "text": one.text} for one in events]
