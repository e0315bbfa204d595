# SPDX-License-Identifier: Apache-2.0
"""The table of faults to inject still fits the code, and its tool tells what it saw."""

from __future__ import annotations

import pytest
import yaml

from benchmarks.mutants.summary import markdown
from benchmarks.mutants.table import ROOT, Fault, load
from benchmarks.mutants.trial import first_failed

FAULTS = load()
NOTHING = {"by": "nothing", "test": ""}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_can_be_injected(fault: Fault) -> None:
    text = (ROOT / fault.file).read_text()
    injected = fault.injected(text)
    assert injected != text
    if fault.file.endswith(".py"):
        compile(injected, fault.file, "exec")
    elif fault.file.endswith(".yml"):
        yaml.safe_load(injected)
    for test in fault.unit + fault.integration:
        file, _, function = test.partition("[")[0].partition("::")
        assert (
            f"def {function}(" in (ROOT / file).read_text() if function else (ROOT / file).exists()
        )


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(names) == len(set(names)) >= 40
    areas = {fault.file.split("/")[0] for fault in FAULTS}
    assert areas == {"plugins", "roles", "files"}


def test_a_fault_whose_text_is_gone_is_named() -> None:
    with pytest.raises(ValueError, match=r"busy-gpu-is-taken: .* 0 times"):
        next(one for one in FAULTS if one.name == "busy-gpu-is-taken").injected("something else")


@pytest.mark.parametrize(
    ("output", "test"),
    [
        ("..\nFAILED tests/a.py::test[x y] - assert 1 == 2\n1 failed", "tests/a.py::test[x y]"),
        ("ERROR tests/a.py - ImportError\n", "tests/a.py"),
        ("3 passed", ""),
    ],
)
def test_which_test_noticed_first(output: str, test: str) -> None:
    assert first_failed(output) == test


def test_the_summary_counts_what_was_noticed_then_and_now() -> None:
    one, two = FAULTS[:2]
    results = {
        one.name: {"now": {"by": "unit", "test": "tests/unit/a.py::b"}, "before": NOTHING},
        two.name: {"now": NOTHING},
    }
    text = markdown(FAULTS, results)
    assert "| unit | 0 | 1 |" in text
    assert "| nothing | 1 | 1 |" in text
    assert "| open | 1 | 0 |" in text
    assert f"| {one.name} (`{one.file}`) | {one.harm} | nothing | unit: `unit/a.py::b` |" in text
    assert FAULTS[-1].name not in text
