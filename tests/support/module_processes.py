# SPDX-License-Identifier: Apache-2.0
"""Modules in processes of their own, forked from one that has imported everything already.

`python -m tests.support.module_processes SOCKET` serves: each connection brings one run as
JSON. Its process answers with its id, then with the module's result; where it is killed, with
nothing more.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
MODULES = "ansible_collections.llmops.gce_vllm.plugins.modules"
SERVED = ("gce_instance", "gce_address", "gce_firewall", "gce_instance_schedule")
PRELOADED = (
    "ansible.module_utils.testing",
    "ansible.module_utils._internal._json._profiles._module_legacy_c2m",
    "ansible.module_utils._internal._json._profiles._module_legacy_m2c",
    "google.auth.transport.requests",
    "google.oauth2.credentials",
    "google.oauth2.service_account",
)
Json = dict[str, Any]


@dataclass
class Running:
    """A module at work in process `pid`."""

    pid: int
    stream: io.TextIOWrapper

    def kill(self) -> None:
        """SIGKILL; returns once the process is gone."""
        os.kill(self.pid, signal.SIGKILL)
        assert self.result() is None, "it ended before it could be killed"

    def result(self) -> Json | None:
        """What the module returned; None where it was killed."""
        with self.stream:
            line = self.stream.readline()
        return json.loads(line) if line else None


@dataclass(frozen=True)
class ModuleProcesses:
    """Starts modules."""

    address: Path

    def start(self, module: str, options: Json) -> Running:
        """Begins a run."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.address))
            connection.sendall(json.dumps([module, options]).encode() + b"\n")
            stream = connection.makefile("r")
        return Running(int(stream.readline()), stream)

    def run(self, module: str, options: Json) -> Json:
        """A whole run."""
        result = self.start(module, options).result()
        assert result is not None
        return result


@contextmanager
def module_processes(folder: Path) -> Iterator[ModuleProcesses]:
    """A server in a process of its own, until the block ends."""
    address = folder / "modules.socket"
    command = [sys.executable, "-m", "tests.support.module_processes", str(address)]
    path = f"{ROOT}:{ROOT / 'collections'}"
    server = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": path})
    try:
        while not address.exists():
            assert server.poll() is None
            time.sleep(0.01)
        yield ModuleProcesses(address)
    finally:
        server.terminate()
        server.wait()


def _serve(address: str) -> None:
    entries = {name: importlib.import_module(f"{MODULES}.{name}").main for name in SERVED}
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody has to collect the children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address + ".new")
        listener.listen(64)
        Path(address + ".new").rename(address)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _run(connection, entries)
                os._exit(0)
            connection.close()


def _run(connection: socket.socket, entries: dict[str, Any]) -> None:
    from ansible.module_utils.testing import patch_module_args

    with connection.makefile("rw") as stream:
        module, options = json.loads(stream.readline())
        stream.write(f"{os.getpid()}\n")
        stream.flush()
        written = io.StringIO()
        arguments = {**options, "_ansible_check_mode": False, "_ansible_diff": True}
        with (
            patch_module_args(arguments),
            contextlib.redirect_stdout(written),
            contextlib.suppress(SystemExit),
        ):
            entries[module]()
        stream.write(written.getvalue().strip() + "\n")


if __name__ == "__main__":
    _serve(sys.argv[1])
