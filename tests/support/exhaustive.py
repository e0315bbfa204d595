# SPDX-License-Identifier: Apache-2.0
"""What `make test-full` tries whole, and `make test` in part: always the same part."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from typing import TypeVar

import pytest

FULL = os.environ.get("GCE_VLLM_TEST_FULL") == "1"
One = TypeVar("One")

#: Of tests that take long, and whose parts others try: one by one, or as rules in unit tests.
only_in_full = pytest.mark.skipif(not FULL, reason="make test-full runs it")


def offset(name: str, every: int, full: bool = FULL) -> int:
    """Where the part of a test begins, as a number below `every`; different from name to name."""
    return 0 if full else zlib.crc32(name.encode()) % every


def part(name: str, whole: Sequence[One], every: int, full: bool = FULL) -> list[One]:
    """Of so many one, or all."""
    return list(whole) if full else list(whole[offset(name, every, full) :: every])
