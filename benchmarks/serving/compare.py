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
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import yaml
from llm_benchmark.environment import describe
from llm_benchmark.load import Level, Load, Tool, measure

from .servers import KEY, MODEL_NAME, ROOT, Server, StartError


class Comparison:
    """One pass over a plan; `document` is what the report reads."""

    def __init__(self, plan: dict[str, Any], options: argparse.Namespace) -> None:
        self.plan, self.options = plan, options
        self.out: Path = options.out
        self.ends = time.monotonic() + options.seconds
        self.seed = options.first_seed
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
        self.tool = Tool(plan.get("assume_full_answers", False))
        self._say(f"the load tool was imported in {time.monotonic() - began:.1f} s")

    def run(self) -> None:
        """Every server of the plan, until the time is over."""
        for wanted in self.plan["servers"]:
            if self.ends - time.monotonic() < wanted.get("needs_seconds", 0):
                self._say(f"no time left for {wanted['name']}")
                continue
            for number in range(1, wanted.get("starts", 1) + 1):
                last = number == wanted.get("starts", 1)
                try:
                    self._one(wanted, number, last)
                except (StartError, RuntimeError) as error:
                    self._say(f"{wanted['name']}: {error}")
                    self.document.setdefault("errors", []).append(f"{wanted['name']}: {error}")
                    break
            self._save()

    def _one(self, wanted: dict[str, Any], number: int, last: bool) -> None:
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
            for burst in range(wanted.get("bursts", 0)):
                self._burst(server, wanted, number, burst + 1)
            if server.offline:
                rows = json.loads(server.offline_out.read_text(encoding="utf-8"))
                self.document["rows"] += rows
                for row in rows:
                    self._say(f"offline: {row['output_throughput']:.1f} tokens/s")
            if last:
                self._load(server, wanted)
        finally:
            server.stop()
            self._save()

    def _load(self, server: Server, wanted: dict[str, Any]) -> None:
        for target in wanted.get("targets", []):
            levels = [Level.closed(str(each)) for each in wanted["closed"]]
            levels += [Level.open(str(each)) for each in wanted.get("open", [])]
            runs = wanted.get("runs", self.plan["runs"])
            load = self._request(server, target)
            with self._watched(server, f"load on {target}"):
                for row in measure(
                    self.tool, load, levels, runs, say=self._say, first_seed=self.seed
                ):
                    self.document["rows"].append({"server": server.name} | row)
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
    def _watched(self, server: Server, when: str) -> Iterator[None]:
        """Times /health meanwhile, from another process."""
        out = self.out / "health.json"
        out.unlink(missing_ok=True)
        path = os.pathsep.join([str(ROOT / "files"), os.environ.get("PYTHONPATH", "")])
        words = [
            *(sys.executable, "-m", "llm_benchmark", "health", f"--out={out}"),
            f"--url={server.base_url}/health",
        ]
        probe = subprocess.Popen(words, env=os.environ | {"PYTHONPATH": path})
        try:
            yield
        finally:
            probe.terminate()
            probe.wait(15)
            if out.exists():
                row = {"server": server.name, "when": when} | json.loads(out.read_text())
                self.document["health"].append(row)

    def _save(self) -> None:
        text = json.dumps(self.document, indent=1) + "\n"
        (self.out / "results.json").write_text(text, encoding="utf-8")

    def _say(self, text: str) -> None:
        left = self.ends - time.monotonic()
        print(f"[{left:5.0f} s left] {text}", flush=True)


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
