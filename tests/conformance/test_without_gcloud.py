# SPDX-License-Identifier: Apache-2.0
"""A machine without gcloud: nothing passes for tested that was not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.emulator_fixture import ROOT


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        ({}, 1, "GCE_VLLM_NO_GCLOUD=1 to leave them out"),
        ({"GCE_VLLM_NO_GCLOUD": "1"}, 5, "3 tests with gcloud were left out"),
    ],
)
def test_a_machine_without_gcloud(
    tmp_path: Path, told: dict[str, str], status: int, words: str
) -> None:
    kept = {k: v for k, v in os.environ.items() if k != "GCE_VLLM_NO_GCLOUD"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "tests/conformance/test_tutorial.py"],
        cwd=ROOT,
        env=kept | told | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status, done.stdout
    assert words in done.stdout
