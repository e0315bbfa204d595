# SPDX-License-Identifier: Apache-2.0
"""Inject each fault of the table into a copy of the checkout, and see which tests notice.

usage: python -m benchmarks.mutants [--out FOLDER] [--unit-only] [--tests-of COMMIT] [NAME ...]

A fault's unit tests run first, and its integration tests only if none of those notices. What is
known is kept in FOLDER/results.json after each fault, and FOLDER/summary.md is written of it; with
NAMEs only these are tried again. With --tests-of, the tests are those of another commit, and what
they notice is what the checkout's own are compared with. It takes about a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from . import summary
from .table import ROOT, Fault, load
from .trial import Copy, Outcome

Json = dict[str, Any]
OUT = ROOT / "build" / "mutants"


def judge(copy: Copy, fault: Fault, unit_only: bool) -> Json:
    """Which tests notice a fault; `by` is unit, integration, nothing, or open where not all ran."""
    since = time.monotonic()
    found: Json = {"by": "nothing", "test": ""}
    with copy.with_fault(fault):
        for kind, named in (("unit", fault.unit), ("integration", fault.integration)):
            tests = copy.there(named)
            if not tests:
                continue
            if kind == "integration" and unit_only:
                found["by"] = "open"
                continue
            outcome = copy.run(tests)
            if outcome.test:
                found = {"by": kind, "test": outcome.test}
                break
    return {**found, "seconds": round(time.monotonic() - since)}


def refuse_red(copy: Copy, faults: list[Fault], unit_only: bool) -> None:
    """Raise where a test fails without any fault: it would notice all."""
    for kind in ("unit", "integration"):
        named = sorted({test for fault in faults for test in getattr(fault, kind)})
        tests = () if unit_only and kind == "integration" else copy.there(tuple(named))
        outcome = copy.run(tests) if tests else Outcome("", "")
        if outcome.test:
            raise SystemExit(f"{outcome.test} fails without a fault:\n{outcome.output}")


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--unit-only", action="store_true")
    parser.add_argument("--tests-of", default="", metavar="COMMIT")
    given = parser.parse_args()
    faults = load()
    unknown = set(given.names) - {fault.name for fault in faults}
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    chosen = [fault for fault in faults if not given.names or fault.name in given.names]
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "results.json"
    results: Json = json.loads(kept.read_text()) if kept.exists() else {}
    copy = Copy(OUT / "checkout", given.tests_of)
    refuse_red(copy, chosen, given.unit_only)
    when = "before" if given.tests_of else "now"
    for fault in chosen:
        found = judge(copy, fault, given.unit_only)
        results.setdefault(fault.name, {})[when] = found
        kept.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        print(f"{found['by']:12} {found['seconds']:4} s  {fault.name}  {found['test']}", flush=True)
    (given.out / "summary.md").write_text(summary.markdown(faults, results))


if __name__ == "__main__":
    main()
