# SPDX-License-Identifier: Apache-2.0
"""Runs a plan: `python -m benchmarks.serving.compare PLAN.yaml --model DIR --out FOLDER`.

Needs vLLM's Python. Servers run one after the other. Results are written after each run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml
from llm_benchmark.crew import load_tool
from llm_benchmark.environment import describe
from llm_benchmark.health import Sample, summarise
from llm_benchmark.load import Level, Load, measure
from llm_benchmark.report import load_of

from .servers import KEY, MODEL_NAME, ROOT, Server, StartError

#: What went on, and from when to when on the monotonic clock.
Window = tuple[str, float, float]


class Comparison:
    """One pass over a plan; `document` is what the report reads."""

    def __init__(self, plan: dict[str, Any], options: argparse.Namespace) -> None:
        self.plan, self.options = plan, options
        self.out: Path = options.out
        self.ends = time.monotonic() + options.seconds
        self.seed = options.first_seed
        #: Names of servers that did not start, or whose load could not be run.
        self.failed: set[str] = set()
        #: Samples of /health by server and what went on meanwhile, over all rounds.
        self.health: dict[tuple[str, str], list[Sample]] = {}
        self.document: dict[str, Any] = {
            "format": 1,
            "tool": "vllm bench serve",
            "title": plan["title"],
            "environment": describe(),
            "plan": plan,
            "rows": [],
            "starts": [],
            "bursts": [],
            "health": [],
        }
        os.environ["OPENAI_API_KEY"] = KEY
        began = time.monotonic()
        self.tool = load_tool(plan.get("load_processes", 1), plan.get("assume_full_answers", False))
        self._say(f"the load tool was imported in {time.monotonic() - began:.1f} s")

    def run(self) -> None:
        """Every server of the plan in turn, `rounds` times, until the time is over.

        More rounds let the servers alternate: what changes meanwhile, such as the clock of the
        GPU, then meets them all.
        """
        rounds = self.options.rounds or self.plan.get("rounds", 1)
        if self.plan.get("together"):
            self._together(rounds)
            return
        for number in range(1, rounds + 1):
            for wanted in self.plan["servers"]:
                name = wanted["name"]
                if name in self.failed or number > wanted.get("rounds", rounds):
                    continue
                if self.ends - time.monotonic() < wanted.get("needs_seconds", 0):
                    self._say(f"no time left for {name}")
                    continue
                with self._noted(wanted):
                    self._starts(wanted, number)
                self._save()

    def _together(self, rounds: int) -> None:
        """All servers are started, then the load goes from one to the next: one start for all.

        Every other round goes backwards, so that none is always the first.
        """
        with ExitStack() as stack:
            running = []
            for wanted in self.plan["servers"]:
                with self._noted(wanted):
                    running.append((wanted, stack.enter_context(self._serving(wanted, 1))))
            for number in range(1, rounds + 1):
                for wanted, server in running if number % 2 else running[::-1]:
                    if time.monotonic() < self.ends and not self.options.starts_only:
                        with self._noted(wanted):
                            self._load(server, wanted, number)

    @contextmanager
    def _noted(self, wanted: dict[str, Any]) -> Iterator[None]:
        """A server that fails is said and written down, and the others go on."""
        try:
            yield
        except (StartError, RuntimeError) as error:
            self._say(f"{wanted['name']}: {error}")
            self.document.setdefault("errors", []).append(f"{wanted['name']}: {error}")
            self.failed.add(wanted["name"])

    def _starts(self, wanted: dict[str, Any], round_: int) -> None:
        """The server's starts of one round; the load comes after the last."""
        starts = wanted.get("starts", 1)
        for number in range(1, starts + 1):
            with self._serving(wanted, (round_ - 1) * starts + number) as server:
                if number == starts and not self.options.starts_only:
                    self._load(server, wanted, round_)

    @contextmanager
    def _serving(self, wanted: dict[str, Any], number: int) -> Iterator[Server]:
        """A server from its start, which is timed, over its first bursts to its end."""
        server = Server(
            wanted["name"],
            wanted["kind"],
            self.options.model,
            self.plan["engine_args"] | wanted.get("engine_args", {}),
            self.out,
            wanted.get("environment", {}),
            wanted.get("settings", {}),
            wanted.get("offline"),
        )
        server.start()
        try:
            # Not at each start: being asked 50 times a second takes its time too.
            probe = wanted.get("probe_loading", False) and number == 1
            with self._watched(server, "loading") if probe else nullcontext():
                seconds = server.wait(self.plan["start_timeout"])
            self._say(f"{server.name}: start {number} took {seconds:.1f} s")
            self.document["starts"].append(
                {"server": server.name, "start": number, "seconds": seconds}
                | ({"cache": wanted["cache"]} if "cache" in wanted else {})
            )
            if not self.options.starts_only:
                for burst in range(wanted.get("bursts", 0)):
                    self._burst(server, wanted, number, burst + 1)
            if server.offline:
                rows = json.loads(server.offline_out.read_text(encoding="utf-8"))
                self.document["rows"] += rows
                for row in rows:
                    self._say(f"offline: {row['output_throughput']:.1f} tokens/s")
            yield server
        finally:
            server.stop()
            self._save()

    def _load(self, server: Server, wanted: dict[str, Any], round_: int) -> None:
        runs = wanted.get("runs", self.plan["runs"])
        for target in wanted.get("targets", []):
            levels = [Level.closed(str(each)) for each in _levels(wanted["closed"], target)]
            levels += [Level.open(str(each)) for each in _levels(wanted.get("open", []), target)]
            load = self._request(server, target)
            with self._watched(server, f"load on {target}") as windows:
                for row in measure(
                    self.tool, load, levels, runs, say=self._say, first_seed=self.seed
                ):
                    run = (round_ - 1) * runs + row["run"]
                    self.document["rows"].append({"server": server.name} | row | {"run": run})
                    windows.append((f"{target}, {load_of(row)}", *self.tool.window))
                    self._save()
                    if time.monotonic() > self.ends:
                        self._say("the time is over")
                        return
            self.seed += len(levels) * runs

    def _burst(self, server: Server, wanted: dict[str, Any], start: int, number: int) -> None:
        """So many requests at once, right after the start: does the first one stall?"""
        size = int(wanted.get("burst_size", 32))
        load = self._request(server, wanted["targets"][0])
        figures = self.tool.run(load, Level(size, concurrency=size), 100_000 + self.seed + number)
        row = {"server": server.name, "start": start, "burst": number, "size": size} | figures
        self.document["bursts"].append(row)
        self._say(f"{server.name}: burst {number} of {size} took {figures['duration']:.2f} s")

    def _request(self, server: Server, target: str) -> Load:
        return Load(
            server.base_url,
            MODEL_NAME,
            str(self.options.tokenizer or self.options.model),
            target,
            self.plan["input_tokens"],
            self.plan["output_tokens"],
        )

    @contextmanager
    def _watched(self, server: Server, when: str) -> Iterator[list[Window]]:
        """Times /health meanwhile, from another process; parts of the time get a row as well.

        Such a part is added to the list that this gives.
        """
        out = self.out / "health.json"
        out.unlink(missing_ok=True)
        path = os.pathsep.join([str(ROOT / "files"), os.environ.get("PYTHONPATH", "")])
        words = [
            *(sys.executable, "-m", "llm_benchmark", "health", f"--out={out}"),
            f"--url={server.base_url}/health",
        ]
        windows: list[Window] = []
        probe = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path})
        try:
            yield windows
        finally:
            probe.terminate()
            probe.wait(15)
            if out.exists():
                series = [tuple(each) for each in json.loads(out.read_text())["series"]]
                self._health(server.name, when, series, windows)

    def _health(self, name: str, when: str, series: list[Sample], windows: list[Window]) -> None:
        self.health.setdefault((name, when), []).extend(series)
        for part, began, ended in windows:
            within = [sample for sample in series if began <= sample[0] <= ended]
            self.health.setdefault((name, part), []).extend(within)
        self.document["health"] = [
            {"server": server, "when": what} | summarise(samples)
            for (server, what), samples in self.health.items()
        ]

    def _save(self) -> None:
        text = json.dumps(self.document, indent=1) + "\n"
        (self.out / "results.json").write_text(text, encoding="utf-8")

    def _say(self, text: str) -> None:
        left = self.ends - time.monotonic()
        print(f"[{left:5.0f} s left] {text}", flush=True)


def _levels(wanted: Any, target: str) -> list[Any]:
    """A server's levels: one list for all targets, or one for each."""
    return list(wanted.get(target, []) if isinstance(wanted, dict) else wanted)


def main() -> int:
    """Parses the command line and runs the plan."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, help="default: the model's")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=7200, help="begin nothing after these")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of servers; default: all")
    parser.add_argument("--rounds", type=int, help="default: the plan's")
    parser.add_argument(
        "--starts-only", action="store_true", help="start each server, which fills its caches"
    )
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    plan = yaml.safe_load(options.plan.read_text(encoding="utf-8"))
    if options.only:
        plan["servers"] = [s for s in plan["servers"] if s["name"] in options.only]
    comparison = Comparison(plan, options)
    comparison.run()
    return 1 if comparison.document.get("errors") else 0


if __name__ == "__main__":
    sys.exit(main())
