# SPDX-License-Identifier: Apache-2.0
"""The load tool in several processes at once.

One process reads some eight thousand streamed pieces a second, of which it parses each. A server
that sends more is measured as fast as the tool; and the one that sends its pieces one by one as
slower than the one that falls behind and sends two together.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import signal
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

from .load import PERCENTILES, Level, Load, Runs, Tool, figures_of
from .summary import percentile

#: No process gets fewer requests at once than these: the single-process figures stay comparable.
FEWEST = 16
#: Seconds in which all have to have made their prompts.
START_S = 120.0

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def split(level: Level, processes: int) -> list[Level]:
    """The level in equal parts, as many as are worth a process; what is left over goes first."""
    room = (level.concurrency or level.requests) // FEWEST
    parts = max(1, min(processes, room, level.requests))
    return [
        Level(
            _part(level.requests, parts, number),
            None if level.concurrency is None else _part(level.concurrency, parts, number),
            None if level.rate is None else level.rate / parts,
        )
        for number in range(parts)
    ]


def _part(whole: int, parts: int, number: int) -> int:
    return whole // parts + (number < whole % parts)


def merged(results: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """One result of the tool's form out of those of the parts, which ran at the same time.

    The duration is from the first request to the last answer; times are in seconds, those under
    `pNN_*_ms` in milliseconds.
    """
    whole: dict[str, Any] = {"errors": []}
    starts, ends, ttfts, itls, totals = [], [], [], [], []
    for one in results:
        whole["errors"] += one["errors"]
        for name in ("completed", "failed", "total_input_tokens", "total_output_tokens"):
            whole[name] = whole.get(name, 0) + one.get(name, 0)
        for start, ttft, itl, error in zip(
            one["start_times"], one["ttfts"], one["itls"], one["errors"], strict=True
        ):
            if error or not ttft:
                continue
            starts.append(start)
            ttfts.append(ttft)
            itls += itl
            totals.append(ttft + sum(itl))
            ends.append(start + totals[-1])
    whole["start_times"] = starts
    whole["duration"] = max(ends) - min(starts) if starts else 0.0
    for count, rate in (("completed", "request"), ("total_output_tokens", "output")):
        seconds = whole["duration"]
        whole[f"{rate}_throughput"] = whole.get(count, 0) / seconds if seconds else 0.0
    for metric, values in (("ttft", ttfts), ("itl", itls), ("e2el", totals)):
        for percent in PERCENTILES:
            value = percentile(values, percent)
            if value is not None:
                whole[f"p{percent}_{metric}_ms"] = value * 1000
    return whole


class Crew:
    """Processes that have imported vLLM's load tool and wait for work; used like a `Tool`."""

    def __init__(self, processes: int, assume_full: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        self._barriers = {n: context.Barrier(n) for n in range(1, processes + 1)}
        self._ends: list[Connection] = []
        self.window = (0.0, 0.0)
        for number in range(processes):
            mine, theirs = context.Pipe()
            context.Process(
                target=_work,
                args=(theirs, self._barriers, assume_full),
                name=f"load-{number}",
                daemon=True,
            ).start()
            theirs.close()
            self._ends.append(mine)
        for end in self._ends:
            end.recv()  # it has imported what it needs

    def run(self, load: Load, level: Level, seed: int) -> dict[str, Any]:
        """One run, as `Tool.run`; each process draws prompts of its own.

        Raises:
            NothingAnsweredError: not one request was answered.
        """
        parts = split(level, len(self._ends))
        for number, (end, part) in enumerate(zip(self._ends, parts, strict=False)):
            end.send((load, part, seed + 1_000_000 * number, len(parts)))
        results = [end.recv() for end, _part in zip(self._ends, parts, strict=False)]
        for one in results:
            if isinstance(one, str):
                self._barriers[len(parts)].reset()  # those that waited longest broke it
                raise RuntimeError(f"the load tool failed: {one}")
        figures, self.window = figures_of(load, level, merged(results))
        return figures | {"load_processes": len(parts)}


def load_tool(processes: int, assume_full: bool = False) -> Runs:
    """The load tool: in this process, or in so many others where it is more than one."""
    return Crew(processes, assume_full) if processes > 1 else Tool(assume_full)


def _end_with_parent() -> None:
    # Also with one that ends without a word: what it has begun would go on sending.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _work(end: Connection, barriers: dict[int, Any], assume_full: bool) -> None:
    _end_with_parent()
    tool = Tool(assume_full)
    inner = tool.serve.benchmark
    parts = 1

    async def benchmark(*words: Any, **named: Any) -> Any:
        # The prompts are made: from here on all send at the same time.
        barriers[parts].wait(START_S)
        return await inner(*words, **named)

    tool.serve.benchmark = benchmark
    end.send(None)
    while True:
        try:
            load, level, seed, parts = end.recv()
        except EOFError:
            return
        try:
            end.send(tool.raw(load, level, seed))
        except Exception as error:  # the others wait at the barrier no longer than they may
            end.send(f"{type(error).__name__}: {error}")
