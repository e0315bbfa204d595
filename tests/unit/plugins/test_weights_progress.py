# SPDX-License-Identifier: Apache-2.0
"""What is told of a model's progress, and to whom."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights.progress import (
    Meter,
    Progress,
    abandoned,
    duration,
)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_line_has_files_bytes_rate_and_time_left() -> None:
    clock = Clock()
    meter = Meter("fetching", 15_000_000_000, 4, present=3_000_000_000, clock=clock)
    assert meter.line() == "fetching: 0 of 4 files, 3.0 GB of 15.0 GB (20 %)"
    clock.now = 10
    meter.add(1_000_000_000)
    meter.file_done()
    assert meter.line() == (
        "fetching: 1 of 4 files, 4.0 GB of 15.0 GB (26 %), 100.0 MB/s, 1 min 50 s left"
    )
    # A rate is that of the last minute, not of the beginning.
    clock.now = 100
    meter.line()
    clock.now = 110
    meter.add(500_000_000)
    assert "50.0 MB/s" in meter.line()
    assert meter.end() == "fetching: done in 1 min 50 s, 1.5 GB, 13.6 MB/s"


def test_what_stands_still_says_how_long() -> None:
    clock = Clock()
    meter = Meter("reading", 100, clock=clock)
    clock.now = 65
    assert meter.line() == "reading: 0 B of 100 B (0 %), 1 min 5 s so far"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_stage_speaks_until_it_ends_and_the_file_goes(tmp_path: Path) -> None:
    path = tmp_path / ".m.1.progress"
    progress = Progress(path, every=0.02)
    heard: list[str] = []
    progress.also_to(heard.append)
    with progress.stage("fetching", 100) as meter:
        meter.add(50)
        deadline = time.monotonic() + 120
        while len(heard) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert abandoned(tmp_path / "m") == []
    assert path.read_text().splitlines() == heard
    assert "50 B of 100 B (50 %)" in heard[2] and heard[-1].startswith("fetching: done in 0 s")
    progress.close()
    assert not path.exists()


def test_a_file_whose_writer_is_gone_is_abandoned(tmp_path: Path) -> None:
    (tmp_path / ".m.1.progress").touch()
    (tmp_path / ".other.1.progress").touch()
    assert abandoned(tmp_path / "m") == [tmp_path / ".m.1.progress"]


def test_a_stage_that_fails_says_no_end(tmp_path: Path) -> None:
    path = tmp_path / ".m.1.progress"
    progress = Progress(path)
    with pytest.raises(ValueError, match="broken"), progress.stage("fetching", 100):
        raise ValueError("broken")
    assert path.read_text().splitlines() == ["fetching: 0 B of 100 B (0 %)"] == progress.lines
    progress.close()
