# SPDX-License-Identifier: Apache-2.0
"""The fixtures of the integration tests, and `gcloud`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.gcloud_runner import INSTALLED, WHY_NOT, Gcloud
from tests.integration.conftest import (  # noqa: F401 (pytest finds fixtures by their names)
    _own_cache,
    api,
    emulator,
    emulator_process,
)
from tests.integration.emulator_fixture import Emulator


@pytest.fixture
def gcloud(emulator: Emulator, tmp_path: Path) -> Gcloud:  # noqa: F811
    """`gcloud compute`, if it is installed."""
    if not INSTALLED:
        pytest.skip(WHY_NOT)
    return Gcloud(emulator, tmp_path)
