# SPDX-License-Identifier: Apache-2.0
"""Runs of ansible-playbook, forked from a process that has imported Ansible already.

A run has arguments, environment, folder, output and exit status as a command of its own has. What
is spared is starting Python, and building each module again: Ansible keeps the modules it has
packed in a folder of the process that read its settings, which here all runs have in common.

`python -m tests.support.playbook_runs SOCKET` serves: each connection brings one run as JSON
and the descriptors of its output. It answers with the run's process id, then its exit status.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROGRAM = Path(sys.executable).with_name("ansible-playbook")
# What modules import that run in a worker of the run.
MODULES_NEED = ("google.auth.transport.requests", "google.oauth2.service_account")
# Of Ansible's own plugins only kinds that most tasks need.
PRELOADED = ("filter", "test", "lookup", "action", "connection", "shell", "callback", "strategy")
# Read when Ansible is imported, as its own variables are: runs with others need another server.
_READ_EARLY = ("HOME", "LANG", "LC_ALL", "NO_COLOR", "PYTHONPATH", "TMPDIR", "TZ")
# What Ansible has read there, and the process. One at a time: most runs have it the same.
_started: dict[str, PlaybookServer] = {}


class PlaybookServer:
    """The process that runs are forked from."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="playbook-runs-")
        self._address = Path(self._folder.name) / "socket"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.playbook_runs", str(self._address)],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        while not self._address.exists():
            assert self._process.poll() is None, "the server of playbook runs did not start"
            time.sleep(0.01)

    def run(self, request: Mapping[str, Any], outputs: Sequence[int], timeout: float) -> int:
        """The exit status, as `subprocess` gives it."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._address))
            socket.send_fds(connection, [b"."], list(outputs))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("r") as stream:
                group = int(stream.readline())
                connection.settimeout(timeout)
                try:
                    return int(stream.readline())
                except TimeoutError:
                    os.killpg(group, signal.SIGKILL)
                    raise subprocess.TimeoutExpired(request["arguments"], timeout) from None

    def close(self) -> None:
        """End it, once its runs are over."""
        self._process.terminate()
        self._process.wait()
        self._folder.cleanup()


def ansible_playbook(
    *arguments: str | Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout: float = 900,
    merged: bool = False,
    mounts_of: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run ansible-playbook with this project's settings and return what it wrote.

    Args:
        environment: more variables.
        timeout: seconds, after which the run is killed.
        merged: its errors stand among the rest, as at a terminal.
        mounts_of: a process whose mount namespace the run enters.
    """
    whole = {
        **os.environ,
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_FORCE_COLOR": "0",
        # Tests read what a stock callback writes; ours has tests of its own.
        "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
        **(environment or {}),
    }
    words = [str(PROGRAM), *map(str, arguments)]
    request = {
        "arguments": words,
        "environment": whole,
        "cwd": str(cwd),
        "mounts": mounts_of and f"/proc/{mounts_of}/ns/mnt",
    }
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        outputs = [out.fileno(), (out if merged else err).fileno()]
        status = _server(whole).run(request, outputs, timeout)
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), err.read())


def _server(environment: Mapping[str, str]) -> PlaybookServer:
    early = json.dumps(
        sorted(
            one
            for one in environment.items()
            if one[0].startswith("ANSIBLE_") or one[0] in _READ_EARLY
        )
    )
    if early not in _started:
        close()
        _started[early] = PlaybookServer(environment)
    return _started[early]


def close() -> None:
    """End the server, if there is one."""
    while _started:
        _started.popitem()[1].close()


def _preload() -> None:
    importlib.import_module("ansible.cli.playbook")
    for kind in PRELOADED:
        package = importlib.import_module(f"ansible.plugins.{kind}")
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            # Some are for other systems, or need a library that is not here.
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    for name in MODULES_NEED:
        importlib.import_module(name)
    importlib.import_module("tests.support.template_cache").install()
    importlib.import_module("tests.support.module_cache").install()
    # Whoever asks for one gets all of Ansible's own.
    loader = importlib.import_module("ansible.plugins.loader")
    loader.filter_loader.get("ansible.builtin.bool")
    loader.test_loader.get("ansible.builtin.success")
    # A garbage collection in a run would write to all of it, and so have it copied.
    gc.collect()
    gc.freeze()


def _serve(address: str) -> None:
    tests = os.getppid()
    _preload()
    # As for the program itself: nothing is to be found here that a user would not have.
    sys.path[0] = str(PROGRAM.parent)
    signal.signal(signal.SIGTERM, _end)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address + ".new")
        listener.listen(8)
        listener.settimeout(5)
        Path(address + ".new").rename(address)
        # Where the tests were killed nobody says that it is over.
        while os.getppid() == tests:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            if os.fork() == 0:
                listener.close()
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                try:
                    _watch(connection)
                finally:  # nobody may listen any more; the folder that Ansible removes is all runs'
                    os._exit(0)
            connection.close()
            _collect(os.WNOHANG)


def _end(*_: object) -> None:
    _collect(0)
    sys.exit()


def _collect(how: int) -> None:
    """Take leave of the runs that are over, or of all."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, how) != (0, 0):
            pass


def _watch(connection: socket.socket) -> None:
    """Fork the run and tell how it ends."""
    _, outputs, _, _ = socket.recv_fds(connection, 1, 2)
    with connection.makefile("rw") as stream:
        request = json.loads(stream.readline())
        run = os.fork()
        if run == 0:
            _become(request, outputs)
        stream.write(f"{run}\n")
        stream.flush()
        _, status = os.waitpid(run, 0)
        stream.write(f"{os.waitstatus_to_exitcode(status)}\n")


def _become(request: Mapping[str, Any], outputs: Sequence[int]) -> None:
    """Be the run; does not return."""
    status = 250
    try:
        os.setsid()
        for target, output in enumerate(outputs, start=1):
            os.dup2(output, target)
        os.closerange(3, 256)
        if request["mounts"]:
            _enter(request["mounts"])
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.argv = list(request["arguments"])
        main = importlib.import_module("ansible.cli.playbook").main
        main(sys.argv)
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # What a process does at its end is the server's to do: its folder is the other runs' too.
        os._exit(status)


def _enter(mounts: str) -> None:
    # `os.setns` comes with Python 3.12.
    libc = ctypes.CDLL(None, use_errno=True)
    with Path(mounts).open("rb") as space:
        if libc.setns(space.fileno(), 0):
            raise OSError(ctypes.get_errno(), mounts)


if __name__ == "__main__":
    _serve(sys.argv[1])
