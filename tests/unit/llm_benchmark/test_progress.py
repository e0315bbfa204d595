# SPDX-License-Identifier: Apache-2.0
"""How far a load test is, and that it ends where nobody follows it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from llm_benchmark.progress import ABANDONED, Progress, is_touched

FILES = Path(__file__).parents[3] / "files"


def test_each_run_is_counted(tmp_path: Path) -> None:
    progress = Progress(2, tmp_path / "progress")
    progress.note("loading")
    progress.step("one")
    progress.step("two")
    assert (tmp_path / "progress").read_text() == "loading\n[1/2] one\n[2/2] two\n"


def test_what_counts_as_touched(tmp_path: Path) -> None:
    file = tmp_path / "heartbeat"
    assert not is_touched(file, 60)
    file.touch()
    assert is_touched(file, 60)
    os.utime(file, (0, time.time() - 61))
    assert not is_touched(file, 60)


@pytest.mark.parametrize("end", ["stale", "removed"])
def test_a_process_that_nobody_follows_ends(tmp_path: Path, end: str) -> None:
    heartbeat = tmp_path / "heartbeat"
    heartbeat.touch()
    program = (
        "import sys, pathlib\n"
        "from llm_benchmark.progress import end_when_abandoned\n"
        "end_when_abandoned(pathlib.Path(sys.argv[1]), 60, every=0.05)\n"
        "print('goes on', flush=True)\n"
        "sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(heartbeat)],
        env=os.environ | {"PYTHONPATH": str(FILES)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"goes on\n"
        assert process.poll() is None
        if end == "stale":
            os.utime(heartbeat, (0, 0))
        else:
            heartbeat.unlink()
        assert process.wait(120) == ABANDONED
