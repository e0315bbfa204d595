# SPDX-License-Identifier: Apache-2.0
"""The order in which a plan's servers run, and what is kept of /health meanwhile."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_benchmark.load import TARGETS, Level, Load, Tool

from benchmarks.serving import compare
from benchmarks.serving.compare import Comparison
from benchmarks.serving.servers import StartError

SERVING = Path(compare.__file__).parent


class FakeServer:
    """Notes when it starts; `fails` are the names that never become ready."""

    def __init__(self, events: list[str], fails: set[str], name: str, *_: Any) -> None:
        self.name, self.events, self.fails = name, events, fails
        self.base_url, self.offline = "http://nowhere", None

    def start(self) -> None:
        self.events.append(f"start {self.name}")

    def wait(self, timeout: float) -> float:
        if self.name in self.fails:
            raise StartError(f"{self.name} was not ready after {timeout:.0f} s")
        return 1.0

    def stop(self) -> None:
        self.events.append(f"stop {self.name}")


class FakeTool:
    """Each run takes a second of a clock that begins at 0."""

    def __init__(self, events: list[str]) -> None:
        self.events, self.window = events, (-1.0, 0.0)

    def run(self, load: Load, level: Level, _seed: int) -> dict[str, Any]:
        self.events.append(f"{load.target} {level.concurrency}")
        self.window = (self.window[0] + 1, self.window[1] + 1)
        return {"output_throughput": 1.0, "p50_e2el_ms": 1.0, "duration": 1.0}


Run = Callable[..., tuple[Comparison, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a plan without any server; gives the comparison and what happened in which order."""

    def run(
        servers: list[dict[str, Any]],
        fails: set[str] | None = None,
        starts_only: bool = False,
        **plan: Any,
    ) -> tuple[Comparison, list[str]]:
        events: list[str] = []

        @contextmanager
        def no_probe(
            self: Comparison, server: FakeServer, when: str
        ) -> Iterator[list[compare.Window]]:
            windows: list[compare.Window] = []
            yield windows
            series = [(at / 10, at / 1000, 200) for at in range(1000)]
            self._health(server.name, when, series, windows)

        monkeypatch.setattr(compare, "load_tool", lambda _processes, _full: FakeTool(events))
        monkeypatch.setattr(
            compare, "Server", lambda *words: FakeServer(events, fails or set(), *words)
        )
        monkeypatch.setattr(Comparison, "_watched", no_probe)
        monkeypatch.setenv("OPENAI_API_KEY", "")
        options = argparse.Namespace(
            out=tmp_path,
            model=tmp_path,
            tokenizer=None,
            seconds=60,
            first_seed=1,
            rounds=None,
            starts_only=starts_only,
        )
        whole = {
            "title": "t",
            "runs": 1,
            "engine_args": {},
            "input_tokens": 1,
            "output_tokens": 1,
            "start_timeout": 1,
            "servers": servers,
        }
        comparison = Comparison(whole | plan, options)
        comparison.run()
        return comparison, events

    return run


def one(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "kind": "ours", "targets": ["completions"], "closed": ["2"]} | more


def test_servers_take_turns(run: Run) -> None:
    comparison, events = run([one("a"), one("b"), one("c", rounds=1)], rounds=2)
    assert [event for event in events if event.startswith("start")] == [
        *("start a", "start b", "start c"),
        *("start a", "start b"),
    ]
    assert [(row["server"], row["run"]) for row in comparison.document["rows"]] == [
        *(("a", 1), ("b", 1), ("c", 1)),
        *(("a", 2), ("b", 2)),
    ]
    assert [each["start"] for each in comparison.document["starts"]] == [1, 1, 1, 2, 2]


def test_runs_and_starts_count_on_over_the_rounds(run: Run) -> None:
    comparison, events = run([one("a", starts=2)], rounds=2, runs=2)
    assert [row["run"] for row in comparison.document["rows"]] == [1, 2, 3, 4]
    assert [each["start"] for each in comparison.document["starts"]] == [1, 2, 3, 4]
    assert events.count("start a") == events.count("stop a") == 4


def test_a_target_has_levels_of_its_own(run: Run) -> None:
    closed = {"completions": ["1", "2"], "generate": ["4"]}
    _, events = run([one("a", targets=["completions", "generate"], closed=closed)])
    assert events[1:-1] == ["completions 1", "completions 2", "generate 4"]


def test_a_server_that_did_not_start_is_not_tried_again(run: Run) -> None:
    comparison, events = run([one("a"), one("b")], fails={"a"}, rounds=2)
    assert events.count("start a") == events.count("stop a") == 1
    assert events.count("start b") == 2
    assert comparison.document["errors"] == ["a: a was not ready after 1 s"]


def test_servers_that_stand_side_by_side_take_turns_both_ways(run: Run) -> None:
    comparison, events = run([one("a"), one("b")], together=True, rounds=2)
    assert events[:2] == ["start a", "start b"] and events[-2:] == ["stop b", "stop a"]
    assert [(row["server"], row["run"]) for row in comparison.document["rows"]] == [
        *(("a", 1), ("b", 1)),
        *(("b", 2), ("a", 2)),
    ]
    assert [each["start"] for each in comparison.document["starts"]] == [1, 1]


def test_one_of_them_that_does_not_start_leaves_the_other(run: Run) -> None:
    comparison, events = run([one("a"), one("b")], fails={"a"}, together=True)
    assert events == ["start a", "stop a", "start b", "completions 2", "stop b"]
    assert comparison.document["errors"] == ["a: a was not ready after 1 s"]


def test_starts_alone_fill_the_caches(run: Run) -> None:
    comparison, events = run([one("a", bursts=1)], starts_only=True)
    assert events == ["start a", "stop a"]
    assert comparison.document["rows"] == comparison.document["bursts"] == []


def test_health_is_summed_up_for_each_level_over_the_rounds(run: Run) -> None:
    comparison, _ = run([one("a", closed=["1", "256"])], rounds=2)
    found = {each["when"]: each for each in comparison.document["health"]}
    assert list(found) == [
        "load on completions",
        "completions, 1 at once",
        "completions, 256 at once",
    ]
    # A second of each round, asked ten times a second; both of its ends count.
    assert found["completions, 256 at once"]["samples"] == 22
    # 256 ran in the seconds 1 to 2 and 3 to 4; 40 ms are asked at 4 s.
    assert found["completions, 256 at once"]["max_ms"] == pytest.approx(40)
    assert found["load on completions"]["samples"] == 2000


@pytest.mark.parametrize("plan", sorted(SERVING.glob("*.yaml")), ids=lambda path: path.stem)
def test_plans_ask_for_targets_and_levels_that_exist(plan: Path) -> None:
    servers = yaml.safe_load(plan.read_text(encoding="utf-8"))["servers"]
    assert len({server["name"] for server in servers}) == len(servers)
    for server in servers:
        assert set(server["targets"]) <= set(TARGETS)
        for target in server["targets"]:
            levels = compare._levels(server["closed"], target)
            assert levels, f"{server['name']} is asked nothing on {target}"
            assert all(Level.closed(level).concurrency for level in levels)


def test_the_tool_keeps_what_failed_requests_were_told() -> None:
    class Serve:
        async def main_async(self, _args: Any) -> dict[str, Any]:
            return {
                "completed": 1,
                "duration": 2.5,
                "start_times": [11.0, 10.0, 0.0],
                "errors": ["Traceback\nValueError: too long", ""],
            }

    class Parser:
        def parse_args(self, words: list[str]) -> None:
            # Without it the tool drops both lists before it gives its result.
            assert "--save-detailed" in words

    tool = Tool.__new__(Tool)
    tool.serve, tool._parser = Serve(), Parser()
    figures = tool.run(Load("http://h", "m", "/t"), Level.closed("1"), 1)
    assert figures["errors"] == {"ValueError: too long": 1}
    assert tool.window == (10.0, 12.5)
