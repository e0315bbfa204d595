# SPDX-License-Identifier: Apache-2.0
"""Starts and stops the servers under comparison, each in processes of its own."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

ROOT = Path(__file__).parents[2]
KEY = "a-key-for-benchmarks-only"
MODEL_NAME = "benchmark-model"


class StartError(Exception):
    """A server ended, or was not ready in time."""


@dataclass
class Server:
    """One server: what it is called, what kind it is, and its engine's arguments.

    `kind` is `vllm` (its OpenAI server), `ours`, or `tutorial`.
    """

    name: str
    kind: str
    model: Path
    engine_args: dict[str, Any]
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    offline: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.log = self.folder / f"{self.name}.log"
        self.offline_out = self.folder / f"{self.name}-offline.json"

    def command(self) -> list[str]:
        """The command line of this kind of server."""
        builders = {"vllm": self._vllm, "ours": self._ours, "tutorial": self._tutorial}
        return [sys.executable, *builders[self.kind]()]

    def _vllm(self) -> list[str]:
        words = [
            *("-m", "vllm.entrypoints.openai.api_server", f"--model={self.model}"),
            *(f"--port={self.port}", "--host=127.0.0.1", f"--served-model-name={MODEL_NAME}"),
            f"--api-key={KEY}",
        ]
        for name, value in self.engine_args.items():
            flag = name.replace("_", "-")
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words.append(f"--{flag}={value if isinstance(value, str) else json.dumps(value)}")
        return words

    def _ours(self) -> list[str]:
        access = self.folder / "access.yaml"
        digest = hashlib.sha256(KEY.encode()).hexdigest()
        keys = [{"name": "benchmark", "sha256": digest}]
        access.write_text(yaml.safe_dump({"keys": keys}), encoding="utf-8")
        config = self.folder / f"{self.name}.yaml"
        settings = {
            "host": "127.0.0.1",
            "port": self.port,
            "model_path": str(self.model),
            "served_model_name": MODEL_NAME,
            "access_file": str(access),
            "vllm_args": self.engine_args,
        } | self.settings
        config.write_text(yaml.safe_dump(settings), encoding="utf-8")
        return ["-m", "llm_server", "--config", str(config)]

    def _tutorial(self) -> list[str]:
        words = [
            *("-m", "benchmarks.serving.tutorial_server", f"--port={self.port}"),
            *(f"--model={self.model}", f"--engine-args={json.dumps(self.engine_args)}"),
        ]
        if self.offline:
            words += [f"--offline={json.dumps(self.offline)}", f"--offline-out={self.offline_out}"]
        return words

    def start(self) -> None:
        """Starts the process; `wait` says when it is ready."""
        path = os.pathsep.join([str(ROOT / "files"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path} | self.environment
        self.began = time.monotonic()
        # A file, not a pipe: who reads one would work in the load tool's process, and a server
        # that writes faster than that is read would wait.
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, timeout: float) -> float:
        """Waits until /health says 200; the seconds since the process was started.

        Raises:
            StartError: it ended, or was not ready in time.
        """
        while time.monotonic() - self.began < timeout:
            if self._is_healthy():
                return time.monotonic() - self.began
            if self.process.poll() is not None:
                raise StartError(f"{self.name} ended with {self.process.returncode}; {self.log}")
            time.sleep(0.1)
        raise StartError(f"{self.name} was not ready after {timeout:.0f} s; see {self.log}")

    def _is_healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.base_url}/health", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        """Ends the process and all below it: the GPU must be free for the next one."""
        if self.process.poll() is not None:
            return
        family = [*psutil.Process(self.process.pid).children(recursive=True)]
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        _, alive = psutil.wait_procs(family, timeout=5)
        for process in alive:
            process.kill()
        psutil.wait_procs(alive, timeout=5)
