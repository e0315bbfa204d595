# SPDX-License-Identifier: Apache-2.0
"""The real server in a process of its own, with a real vLLM and a real model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import ssl
import subprocess
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml
from prometheus_client.parser import text_string_to_metric_families

from demo.ports import free_port

ROOT = Path(__file__).parents[2]
KEY = "integration-test-key-0123456789"
MODEL_NAME = "test-model"
#: Loading took 14 s on two idle cores; a busy machine may take many times that.
LOAD_TIMEOUT_S = 900.0
#: Of servers that are to count as stuck soon. A step of the engine may take seconds on a busy
#: machine, which is not yet a stall.
STALL_S = 10

#: Those of the server's own metrics, in the order in which tests name them.
LABELS = ("key", "route", "outcome", "direction", "reason", "state", "phase", "model", "period")

#: Variables of every server, and of every program that imports vLLM.
VARIABLES = {
    "PYTHONPATH": str(ROOT / "files"),
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "HF_HUB_OFFLINE": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

#: The process that has imported vLLM; it ends with this one, as its input does.
_parents: list[subprocess.Popen[str]] = []

ARGS: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_model_len": 1024}


def setting(name: str) -> str:
    """What tests/server says: the Python that has vLLM, the folder of the model."""
    value = os.environ.get(name)
    if not value:
        raise RuntimeError(f"{name} is not set: run tests/server, which sets it")
    return value


def run_in_vllm(
    program: str | None, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """Runs Python's text, or the server itself (None), in the Python that has vLLM.

    All have one import of vLLM, and are processes of their own.
    """
    if not _parents:
        _parents.append(
            subprocess.Popen(
                [
                    setting("GCE_VLLM_TEST_PYTHON"),
                    str(Path(__file__).with_name("vllm_children.py")),
                ],
                env=os.environ | VARIABLES,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    (parent,) = _parents
    assert parent.stdin
    assert parent.stdout
    asked = {"program": program, "arguments": arguments, "environment": variables}
    parent.stdin.write(json.dumps(asked) + "\n")
    parent.stdin.flush()
    found = json.loads(parent.stdout.readline())
    command = [parent.args, *arguments]
    return subprocess.CompletedProcess(command, found["status"], found["stdout"], found["stderr"])


@dataclass(frozen=True)
class Sample:
    """One answer of /health: seconds since the process began, seconds it took, what it said."""

    at: float
    took: float
    status: int
    body: dict[str, Any]


@dataclass
class Server:
    """Starts, asks and stops `python -m llm_server`."""

    folder: Path
    python: str
    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    #: Further environment variables.
    variables: dict[str, str] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    notices: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.config = self.folder / "settings.yaml"
        self.log = self.folder / "log.txt"
        self.access = self.folder / "access.yaml"
        self.ledger = self.folder / "ledger.sqlite"
        self.write_access()
        base = {
            "host": "127.0.0.1",
            "port": self.port,
            "model_path": self.model,
            "served_model_name": MODEL_NAME,
            "access_file": str(self.access),
            "ledger_file": str(self.ledger),
            "vllm_args": ARGS,
        }
        self.config.write_text(yaml.safe_dump(base | self.settings))
        self.open = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=120)
        self.authorised = httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}",
            timeout=120,
            headers={"Authorization": f"Bearer {KEY}"},
        )

    def over_tls(self, certificate: Path) -> None:
        """Has the clients ask by https, and trust this certificate alone."""
        trust = ssl.create_default_context(cafile=str(certificate))
        url = f"https://localhost:{self.port}"
        headers = self.authorised.headers
        for old in (self.open, self.authorised):
            old.close()
        self.open = httpx.Client(base_url=url, verify=trust, timeout=300)
        self.authorised = httpx.Client(base_url=url, verify=trust, timeout=300, headers=headers)

    def write_access(self, *more: dict[str, Any], **limits: Any) -> None:
        """Writes keys (the usual one and `more`) and limits; a server that runs is not told."""
        keys = [{"name": "usual", "sha256": hashlib.sha256(KEY.encode()).hexdigest()}, *more]
        self.access.write_text(yaml.safe_dump({"keys": keys, "limits": limits}))

    def reload(self) -> None:
        """SIGHUP, and until the log says that it was heard."""
        before = self.log.read_text(errors="replace").count("Read keys and limits")
        self.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + 120
        while self.log.read_text(errors="replace").count("Read keys and limits") == before:
            assert time.monotonic() < deadline, self.tail()
            time.sleep(0.05)

    def requests(self) -> list[dict[str, Any]]:
        """The log's lines of requests, those of all that have been answered among them.

        Lines are written a little later, in their order. So one more request is made, and its line
        waited for, where the server still answers.
        """
        mark = f"mark-{uuid.uuid4().hex}"
        with contextlib.suppress(httpx.TransportError):
            answer = self.authorised.get("/version", headers={"X-Request-Id": mark})
            deadline = time.monotonic() + 120
            while answer.headers.get("x-request-id") == mark and time.monotonic() < deadline:
                if mark in self.log.read_text(errors="replace"):
                    break
                time.sleep(0.02)
        # The last line may be half written.
        lines = self.log.read_text(errors="replace").split("\n")[:-1]
        found = [json.loads(line) for line in lines if line.startswith('{"request_id"')]
        return [line for line in found if not line["request_id"].startswith("mark-")]

    def environment(self) -> dict[str, str]:
        """What the unit sets, with the caches of all servers of this run in one folder."""
        cache = {"VLLM_CACHE_ROOT": str(self.folder.parent / "vllm-cache")}
        return os.environ | VARIABLES | cache | self.variables

    def command(self, *more: str) -> list[str]:
        """The command line."""
        return [self.python, "-m", "llm_server", "--config", str(self.config), *more]

    def check(self) -> tuple[int, str]:
        """Exit status and standard error of --check-config."""
        done = run_in_vllm(None, "--config", str(self.config), "--check-config", **self.variables)
        return done.returncode, done.stdout + done.stderr

    def start(self) -> None:
        """Starts the process, also once more on the same port; it may not listen yet."""
        if hasattr(self, "notify"):
            self.notify.close()
            (self.folder / "notify").unlink()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.folder / "notify"))
        self.notify.setblocking(False)
        self.began = time.monotonic()
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=self.environment() | {"NOTIFY_SOCKET": str(self.folder / "notify")},
                stdout=log,
                stderr=log,
            )

    def health(self) -> Sample | None:
        """Asks once; None while nothing listens."""
        asked = time.monotonic()
        try:
            answer = self.open.get("/health")
        except httpx.TransportError:
            return None
        now = time.monotonic()
        sample = Sample(now - self.began, now - asked, answer.status_code, answer.json())
        self.samples.append(sample)
        self._receive()
        return sample

    def wait_for(self, status: str, timeout: float = LOAD_TIMEOUT_S) -> Sample:
        """Asks /health until it says `status`."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            sample = self.health()
            if sample is not None and sample.body["status"] == status:
                return sample
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}:\n{self.tail()}")
            time.sleep(0.05)
        raise AssertionError(f"never {status}:\n{self.tail()}")

    def have_healthy(self) -> None:
        """Starts it if it was not started yet, or has ended; as it is otherwise."""
        if not hasattr(self, "process") or self.process.poll() is not None:
            self.start()
            self.wait_for("healthy")

    def processes(self) -> list[psutil.Process]:
        """The server's process and all below it."""
        server = psutil.Process(self.process.pid)
        return [server, *server.children(recursive=True)]

    def engine(self) -> psutil.Process:
        """The process of vLLM's engine."""
        return next(process for process in self.processes() if "EngineCore" in name_of(process))

    def wait_until_idle(self, timeout: float = 120) -> None:
        """Until the engine says of itself that no request runs or waits.

        Raises:
            AssertionError: some still did after the timeout; they are leaked.
        """
        deadline = time.monotonic() + timeout
        names = ("vllm:num_requests_running", "vllm:num_requests_waiting")
        while found := self.metric(*names):
            assert time.monotonic() < deadline, f"{found:g} requests still run or wait"
            time.sleep(0.1)

    def accepted(self) -> float:
        """Requests that the engine has taken since its start."""
        names = ("num_requests_running", "num_requests_waiting", "request_success_total")
        return self.metric(*(f"vllm:{name}" for name in names))

    def wait_for_accepted(self, number: float) -> None:
        """Until the engine has taken so many."""
        deadline = time.monotonic() + 300
        while self.accepted() < number:
            assert time.monotonic() < deadline, "the engine never got so many requests"
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(180)
        finally:
            self._receive()

    def close(self) -> None:
        """Ends whatever is left."""
        if self.process.poll() is None:
            for process in reversed(self.processes()):
                process.kill()
            self.process.wait(120)
        self.notify.close()
        self.open.close()
        self.authorised.close()

    def metric(self, *names: str) -> float:
        """Sum of some of the engine's own metrics, all of one moment."""
        lines = self.authorised.get("/metrics").text.splitlines()
        wanted = tuple(name + "{" for name in names)
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(wanted))

    def families(self) -> dict[str, dict[tuple[str, ...], float]]:
        """All metrics, each with the values of its labels."""
        text = self.authorised.get("/metrics").raise_for_status().text
        return {
            family.name: {
                tuple(s.labels[name] for name in LABELS if name in s.labels): s.value
                for s in family.samples
            }
            for family in text_string_to_metric_families(text)
        }

    def tail(self) -> str:
        """The end of the log."""
        return self.log.read_text(errors="replace")[-3000:]

    def _receive(self) -> None:
        while True:
            try:
                self.notices.append(self.notify.recv(4096).decode())
            except BlockingIOError:
                return


def name_of(process: psutil.Process) -> str:
    """Its name and command line; empty for one that has just ended, as some only look around."""
    try:
        return " ".join([process.name(), *process.cmdline()])
    except psutil.NoSuchProcess:
        return ""


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:  # it has ended between the two
        return False


def all_gone(processes: list[psutil.Process], timeout: float = 60) -> list[psutil.Process]:
    """Those of the processes that still run after the timeout; zombies count as gone."""
    deadline = time.monotonic() + timeout
    while True:
        alive = [process for process in processes if _runs(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.1)
