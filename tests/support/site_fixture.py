# SPDX-License-Identifier: Apache-2.0
"""A project in the emulator, an inventory for it, and the playbooks, as people run them."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.emulator_fixture import ROOT, Api, Emulator
from tests.support.modules_fixtures import ZONE, Json, free_port
from tests.support.playbook_runs import PROGRAM, ansible_playbook

NAME = "llm-server"
DRIFT_KEYS = {
    *("status", "checked_at", "layers_checked", "at_rest"),
    *("differences", "errors", "gpu_findings"),
}
KEY = "an-api-key-that-nobody-may-see"
MAKE = [
    {
        "name": "Make what site.yml would make",
        "hosts": "compute_engine",
        "gather_facts": False,
        "roles": ["llmops.gce_vllm.gce_network", "llmops.gce_vllm.gce_instance"],
    }
]


class Site:
    """A project in the emulator, an inventory for it, and the playbooks."""

    def __init__(self, emulator: Emulator, api: Api, folder: Path) -> None:
        self.emulator, self.api, self.folder = emulator, api, folder
        self.variables: Json = {
            "gce_project": emulator.project,
            "gce_zone": ZONE,
            "gce_name": NAME,
            "gce_endpoint": emulator.endpoint,
            "gce_service_account_file": str(emulator.credentials_file),
            "gce_vllm_state_dir": str(folder / "keys"),
            "llm_device": "cpu",
            "llm_model": "SmolLM2-135M-Instruct",
            "llm_api_port": free_port(),
            "llm_api_key": KEY,
            "llm_api_key_file": str(folder / "keys" / "api_key"),
            "gce_instance_price_source": "table",
            "gce_network_api_source_ranges": ["198.51.100.7/32"],
            "gce_network_ssh_source_ranges": ["198.51.100.7/32"],
        }
        self.servers: Json = {}
        # Each stands for one instance.
        self.clouds: Json = {"localhost": {}}

    def stored(self, collection: str) -> list[Json]:
        """What there is of a collection in the project."""
        cloud, _ = self.state()
        found: list[Json] = cloud[collection]
        return found

    def at_terminal(self, name: str, answer: str) -> int:
        """Run a playbook at a terminal where somebody answers its question; the exit status."""
        command = [PROGRAM, "-i", self._inventory()]
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", *command, f"playbooks/{name}.yml"],
            cwd=ROOT,
            env={**os.environ, "TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        text, again, until = "", 0.0, time.monotonic() + 600
        while time.monotonic() < until and process.poll() is None:
            if select.select([ours], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # the terminal goes with the process
                    text += os.read(ours, 4096).decode(errors="replace")
            # Ansible throws away what was typed before it began to read, so it is typed again.
            if "type the name of the instance" in text and time.monotonic() > again:
                os.write(ours, f"{answer}\r".encode())
                again = time.monotonic() + 2
        process.kill()
        os.close(ours)
        assert "type the name of the instance" in text
        return process.wait()

    def _inventory(self) -> Path:
        local = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
        }
        groups = {
            "compute_engine": {
                "hosts": {name: {**local, **more} for name, more in self.clouds.items()}
            },
            "llm_servers": {"hosts": self.servers},
        }
        inventory = self.folder / "hosts.yml"
        inventory.write_text(
            yaml.safe_dump({"all": {"vars": self.variables, "children": groups}}), encoding="utf-8"
        )
        return inventory

    def play(
        self,
        playbook: str,
        *options: str,
        cwd: Path = ROOT,
        environment: Mapping[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run one playbook of the collection, or a file, in a folder."""
        done = ansible_playbook(
            *("-i", self._inventory(), ROOT / playbook, *options),
            environment=environment,
            cwd=cwd,
            merged=True,
        )
        assert KEY not in done.stdout
        assert "Traceback" not in done.stdout
        return done

    def reach_locally(self) -> None:
        """Let this machine stand in for the instance's host, which a record does not boot."""
        self.servers = {
            NAME: {
                "ansible_connection": "local",
                "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            }
        }

    def quota(self, region: str, metric: str, limit: int) -> None:
        """Set a limit of this project's."""
        self.emulator.admin(
            "PUT",
            f"projects/{self.emulator.project}/regions/{region}/quotas/{metric}",
            {"limit": limit},
        )

    def make(self) -> None:
        """The instance and its rules, by the roles; and the API key, as configure.yml makes it."""
        playbook = self.folder / "make.yml"
        playbook.write_text(yaml.safe_dump(MAKE), encoding="utf-8")
        done = self.play(str(playbook))
        assert done.returncode == 0, done.stdout
        Path(self.variables["llm_api_key_file"]).write_text(KEY, encoding="utf-8")
        Path(self.variables["llm_api_key_file"]).chmod(0o600)

    def ok(self, name: str, *options: str, changed: int | None = None, cwd: Path = ROOT) -> str:
        """Run a playbook that has to succeed with so many changed tasks; its output in one line."""
        done = self.play(f"playbooks/{name}.yml", *options, cwd=cwd)
        assert done.returncode == 0, done.stdout
        if changed is not None:
            assert sum(map(int, re.findall(r" changed=(\d+)", done.stdout))) == changed, done.stdout
        return " ".join(done.stdout.split())  # long lines are wrapped

    def document(self, name: str, *options: str) -> Json:
        """The JSON that status or cost writes; nothing may have changed."""
        target = self.folder / f"{name}.json"
        self.ok(name, "-e", f"{name}_output={target}", *options, changed=0)
        found: Json = json.loads(target.read_text(encoding="utf-8"))
        return found

    def drift(self, *options: str) -> Json:
        """The report of a drift that has to end with 2, having changed nothing."""
        target = self.folder / "drift.json"
        before = self.state()
        done = self.play("playbooks/drift.yml", "-e", f"drift_output={target}", *options)
        assert done.returncode == 2, done.stdout
        assert self.state() == before
        text = target.read_text(encoding="utf-8")
        assert KEY not in text
        found: Json = json.loads(text)
        assert set(found) == DRIFT_KEYS
        assert f"status: {found['status']}" in done.stdout
        for one in found["differences"]:
            assert set(one) == {"layer", "host", "object", "field", "is", "should_be"}
            assert one["object"] in done.stdout
        return found

    def state(self) -> Any:
        """Everything that the emulator holds of the project, and the files on the controller."""
        cloud = self.emulator.admin("GET", "state")["projects"][self.emulator.project]
        keys = self.folder / "keys"
        files = {p.name: p.read_bytes() for p in keys.iterdir()} if keys.exists() else {}
        return cloud, files
