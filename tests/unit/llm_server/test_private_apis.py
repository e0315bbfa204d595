# SPDX-License-Identifier: Apache-2.0
"""The page of private names is up to date, and uvicorn's are where the server looks for them."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from ansible_collections.llmops.gce_vllm.plugins.module_utils.venv.lock import parse_lock
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.protocols.http.flow_control import FlowControl

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "private-apis.md"
LOCKS = sorted((ROOT / "roles/vllm_venv/files/locks").glob("vllm-*.txt"))


def test_the_page_is_what_its_script_writes() -> None:
    script = ROOT / "docs" / "tools" / "generate_private_apis.py"
    done = subprocess.run([sys.executable, script, "--check"], check=False, timeout=300)
    assert done.returncode == 0, "run python docs/tools/generate_private_apis.py"


def test_every_test_that_guards_is_there() -> None:
    named = set(re.findall(r"tests/[\w/]+(?:\.py)?", PAGE.read_text()))
    assert len(named) > 5
    assert [one for one in named if not (ROOT / one).exists()] == []


@pytest.mark.parametrize(
    "name",
    [
        "client",
        "config",
        "connections",
        "cycle",
        "flow",
        "loop",
        "timeout_keep_alive_task",
        "transport",
    ],
)
def test_what_a_connection_of_uvicorn_has(name: str) -> None:
    assert re.search(rf"self\.{name}\b.*=", inspect.getsource(AutoHTTPProtocol.__init__))


def test_what_a_request_of_uvicorn_has() -> None:
    module: Any = inspect.getmodule(AutoHTTPProtocol)
    cycle = inspect.getsource(module.RequestResponseCycle.__init__)
    assert all(f"self.{name} = " in cycle for name in ("more_body", "response_complete"))
    assert list(inspect.signature(AutoHTTPProtocol.send_400_response).parameters) == ["self", "msg"]
    assert inspect.isclass(FlowControl)


def test_what_the_server_of_uvicorn_has() -> None:
    server = uvicorn.Server(uvicorn.Config(lambda: None))
    assert callable(server.capture_signals)
    assert server.started is False
    assert server.server_state.connections == set()
    assert "self.servers" in inspect.getsource(uvicorn.Server)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_the_uvicorn_looked_at_is_the_locked_one(lock: Path) -> None:
    assert parse_lock(lock.read_text())["uvicorn"].version == uvicorn.__version__
