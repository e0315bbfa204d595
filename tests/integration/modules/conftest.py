# SPDX-License-Identifier: Apache-2.0
"""Fixtures: `cloud` runs modules in a project of the emulator, `name` is nobody else's."""

from __future__ import annotations

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator


@pytest.fixture
def cloud(emulator: Emulator) -> m.Cloud:
    return m.Cloud(emulator)


@pytest.fixture
def name() -> str:
    return m.new_name("llm")
