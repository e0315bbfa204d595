# SPDX-License-Identifier: Apache-2.0
"""The demo as a user runs it: `make demo`, and the documented commands on what it made."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(
    *command: str, environment: dict[str, str] | None = None, seconds: int = 900
) -> subprocess.CompletedProcess[str]:
    """Run a command from the clone's root; output captured as one text."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
        check=False,
    )


def site(*extra: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run site.yml against the demo with plain ansible-playbook."""
    return run(
        ".venv/bin/ansible-playbook",
        "-i",
        "inventories/demo",
        "playbooks/site.yml",
        *extra,
        environment=environment,
    )


def outcome() -> dict[str, Any]:
    """What the last run left for scripts."""
    document: dict[str, Any] = json.loads((ROOT / ".demo" / "run.json").read_text())
    return document


@pytest.fixture(scope="session")
def demo() -> Iterator[dict[str, Any]]:
    """A demo made from nothing; removed at the end."""
    assert run("make", "demo-destroy").returncode == 0
    done = run("make", "demo", seconds=1500)
    print(done.stdout)
    assert done.returncode == 0
    yield json.loads((ROOT / ".demo" / "summary.json").read_text())
    assert run("make", "demo-destroy").returncode == 0
