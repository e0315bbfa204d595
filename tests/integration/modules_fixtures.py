# SPDX-License-Identifier: Apache-2.0
"""Helpers of the module tests: an emulator of one's own, and modules run against it."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PROJECT, ZONE, REGION = "demo-project", "us-central1-a", "us-central1"
IMAGES = "deeplearning-platform-release"
FAMILY = "common-cu129-ubuntu-2404-nvidia-580"
MODULES = "ansible_collections.llmops.gce_vllm.plugins.modules"

Json = dict[str, Any]


@dataclass
class Cloud:
    """An emulated Compute Engine and the options with which modules reach it."""

    address: str
    folder: Path
    options: Json = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.options = {
            "project": PROJECT,
            "endpoint": f"{self.address}/compute/v1",
            "service_account_file": str(self.folder / "credentials.json"),
            **self.options,
        }

    def run(self, module: str, check: bool = False, **options: Any) -> Json:
        """Run a module in this process, through its own main(), and return its result."""
        from ansible.module_utils.testing import patch_module_args

        arguments = {**self.options, **options, "_ansible_check_mode": check, "_ansible_diff": True}
        written = io.StringIO()
        entry = importlib.import_module(f"{MODULES}.{module}").main
        given = {name: value for name, value in arguments.items() if value is not None}
        with (
            patch_module_args(given),
            contextlib.redirect_stdout(written),
            contextlib.suppress(SystemExit),
        ):
            entry()
        return json.loads(written.getvalue())

    def ok(self, module: str, check: bool = False, **options: Any) -> Json:
        """Run a module that has to succeed."""
        result = self.run(module, check, **options)
        assert not result.get("failed"), result["msg"]
        return result

    def fails(self, module: str, check: bool = False, **options: Any) -> Json:
        """Run a module that has to fail with a message of ours."""
        result = self.run(module, check, **options)
        assert result.get("failed"), result
        assert "Traceback" not in json.dumps(result)
        return result

    def command(self, module: str, **options: Any) -> list[str]:
        """Command line that runs a module in a process of its own."""
        arguments = {"ANSIBLE_MODULE_ARGS": {**self.options, **options}}
        return [sys.executable, "-m", f"{MODULES}.{module}", json.dumps(arguments)]

    def admin(self, verb: str, path: str, body: Json | None = None) -> Json:
        """Use the emulator's own controls."""
        request = urllib.request.Request(  # noqa: S310 - loopback
            f"{self.address}/emulator/v1/{path}",
            method=verb,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)

    def stored(self, collection: str) -> list[Json]:
        """What the emulator holds of a collection."""
        return self.admin("GET", "state")["projects"][PROJECT][collection]

    def api(self) -> Any:
        """The modules' own client, for what no module does."""
        from ansible_collections.llmops.gce_vllm.plugins.module_utils import gce_client

        settings = gce_client.Settings(
            project=PROJECT,
            endpoint=self.options["endpoint"],
            service_account_file=self.options["service_account_file"],
        )
        return gce_client.GceClient(settings)


def module_environment() -> dict[str, str]:
    """Environment in which the collection's modules can be imported."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "collections")}


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_emulator(folder: Path) -> Iterator[Cloud]:
    """An emulator of records only, with an empty project, until the block ends."""
    port, log = free_port(), folder / "emulator.log"
    command = [sys.executable, "-m", "emulator", "serve", "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--state-dir", str(folder)], cwd=ROOT, stdout=output, stderr=output
        )
        try:
            end = time.monotonic() + 30
            while "ready " not in log.read_text():
                assert process.poll() is None and time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield Cloud(f"http://127.0.0.1:{port}", folder)
        finally:
            process.terminate()
            process.wait(timeout=20)


def new_name(prefix: str) -> str:
    """A name that no other test uses."""
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


def machine(name: str, **changes: Any) -> Json:
    """Options of an L4 instance; `changes` replace or add, None removes."""
    options: Json = {
        "zone": ZONE,
        "name": name,
        "machine_type": "g2-standard-8",
        "boot_disk": {
            "image_project": IMAGES,
            "image_family": FAMILY,
            "size_gb": 100,
            "type": "pd-balanced",
        },
        "tags": ["llm-server"],
        "labels": {"owner": "tests"},
        "metadata": {"enable-guest-attributes": "TRUE"},
    }
    return {key: value for key, value in {**options, **changes}.items() if value is not None}
