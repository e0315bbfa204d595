# SPDX-License-Identifier: Apache-2.0
"""A Spot instance's end is heard from the metadata server, and the service stopped in time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from llm_server.process import preemption

from tests.support.metadata_server import MetadataServer

PROGRAM = Path(preemption.__file__)


@pytest.fixture
def metadata() -> Iterator[MetadataServer]:
    server = MetadataServer()
    yield server
    server.set("preempted", "TRUE")  # lets go of whoever waits
    server.shutdown()
    server.server_close()


def systemctl(tmp_path: Path) -> Path:
    """A program that only notes what it is asked, in the file `told`."""
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n')
    program.chmod(0o755)
    return program


def run(metadata: MetadataServer, tmp_path: Path, seconds: str) -> subprocess.Popen[str]:
    """The program as the unit runs it."""
    text = PROGRAM.read_text().replace('"/usr/bin/systemctl"', f'"{systemctl(tmp_path)}"')
    program = tmp_path / "preemption.py"
    program.write_text(text)
    return subprocess.Popen(
        [sys.executable, "-I", str(program), "llm-server.service", seconds],
        env={**os.environ, "GCE_METADATA_HOST": metadata.host, "http_proxy": "http://127.0.0.1:9"},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_question(metadata: MetadataServer) -> None:
    until = time.monotonic() + 120
    while not any("last_etag=" in one and "last_etag=0" not in one for one in metadata.asked):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_notice_stops_the_service_and_then_cuts_off(
    metadata: MetadataServer, tmp_path: Path
) -> None:
    process = run(metadata, tmp_path, "0.5")
    wait_for_question(metadata)
    assert process.poll() is None
    assert not (tmp_path / "told").exists()
    metadata.set("preempted", "TRUE")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert (tmp_path / "told").read_text().splitlines() == [
        "stop --no-block llm-server.service",
        "kill --kill-who=main --signal=SIGTERM llm-server.service",
    ]
    assert "takes this instance back" in said


def test_who_is_in_has_time_to_finish_before_it_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preemption, "SYSTEMCTL", str(systemctl(tmp_path)))
    paused: list[tuple[float, str]] = []

    def pause(seconds: float) -> None:
        paused.append((seconds, (tmp_path / "told").read_text()))

    preemption.drain("llm-server.service", 20, pause)
    assert paused == [(20, "stop --no-block llm-server.service\n")]
    assert "SIGTERM" in (tmp_path / "told").read_text()


def test_a_notice_that_was_there_before_it_began(metadata: MetadataServer, tmp_path: Path) -> None:
    metadata.set("preempted", "TRUE")
    process = run(metadata, tmp_path, "0")
    process.communicate(timeout=120)
    assert "stop --no-block" in (tmp_path / "told").read_text()


def test_others_are_never_taken_back(metadata: MetadataServer, tmp_path: Path) -> None:
    metadata.set("scheduling/preemptible", "FALSE")
    process = run(metadata, tmp_path, "0")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "no Spot instance" in said
    assert not (tmp_path / "told").exists()


def test_a_metadata_server_that_fails_is_asked_again(metadata: MetadataServer) -> None:
    metadata.failures += [503, 500]
    metadata.set("preempted", "TRUE")
    pauses: list[float] = []
    assert preemption.wait(preemption.Metadata(metadata.host), pauses.append)
    assert pauses == [preemption.PAUSE_S] * 2


def test_nobody_answers_at_first(metadata: MetadataServer) -> None:
    host = metadata.host
    dead = preemption.Metadata("127.0.0.1:9")
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        dead._root = f"http://{host}/computeMetadata/v1/instance/"
        metadata.set("preempted", "TRUE")

    assert preemption.wait(dead, pause)
    assert len(pauses) == 1
