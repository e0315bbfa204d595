# SPDX-License-Identifier: Apache-2.0
"""`python -m llm_benchmark load|health|report …`; see each one's --help."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from . import load as loads
from .crew import load_tool
from .progress import Progress, end_when_abandoned

#: Who follows a load test touches its heartbeat far more often.
HEARTBEAT_S = 90.0


def main(words: list[str] | None = None) -> int:
    """Parses the command line and does it; 0 is success, 2 a wrong command line, 3 an endpoint
    that answers nothing, 4 a load test that was given up."""
    options = _parser().parse_args(words)
    return int(options.function(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="llm_benchmark", description=__doc__)
    commands = parser.add_subparsers(required=True)
    _add_load(commands)
    _add_health(commands)
    _add_report(commands)
    return parser


def _add_load(commands: Any) -> None:
    load = commands.add_parser(
        "load",
        help="send load to an endpoint; a key comes from OPENAI_API_KEY or a file (needs vLLM)",
    )
    load.add_argument("--base-url", required=True)
    load.add_argument("--model", required=True, help="the name that requests ask for")
    load.add_argument("--tokenizer", required=True, help="folder of the model's tokenizer")
    load.add_argument("--server", default="server", help="what the report calls the server")
    load.add_argument(
        "--target", action="append", choices=sorted(loads.TARGETS), help="default: completions"
    )
    load.add_argument(
        "--closed",
        nargs="*",
        type=loads.Level.closed,
        default=[],
        metavar="N[:REQUESTS]",
        help="closed loop: N requests at once",
    )
    load.add_argument(
        "--open",
        nargs="*",
        type=loads.Level.open,
        default=[],
        metavar="RATE[:REQUESTS]",
        help="open loop: RATE requests a second, come what may",
    )
    load.add_argument("--input-tokens", type=int, default=256)
    load.add_argument("--output-tokens", type=int, default=128)
    load.add_argument("--temperature", type=float, default=0.7)
    load.add_argument("--top-p", type=float, default=0.9)
    load.add_argument("--runs", type=int, default=3, help="of each level; the report takes medians")
    load.add_argument(
        "--processes", type=int, default=1, help="that the load comes from; each gets 16 or more"
    )
    load.add_argument("--first-seed", type=int, default=1)
    load.add_argument("--key-file", type=Path, help="holds the key; removed once it is read")
    load.add_argument("--progress", type=Path, help="file that gets a line for each run")
    load.add_argument(
        "--heartbeat", type=Path, help="end once nobody has touched this file for 90 s"
    )
    load.add_argument("--out", type=Path, required=True, help="JSON file to write")
    load.set_defaults(function=_load)


def _add_health(commands: Any) -> None:
    health = commands.add_parser("health", help="time /health until SIGTERM")
    health.add_argument("--url", required=True)
    health.add_argument("--interval", type=float, default=0.02, help="seconds")
    health.add_argument("--seconds", type=float, default=3600)
    health.add_argument("--out", type=Path, required=True)
    health.set_defaults(function=_health)


def _add_report(commands: Any) -> None:
    report = commands.add_parser("report", help="JSON and Markdown from results of `load`")
    report.add_argument("--html", action="store_true", help="a page with plots too (needs pygal)")
    report.add_argument("results", nargs="+", type=Path)
    report.add_argument("--title", default="Load test of an inference server")
    report.add_argument("--baseline", help="server that the others are compared with")
    report.add_argument("--out", type=Path, required=True, help="folder to write into")
    report.set_defaults(function=_report)


def _load(options: argparse.Namespace) -> int:
    from .environment import describe  # noqa: PLC0415

    levels = [*options.closed, *options.open]
    targets = options.target or ["completions"]
    progress = Progress(len(levels) * len(targets) * options.runs, options.progress)
    if not levels:
        progress.note("give at least one level: --closed N or --open RATE")
        return 2
    if options.heartbeat:
        end_when_abandoned(options.heartbeat, HEARTBEAT_S)
    if options.key_file:
        if key := options.key_file.read_text(encoding="utf-8").strip():
            os.environ["OPENAI_API_KEY"] = key
        options.key_file.unlink()
    progress.note("vLLM's load tool is being loaded")
    tool = load_tool(options.processes)
    rows: list[dict[str, Any]] = []
    seed = options.first_seed
    for target in targets:
        wanted = loads.Load(
            options.base_url.rstrip("/"),
            options.model,
            options.tokenizer,
            target,
            options.input_tokens,
            options.output_tokens,
            options.temperature,
            options.top_p,
        )
        measured = loads.measure(
            tool, wanted, levels, options.runs, say=progress.step, first_seed=seed
        )
        try:
            for row in measured:
                rows.append({"server": options.server} | row)
                # Written after each run: what is interrupted keeps what it has.
                document = {"format": 1, "tool": "vllm bench serve", "rows": rows}
                _write(options.out, document | {"environment": describe()})
        except loads.NothingAnsweredError as error:
            progress.note(str(error))
            return 3
        seed += len(levels) * options.runs
    return 0


def _health(options: argparse.Namespace) -> int:
    from .health import watch  # noqa: PLC0415

    watch(options.url, options.interval, options.seconds, options.out)
    return 0


def _report(options: argparse.Namespace) -> int:
    from .report import write  # noqa: PLC0415

    documents = [json.loads(path.read_text(encoding="utf-8")) for path in options.results]
    for path in write(documents, options.out, options.title, options.baseline, options.html):
        print(path)  # noqa: T201
    return 0


def _write(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
