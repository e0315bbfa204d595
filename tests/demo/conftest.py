# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it: `make demo`, and the documented commands on what it made."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.demo.commands import AS_USERS, ROOT, run


@pytest.fixture(scope="session")
def demo() -> Iterator[dict[str, Any]]:
    """A demo made from nothing; removed at the end.

    With GCE_VLLM_KEEP_DEMO set, the one that is there is used and left: for work on single tests.
    """
    if os.environ.get("GCE_VLLM_KEEP_DEMO"):
        yield json.loads((ROOT / ".demo" / "summary.json").read_text())
        return
    assert run("make", "demo-destroy").returncode == 0
    done = run("make", "demo", environment=AS_USERS, seconds=3600)
    sys.stdout.write(done.stdout)
    assert done.returncode == 0
    yield json.loads((ROOT / ".demo" / "summary.json").read_text())
    assert run("make", "demo-destroy").returncode == 0
