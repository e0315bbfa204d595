# SPDX-License-Identifier: Apache-2.0
"""Measure what a site.yml with nothing to do costs the controller: CPU and wall seconds by phase.

usage: python -m benchmarks.no_change [--demo] [--direct-execution-off] [--keep FILE] [--tasks N]

Preflight and provision run on the emulator of records, where an earlier run made what there is.
With --demo the whole of it runs on a demo that is up, whose machine is not counted. CPU seconds
are those of ansible-playbook and all that it waited for. They depend little on what else the
machine does; wall seconds do. --keep adds a line to a file, by commit.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.api_cost import METRICS, Json, circumstances
from tests.support.emulator_fixture import ROOT, Api, Emulator
from tests.support.playbook_runs import PROGRAM
from tests.support.site_fixture import Site

PHASES = ("start", "settings", "preflight", "provision", "configure", "verify")
KEPT = ROOT / "benchmarks" / "results" / "no-change.jsonl"


@contextmanager
def records() -> Iterator[list[str]]:
    """Arguments for an inventory whose instance an earlier run made."""
    with tempfile.TemporaryDirectory() as place:
        emulator = Emulator(Path(place) / "state")
        emulator.start()
        try:
            site = Site(emulator, Api(emulator), Path(place))
            site.reach_locally()
            site.variables["gce_instance_machine_type"] = "e2-small"
            for metric in METRICS:
                site.quota("us-central1", metric, 100)
            site.ok("site", "--tags", "preflight,provision")
            yield ["-i", str(Path(place) / "hosts.yml"), "--tags", "preflight,provision"]
        finally:
            emulator.stop()


def measured(arguments: list[str], direct: bool) -> list[Json]:
    """One run; what each task cost."""
    with tempfile.TemporaryDirectory() as place:
        lines = Path(place) / "tasks.jsonl"
        environment = {
            "ANSIBLE_CALLBACK_PLUGINS": str(ROOT / "benchmarks" / "callbacks"),
            "ANSIBLE_CALLBACKS_ENABLED": "llmops.gce_vllm.run_summary,cpu_by_task",
            "CPU_BY_TASK": str(lines),
            "GCE_VLLM_DIRECT_EXECUTION": "yes" if direct else "no",
        }
        done = subprocess.run(
            [str(PROGRAM), *arguments, str(ROOT / "playbooks" / "site.yml")],
            cwd=ROOT,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stdout + done.stderr)
        return [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines()]


def by_phase(tasks: list[Json]) -> dict[str, Json]:
    """Sums."""
    found: dict[str, Json] = defaultdict(
        lambda: {"tasks": 0, "cpu_seconds": 0.0, "wall_seconds": 0.0}
    )
    for one in tasks:
        for phase in (one["phase"], "all"):
            found[phase]["tasks"] += not one["task"].startswith("play ")
            for key in ("cpu_seconds", "wall_seconds"):
                found[phase][key] = round(found[phase][key] + one[key], 2)
    return found


def summary(found: Json) -> str:
    """A table for people."""
    lines = ["| phase | tasks | CPU s | wall s |", "| --- | --- | --- | --- |"]
    for phase in (*PHASES, "all"):
        if one := found["phases"].get(phase):
            cost = f"{one['cpu_seconds']:.1f} | {one['wall_seconds']:.1f}"
            lines.append(f"| {phase} | {one['tasks']} | {cost} |")
    return "\n".join(lines)


def commit() -> str:
    """Which commit this is, and whether files differ from it."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--demo", action="store_true", help="the demo, which has to be up")
    parser.add_argument("--direct-execution-off", action="store_true")
    parser.add_argument("--keep", type=Path, nargs="?", const=KEPT, help=f"default: {KEPT.name}")
    parser.add_argument("--tasks", type=int, default=15, help="how many of the dearest are shown")
    options = parser.parse_args()
    direct = not options.direct_execution_off
    if options.demo:
        tasks = measured(["-i", "inventories/demo"], direct)
    else:
        with records() as arguments:
            tasks = measured(arguments, direct)
    found = {
        "commit": commit(),
        "on": "demo" if options.demo else "records",
        "direct_execution": direct,
        "circumstances": circumstances(),
        "phases": by_phase(tasks),
    }
    print(summary(found))
    for one in sorted(tasks, key=lambda one: -float(one["cpu_seconds"]))[: options.tasks]:
        print(f"{one['cpu_seconds']:6.2f} {one['wall_seconds']:6.2f}  {one['task']}")
    if options.keep:
        with options.keep.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
