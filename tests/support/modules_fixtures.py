# SPDX-License-Identifier: Apache-2.0
"""Helpers of the module tests: modules run against the live emulator."""

from __future__ import annotations

import json
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from demo import ports
from tests.support.emulator_fixture import Emulator
from tests.support.module_runs import MODULES, run_module

ROOT = Path(__file__).parents[2]
ZONE, REGION = "us-central1-a", "us-central1"
IMAGES = "deeplearning-platform-release"
FAMILY = "common-cu129-ubuntu-2404-nvidia-580"

Json = dict[str, Any]


class Cloud:
    """The live emulator and the options with which modules reach one project in it."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.options: Json = {
            "project": emulator.project,
            "endpoint": emulator.endpoint,
            "service_account_file": str(emulator.credentials_file),
        }

    def run(self, module: str, check: bool = False, **options: Any) -> Json:
        """Run a module in this process, through its own main(), and return its result."""
        arguments = {**self.options, **options}
        given = {name: value for name, value in arguments.items() if value is not None}
        return run_module(module, given, check)

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
        return self.emulator.admin(verb, path, body)

    def stored(self, collection: str) -> list[Json]:
        """What the emulator holds of a collection in this project."""
        found: list[Json] = self.admin("GET", "state")["projects"][self.emulator.project][
            collection
        ]
        return found

    def api(self) -> Any:
        """The modules' own client, for what no module does."""
        from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import (
            client as gce_client,
        )

        settings = gce_client.Settings(
            project=self.emulator.project,
            endpoint=self.options["endpoint"],
            service_account_file=self.options["service_account_file"],
        )
        return gce_client.GceClient(settings)


def module_environment() -> dict[str, str]:
    """Environment in which the collection's modules can be imported."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "collections")}


free_port = ports.free_port


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
