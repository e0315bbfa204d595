# SPDX-License-Identifier: Apache-2.0
"""The role llm_model as people see it: its progress, its one message, and what it keeps secret."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.modules.test_model_weights import BIG
from tests.support import modules_fixtures as m
from tests.support.model_places import FILES, Places
from tests.support.playbook_runs import PROGRAM, ansible_playbook

PLAY = [
    {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "roles": ["llmops.gce_vllm.llm_model"],
        "tasks": [{"ansible.builtin.debug": {"var": "llm_model_result"}}],
    }
]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    with Places() as one:
        monkeypatch.setenv("GCE_METADATA_HOST", one.host)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield one


class Role:
    """Runs the role against the places on loopback."""

    def __init__(self, places: Places, folder: Path) -> None:
        self.folder, self.model = folder, folder / "models" / "model"
        self.play = folder / "play.yml"
        self.play.write_text(json.dumps(PLAY))
        self.variables: dict[str, Any] = {
            "llm_model": "org/model",
            "llm_model_hub": places.url,
            "llm_model_dir": str(folder / "models"),
            "ansible_python_interpreter": sys.executable,
            "ansible_remote_tmp": str(folder / "tmp"),
            "ansible_async_dir": str(folder / "jobs"),
        }

    def arguments(self, *options: str, **more: Any) -> list[str]:
        return [str(self.play), "-e", json.dumps(self.variables | more), *options]

    def command(self, *options: str, **more: Any) -> list[str]:
        """For a process of its own, which is killed, or whose files are looked at."""
        return [str(PROGRAM), *self.arguments(*options, **more)]

    def environment(self) -> dict[str, str]:
        return {
            **{key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"},
            "ANSIBLE_COLLECTIONS_PATH": str(m.ROOT / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "local"),
        }

    def run_alone(self, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        """In a process of its own, as Ansible opens its log only when it is imported."""
        return subprocess.run(
            self.command(*options, **more),
            env=self.environment(),
            cwd="/",
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def run(self, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
        return ansible_playbook(*self.arguments(*options, **more), cwd=Path("/"), timeout=600)


@pytest.fixture
def role(places: Places, tmp_path: Path) -> Role:
    return Role(places, tmp_path)


def test_progress_is_shown_once_there_is_any(role: Role) -> None:
    planned = role.run("--check", "--diff")
    assert planned.returncode == 0, planned.stdout
    assert "changed=1" in planned.stdout and "fetching" not in planned.stdout
    assert not role.model.exists()
    first = role.run()
    assert first.returncode == 0, first.stdout
    assert "  localhost: fetching from org/model on http" in first.stdout
    assert ": 0 of 5 files, 0 B of 262.1 kB (0 %)" in first.stdout, first.stdout
    assert "changed=1" in first.stdout
    second = role.run()
    assert "changed=0" in second.stdout and "fetching" not in second.stdout
    assert [path.name for path in (role.folder / "jobs").iterdir()] == []
    names = sorted(path.name for path in role.model.parent.iterdir())
    assert names == [".model.lock", "model"]
    full = role.run(llm_model_verify="full")
    assert "changed=0" in full.stdout and "  localhost: reading: 0 of 5 files" in full.stdout


def test_a_failure_keeps_its_one_message(role: Role, places: Places) -> None:
    places.status, places.error_code = 403, "GatedRepo"
    failed = role.run()
    assert failed.returncode == 2
    assert "org/model is gated: accept its terms on its page" in failed.stdout + failed.stderr
    assert "Traceback" not in failed.stdout + failed.stderr
    assert "async" not in failed.stdout


def test_a_limit_ends_it_and_says_so(role: Role, places: Places) -> None:
    places.hang_at[BIG] = 60_000
    for limit in (4, 16, 64):  # a busy machine takes long to get there
        failed = role.run(llm_model_timeout=limit)
        assert f"not whole after {limit} seconds (llm_model_timeout)" in str(failed)
        if places.hanging.is_set():
            break
    places.hang_at.clear()
    places.asked.clear()
    again = role.run()
    assert again.returncode == 0, again.stdout
    assert [start for name, start in places.asked if name == BIG] == [60_000]
    assert sorted(path.name for path in role.model.parent.iterdir()) == [".model.lock", "model"]


def test_a_killed_controller_leaves_a_job_that_the_next_run_waits_for(
    role: Role, places: Places
) -> None:
    places.hang_at[BIG] = 60_000
    process = subprocess.Popen(
        role.command(), env=role.environment(), cwd="/", stdout=subprocess.PIPE, text=True
    )
    assert places.hanging.wait(300)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    refused = role.run(llm_model_wait=1)
    assert refused.returncode == 2
    assert "waiting for another run, at most 1 s: process " in refused.stdout
    assert "at: fetching from org/model" in refused.stdout
    assert "longer than the 1 seconds" in refused.stdout + refused.stderr
    # The job itself goes on; once its connection breaks, from where it was.
    places.hang_at.clear()
    places.released.set()
    since = time.monotonic()
    done = role.run()
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - since < 300
    assert all((role.model / name).read_bytes() == content for name, content in FILES.items())
    # It may have lost patience with the server before that, and asked once more.
    begun = [start for name, start in places.asked if name == BIG]
    assert begun[0] == 0
    assert set(begun[1:]) == {60_000}


MARKER = "hf_" + "S3cretMarker" * 2


def test_the_token_is_shown_nowhere(role: Role, places: Places) -> None:
    places.hang_at[BIG] = 60_000
    settings = role.folder / "settings.yml"
    settings.write_text(json.dumps({"llm_model_token": MARKER}))
    process = subprocess.Popen(
        role.command("-vvvvv", "--diff", "-e", f"@{settings}"),
        env=role.environment(),
        cwd="/",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert places.hanging.wait(300)
    arguments = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            arguments.append(path.read_bytes())
    assert not [line for line in arguments if MARKER.encode() in line]
    places.hang_at.clear()
    places.released.set()
    out, _ = process.communicate(timeout=600)
    assert process.returncode == 0, out
    assert MARKER not in out
    assert {one for path, one in places.tokens if path.startswith("/api/")} == {f"Bearer {MARKER}"}
    # Ansible's copy of the module is removed by the job's guard, which looks every 5 seconds.
    deadline = time.monotonic() + 120
    while any((role.folder / "tmp").iterdir()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not [*(role.folder / "tmp").rglob("*")], out
    for path in role.folder.rglob("*"):
        if path.is_file() and path != settings:
            assert MARKER.encode() not in path.read_bytes(), path
