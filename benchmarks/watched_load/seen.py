# SPDX-License-Identifier: Apache-2.0
"""What Prometheus has of a time in which the server started again, from the raw samples."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.demo.watched import samples

#: Seconds of samples before the load, which hold what there was before.
BEFORE_S = 60
_METRICS = ("llm_requests_total", "llm_refused_total", "llm_tokens_total")
#: Reasons of who asks, how much, and what the server can do now. Others are of what was sent: 400.
REFUSALS = frozenset(
    {
        *("no_key", "wrong_key", "wrong_scheme", "several_keys", "expired_key", "out_of_scope"),
        *("rate_requests", "rate_tokens", "budget_day", "budget_month"),
        *("full", "bodies_full", "grammars_full", "loading", "draining", "stuck", "unhealthy"),
    }
)
_STARTED = 'process_start_time_seconds{job="llm"}'
_FIRING = 'ALERTS{alertstate="firing",alertname!="Watchdog"}'


@dataclass(frozen=True)
class Times:
    """Seconds since 1970: the load's begin and end, the restart's and the next ready server's."""

    began: float
    restarted: float
    ready: float
    ended: float

    def healthy(self, at: float) -> bool:
        """Whether nobody had restarted anything, or all was over."""
        return self.began <= at < self.restarted or self.ready <= at


def counted(demo: Mapping[str, Any], keys: Sequence[str], times: Times) -> Counter[tuple[str, str]]:
    """By key and requests, refused, wrong, prompt or generation."""
    matchers = f'__name__=~"{"|".join(_METRICS)}",key=~"{"|".join(keys)}",route!="/health"'
    since = renewed(demo, times)
    found: Counter[tuple[str, str]] = Counter()
    for labels, values in samples(demo, f"{{{matchers}}}", _seconds(times)):
        for word in _words(labels):
            found[labels["key"], word] += increase(values, times.began, since)
    return found


def _words(labels: Mapping[str, str]) -> list[str]:
    """What the load calls it that this series counts."""
    if labels["__name__"] == "llm_tokens_total":
        return [labels["direction"]]
    if labels["__name__"] == "llm_refused_total":
        return ["refused" if labels["reason"] in REFUSALS else "wrong"]
    return ["requests", "wrong"] if labels["outcome"] == "client_error" else ["requests"]


def increase(values: Sequence[tuple[float, float]], began: float, renewed: float) -> int:
    """What a counter added since `began`; the process that is there from `renewed` on began at 0.

    A series that was not there yet stood at 0. One that falls began again: the server that loads
    counts by itself, and what is ready counts from 0 again.
    """
    last = max((value for at, value in values if at < began), default=0.0)
    added, new = 0.0, False
    for at, value in values:
        if at < began:
            continue
        if (at >= renewed and not new) or value < last:
            last, new = 0.0, new or at >= renewed
        added, last = added + value - last, value
    return int(added)


def renewed(demo: Mapping[str, Any], times: Times) -> float:
    """When Prometheus first saw the new process, in seconds since 1970."""
    [(_, values)] = samples(demo, _STARTED, _seconds(times))
    starts = [value for at, value in values if at < times.restarted]
    return next((at for at, value in values if value > max(starts)), math.inf)


def _seconds(times: Times) -> int:
    return int(time.time() - times.began) + BEFORE_S


def fired(demo: Mapping[str, Any], times: Times) -> dict[str, list[str]]:
    """Alerts that fired while all was well, and those that fired in between."""
    found: dict[str, set[str]] = {"healthy": set(), "restart": set()}
    for labels, values in samples(demo, _FIRING, _seconds(times)):
        for at, _ in values:
            if at >= times.began:
                found["healthy" if times.healthy(at) else "restart"].add(labels["alertname"])
    return {part: sorted(names) for part, names in found.items()}
