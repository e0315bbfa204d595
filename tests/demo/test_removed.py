# SPDX-License-Identifier: Apache-2.0
"""The end of the demo; of all its tests the last by name."""

from __future__ import annotations

from typing import Any

from tests.demo.commands import ROOT, run


def test_destroy_leaves_nothing(demo: dict[str, Any]) -> None:
    done = run("make", "demo-destroy")
    assert done.returncode == 0, done.stdout
    containers = run("podman", "ps", "--all", "--filter", "label=gce-vllm=demo", "--quiet")
    assert containers.stdout.strip() == ""
    assert not (ROOT / ".demo").exists()
    assert run("pgrep", "-f", "emulator serve --backend podman").stdout.strip() == ""
    port = demo["dashboard"].rpartition(":")[2]
    assert run("pgrep", "-f", f"ssh .*127.0.0.1:{port}:").stdout.strip() == ""
    again = run("make", "demo-destroy")
    assert "Nothing to do" in again.stdout
