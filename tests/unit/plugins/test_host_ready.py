# SPDX-License-Identifier: Apache-2.0
"""What host_ready asks the kernel: who holds a lock, and how much is free."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.llmops.gce_vllm.plugins.modules import host_ready

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "rb+")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_a_lock_is_seen_and_not_taken(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    assert host_ready.lock_holder(str(lock)) is None
    lock.touch()
    assert host_ready.lock_holder(str(lock)) is None
    command = [sys.executable, "-c", HOLDER, str(lock)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        assert host_ready.lock_holder(str(lock)) == holder.pid
        holder.communicate()
    with lock.open("rb+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_free_space_of_a_folder_to_be(tmp_path: Path) -> None:
    free = host_ready.free_mib(str(tmp_path / "not" / "there" / "yet"))
    found = os.statvfs(tmp_path)
    assert abs(free - found.f_bavail * found.f_frsize // 2**20) < 1024


def test_an_address_where_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_ready, "ATTEMPTS", 1)
    reason = host_ready.unreached("http://127.0.0.1:9/simple")
    assert reason is not None and "refused" in reason
