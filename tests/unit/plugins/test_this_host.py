# SPDX-License-Identifier: Apache-2.0
"""Commands of a host whose driver hangs are given up, and the host gets its remedy."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_probe, this_host

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"
SLEEPS = "#!/bin/sh\n{first}sleep 300\n"


def program(folder: Path, first: str = "") -> str:
    """An nvidia-smi that sleeps, in a child of its own that keeps the pipes open."""
    path = folder / "nvidia-smi"
    path.write_text(SLEEPS.format(first=first))
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    "first", ["", f'[ "$1" = -q ] && exec cat {RECORDED}/idle.xml\n'], ids=["all", "the second"]
)
def test_a_hung_driver_has_its_own_message(tmp_path: Path, first: str) -> None:
    begin = time.monotonic()
    facts = gpu_probe.collect(this_host.ThisHost(0.3), program=program(tmp_path, first))
    assert time.monotonic() - begin < 60
    assert facts["status"] == "hung"
    (sentence,) = facts["problems"]
    assert "driver hangs" in sentence and "reboot the host" in sentence
    assert sentence.endswith("nvidia-smi says: no answer within 0.3 s")


def test_what_a_command_says_and_how_it_ends() -> None:
    code = "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"
    assert this_host.ThisHost().run(sys.executable, "-c", code) == (3, "out\n", "err")
    assert this_host.ThisHost().read("/no/such/file") == ""
    assert this_host.ThisHost().machine()
