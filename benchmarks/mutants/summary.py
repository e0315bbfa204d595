# SPDX-License-Identifier: Apache-2.0
"""The outcome as a page: how many faults are noticed and by what, and a line for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .table import Fault

KINDS = ("unit", "integration", "nothing", "open")
# Where not all of its tests were run.
UNTRIED = {"by": "open", "test": ""}


def markdown(faults: Sequence[Fault], results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page; faults without a result are left out."""
    tried = [fault for fault in faults if fault.name in results]
    counts = {
        when: Counter(str(results[fault.name].get(when, UNTRIED)["by"]) for fault in tried)
        for when in ("before", "now")
    }
    lines = [
        "# Injected faults, and the tests that notice them",
        "",
        "`python -m benchmarks.mutants --out` this folder wrote this page. Each fault was injected"
        " alone, in a copy of the checkout. Before: with the tests of an earlier commit"
        " (`--tests-of`).",
        "",
        "| noticed by | before | now |",
        "| --- | --- | --- |",
        *(
            f"| {kind} | {counts['before'][kind]} | {counts['now'][kind]} |"
            for kind in KINDS
            if counts["before"][kind] + counts["now"][kind]
        ),
        f"| all | {len(tried)} | {len(tried)} |",
    ]
    for area in dict.fromkeys(fault.area for fault in tried):
        lines += ["", f"## {area}", "", "| fault | what it would do | before | now |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [_row(one, results[one.name]) for one in tried if one.area == area]
    return "\n".join(lines) + "\n"


def _row(fault: Fault, result: Mapping[str, Any]) -> str:
    before, now = result.get("before", UNTRIED), result.get("now", UNTRIED)
    test = str(now["test"]).removeprefix("tests/").replace("|", "\\|")
    by = f"{now['by']}: `{test}`" if test else str(now["by"])
    return f"| {fault.name} (`{fault.file}`) | {fault.harm} | {before['by']} | {by} |"
