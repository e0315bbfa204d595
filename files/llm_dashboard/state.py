# SPDX-License-Identifier: Apache-2.0
"""How the server is, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .moments import ago
from .prometheus import Series

_WORDS = {
    "healthy": "Ready",
    "loading": "Loading",
    "draining": "Draining",
    "stuck": "Stuck",
    "unhealthy": "Unhealthy",
}
_MEANS = {
    "healthy": "it takes requests",
    "loading": "it takes no requests yet",
    "draining": "it lets requests finish and takes no new ones",
    "stuck": "it has requests and makes no tokens; systemd restarts it",
    "unhealthy": "its engine died; systemd restarts it",
}
#: In their order.
PHASES = ("begin", "import", "configuration", "engine", "api", "first_token", "warm_up")


@dataclass(frozen=True)
class State:
    """The line on top.

    Attributes:
        word: how it is, in one word.
        good: whether that is how it should be.
        text: the sentence.
        facts: name and value of what serves.
    """

    word: str
    good: bool
    text: str
    facts: tuple[tuple[str, str], ...]


def state(
    health: Mapping[str, Any] | None,
    release: Sequence[Series],
    gpus: Sequence[Series],
    down: str = "",
) -> State:
    """What the server says of itself, else that it says nothing.

    Args:
        health: the body of /health, or None.
        release: series of `llm_release_info`.
        gpus: a series for each model of GPU, with their number.
        down: why there is no `health`.
    """
    facts = _facts(health, release, gpus)
    if health is None:
        text = f"the server does not answer on its own host ({down})" if down else "no answer"
        return State("Down", False, text, facts)
    word = str(health.get("status", ""))
    told = _MEANS.get(word, word)
    detail = str(health.get("detail", ""))
    if detail and detail != "ready":
        told += f" ({detail})"
    since = ago(float(health.get("seconds", 0)))
    return State(_WORDS.get(word, word or "Unknown"), word == "healthy", f"{told}, for {since}",
                 facts)  # fmt: skip


def _facts(
    health: Mapping[str, Any] | None, release: Sequence[Series], gpus: Sequence[Series]
) -> tuple[tuple[str, str], ...]:
    labels = release[0].labels if release else {}
    model = str((health or {}).get("model") or labels.get("model", ""))
    found = {
        "Model": model,
        "vLLM": labels.get("vllm", ""),
        "Release": labels.get("release", ""),
        "GPU": ", ".join(
            f"{int(one.last or 0)} x {one.labels.get('modelName', '')}" for one in gpus
        ),
    }
    return tuple((name, value) for name, value in found.items() if value)


def phases(found: Sequence[Series]) -> list[tuple[str, float]]:
    """The last start: each phase and its seconds, in their order."""
    known = {one.labels.get("phase", ""): one.last for one in found}
    return [
        (name.replace("_", " "), seconds)
        for name in PHASES
        if (seconds := known.get(name)) is not None
    ]
