# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the integration tests, and `gcloud`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.gcloud_runner import GO_WITHOUT, WHY_NOT, Gcloud, installed
from tests.integration.conftest import (  # noqa: F401 (pytest finds fixtures by their names)
    _own_cache,
    api,
    emulator,
    emulator_process,
)
from tests.support.emulator_fixture import Emulator

LEFT_OUT = pytest.StashKey[int]()


@pytest.fixture
def gcloud(emulator: Emulator, tmp_path: Path) -> Gcloud:  # noqa: F811
    """`gcloud compute`; a machine without it fails here, unless it was told to go without."""
    assert installed(), WHY_NOT
    return Gcloud(emulator, tmp_path)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs gcloud, where that is asked for and there is none."""
    if installed() or os.environ.get(GO_WITHOUT) != "1":
        return
    left_out = [one for one in items if "gcloud" in getattr(one, "fixturenames", ())]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [one for one in items if one not in left_out]
    config.stash[LEFT_OUT] = len(left_out)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what was left out, loudly."""
    count = config.stash.get(LEFT_OUT, 0)
    if count:
        terminalreporter.section("NOT TESTED", red=True)
        terminalreporter.line(f"{count} tests with gcloud were left out: {GO_WITHOUT}=1.")
