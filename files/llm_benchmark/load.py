# SPDX-License-Identifier: Apache-2.0
"""Runs `vllm bench serve` against an endpoint, level by level, in one process.

In one process because importing vLLM takes longer than most of the runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

#: What is asked → the tool's name for it, and the path.
TARGETS = {
    "completions": ("openai", "/v1/completions"),
    "completions-whole": ("completions-whole", "/v1/completions"),
    "chat": ("openai-chat", "/v1/chat/completions"),
    "generate": ("generate", "/generate"),
    "generate-stream": ("generate-stream", "/generate"),
}

#: Targets that answer in one piece: they have no time to first token of their own.
WHOLE = frozenset({"completions-whole", "generate"})

#: Figures of the tool that are kept, its names; milliseconds where they end in `_ms`.
PERCENTILES = (50, 95, 99)
KEPT = (
    "completed",
    "failed",
    "duration",
    "total_input_tokens",
    "total_output_tokens",
    "request_throughput",
    "output_throughput",
    *(f"p{p}_{metric}_ms" for metric in ("ttft", "itl", "e2el") for p in PERCENTILES),
)


@dataclass(frozen=True)
class Level:
    """How much load: so many at once (closed loop), or so many a second (open loop)."""

    requests: int
    concurrency: int | None = None
    rate: float | None = None

    @property
    def loop(self) -> str:
        """`closed` or `open`."""
        return "closed" if self.rate is None else "open"

    @classmethod
    def closed(cls, text: str) -> Level:
        """Reads `CONCURRENCY` or `CONCURRENCY:REQUESTS`; four rounds unless told otherwise."""
        at_once, _, requests = text.partition(":")
        number = _positive(at_once)
        return cls(_positive(requests) if requests else max(8, 4 * number), concurrency=number)

    @classmethod
    def open(cls, text: str) -> Level:
        """Reads `RATE` or `RATE:REQUESTS`, in requests a second; ten seconds of it unless told."""
        rate, _, requests = text.partition(":")
        number = float(rate)
        if not 0 < number < float("inf"):
            raise ValueError(f"a rate must be above 0, found {rate}")
        return cls(_positive(requests) if requests else max(8, int(10 * number)), rate=number)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(f"must be 1 or more, found {text}")
    return number


@dataclass(frozen=True)
class Load:
    """What is sent where; lengths are in tokens."""

    base_url: str
    model: str
    tokenizer: str
    target: str = "completions"
    input_tokens: int = 256
    output_tokens: int = 128
    temperature: float = 0.7
    top_p: float = 0.9

    def words(self, level: Level, seed: int) -> list[str]:
        """The tool's command line for one run. A seed of its own keeps prefix caches out."""
        backend, path = TARGETS[self.target]
        words = [
            f"--backend={backend}",
            f"--base-url={self.base_url}",
            f"--endpoint={path}",
            f"--model={self.model}",
            f"--served-model-name={self.model}",
            f"--tokenizer={self.tokenizer}",
            "--dataset-name=random",
            f"--random-input-len={self.input_tokens}",
            f"--random-output-len={self.output_tokens}",
            f"--num-prompts={level.requests}",
            f"--seed={seed}",
            f"--temperature={self.temperature}",
            f"--top-p={self.top_p}",
            "--percentile-metrics=ttft,tpot,itl,e2el",
            f"--metric-percentiles={','.join(map(str, PERCENTILES))}",
            "--ready-check-timeout-sec=0",
            "--disable-tqdm",
            # Else the tool drops what failed requests were told, and when each began.
            "--save-detailed",
        ]
        if level.concurrency is not None:
            words.append(f"--max-concurrency={level.concurrency}")
        if level.rate is not None:
            words.append(f"--request-rate={level.rate}")
        return words


class NothingAnsweredError(RuntimeError):
    """Not one request of a run was answered; the text says what most were told."""


def _last_line(error: str) -> str:
    """What matters of an error: the tool keeps whole tracebacks."""
    return error.strip().splitlines()[-1][:200]


class Tool:
    """vLLM's load tool, imported once."""

    def __init__(self, assume_full: bool = False) -> None:
        from vllm.benchmarks import serve  # noqa: PLC0415 - takes seconds
        from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415

        from . import request_functions  # noqa: PLC0415

        request_functions.register(assume_full)
        self.serve = serve
        self._parser = FlexibleArgumentParser()
        serve.add_cli_args(self._parser)
        #: From the last run's first request to its last answer, on the monotonic clock.
        self.window = (0.0, 0.0)

    def raw(self, load: Load, level: Level, seed: int) -> dict[str, Any]:
        """One run: all that the tool gives, also the times of each request."""
        args = self._parser.parse_args(load.words(level, seed))
        with contextlib.redirect_stdout(sys.stderr):  # the tool prints tables
            result: dict[str, Any] = asyncio.run(self.serve.main_async(args))
        return result

    def run(self, load: Load, level: Level, seed: int) -> dict[str, Any]:
        """One run: the tool's own figures, those in `KEPT`.

        Raises:
            NothingAnsweredError: not one request was answered.
        """
        figures, self.window = figures_of(load, level, self.raw(load, level, seed))
        return figures


def figures_of(
    load: Load, level: Level, result: dict[str, Any]
) -> tuple[dict[str, Any], tuple[float, float]]:
    """What is kept of a run, and from when to when it was on the monotonic clock.

    Raises:
        NothingAnsweredError: not one request was answered.
    """
    errors = Counter(_last_line(error) for error in result.get("errors") or [] if error)
    if not result["completed"]:
        said = f": {errors.most_common(1)[0][0]}" if errors else ""
        raise NothingAnsweredError(
            f"{load.base_url}: none of {level.requests} requests was answered{said}"
        )
    began = min((at for at in result.get("start_times", []) if at), default=0.0)
    figures = {name: result[name] for name in KEPT if name in result}
    if errors:
        figures["errors"] = dict(errors.most_common(5))
    if load.target in WHOLE:
        figures = {k: v for k, v in figures.items() if "_ttft_" not in k and "_itl_" not in k}
    return figures, (began, began + result["duration"])


class Runs(Protocol):
    """What a load can be run with: a `Tool`, or several."""

    #: From the last run's first request to its last answer, on the monotonic clock.
    window: tuple[float, float]

    def run(self, load: Load, level: Level, seed: int) -> dict[str, Any]:
        """One run's figures."""


def measure(
    tool: Runs,
    load: Load,
    levels: list[Level],
    runs: int,
    *,
    say: Callable[[str], None],
    first_seed: int = 1,
) -> Iterator[dict[str, Any]]:
    """Runs every level `runs` times, all levels once before any again; yields one row a run."""
    seed = first_seed
    for number in range(1, runs + 1):
        for level in levels:
            figures = tool.run(load, level, seed)
            seed += 1
            row = {
                "target": load.target,
                "loop": level.loop,
                "concurrency": level.concurrency,
                "rate": level.rate,
                "run": number,
                "input_tokens": load.input_tokens,
                "output_tokens": load.output_tokens,
            } | figures
            say(_line(row))
            yield row


def _line(row: dict[str, Any]) -> str:
    how = f"{row['concurrency']} at once" if row["loop"] == "closed" else f"{row['rate']}/s"
    first = f", first token p50 {row['p50_ttft_ms']:.0f} ms" if "p50_ttft_ms" in row else ""
    return (
        f"{row['target']} {how}, run {row['run']}: {row['output_throughput']:.1f} tokens/s,"
        f" total p50 {row['p50_e2el_ms']:.0f} ms{first}, failed {row.get('failed', 0)}"
    )
