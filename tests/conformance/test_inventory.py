# SPDX-License-Identifier: Apache-2.0
"""The google.cloud inventory plugin and one of its modules, unmodified, through the proxy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_fixture import ZONE, Api, Emulator, instance_body

BIN = Path(sys.executable).parent


def _inventory(emulator: Emulator, folder: Path, **options: Any) -> dict[str, Any]:
    config = {
        "plugin": "google.cloud.gcp_compute",
        "projects": [emulator.project],
        "auth_kind": "serviceaccount",
        "service_account_file": str(emulator.credentials_file),
        "hostnames": ["name"],
        **options,
    }
    path = folder / "demo.gcp_compute.yml"
    path.write_text(json.dumps(config))
    done = subprocess.run(
        [BIN / "ansible-inventory", "-i", path, "--list"],
        env=emulator.environment() | {"ANSIBLE_INVENTORY_UNPARSED_FAILED": "true"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout, object_hook=_plain)
    return result


def _plain(value: dict[str, Any]) -> Any:
    """ansible-core marks what came from outside as unsafe."""
    return value["__ansible_unsafe"] if set(value) == {"__ansible_unsafe"} else value


@pytest.fixture
def fleet(api: Api) -> None:
    """Three instances: running and labelled, running in another zone, stopped."""
    cpu: dict[str, Any] = {"scheduling": {}}
    zones = f"zones/{ZONE}/instances"
    labelled = instance_body("llm-a", labels={"app": "llm"})
    api.must("POST", zones, labelled)
    other = instance_body("other-b", "e2-small", **cpu)
    other["machineType"] = "zones/us-east1-b/machineTypes/e2-small"
    api.must("POST", "zones/us-east1-b/instances", other)
    api.must("POST", zones, instance_body("llm-c", "e2-small", labels={"app": "llm"}, **cpu))
    api.must("POST", f"{zones}/llm-c/stop")


@pytest.mark.usefixtures("fleet")
def test_all_instances_with_their_facts(emulator: Emulator, tmp_path: Path) -> None:
    found = _inventory(
        emulator,
        tmp_path,
        keyed_groups=[{"key": "labels", "prefix": "label"}, {"key": "zone", "prefix": "zone"}],
        compose={"ansible_host": "networkInterfaces[0].accessConfigs[0].natIP"},
    )
    hosts = found["_meta"]["hostvars"]
    assert set(hosts) == {"llm-a", "other-b", "llm-c"}
    assert hosts["llm-a"]["ansible_host"].startswith("203.0.113.")
    assert hosts["llm-a"]["machineType"] == "g2-standard-4"
    assert hosts["llm-a"]["zone"] == ZONE
    assert hosts["llm-a"]["project"] == emulator.project
    assert set(found["label_app_llm"]["hosts"]) == {"llm-a", "llm-c"}
    assert found["zone_us_east1_b"]["hosts"] == ["other-b"]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([], {"llm-a", "other-b", "llm-c"}),
        (["status = RUNNING"], {"llm-a", "other-b"}),
        (["status = RUNNING", "labels.app = llm"], {"llm-a"}),
        (["status = RUNNING AND labels.app = llm"], {"llm-a"}),
        (["labels.app:*"], {"llm-a", "llm-c"}),
        (["status = TERMINATED OR name = other-b"], {"other-b", "llm-c"}),
        (["name = nobody"], set()),
    ],
)
def test_filters(
    emulator: Emulator, tmp_path: Path, filters: list[str], expected: set[str]
) -> None:
    found = _inventory(emulator, tmp_path, filters=filters)
    assert set(found["_meta"]["hostvars"]) == expected


@pytest.mark.usefixtures("fleet")
def test_image_information(emulator: Emulator, tmp_path: Path) -> None:
    found = _inventory(emulator, tmp_path, retrieve_image_info=True)
    image = found["_meta"]["hostvars"]["llm-a"]["image"]
    assert image.startswith("pytorch-2-9-cu129-ubuntu-2404-nvidia-580-v")


def test_firewall_module_is_idempotent(emulator: Emulator, api: Api, tmp_path: Path) -> None:
    """It compares selfLinks literally: a second run must find nothing to do."""
    for expected in ("true", "false"):
        arguments = {
            "name": "by-google-cloud",
            "allowed": [{"ip_protocol": "tcp", "ports": ["8000"]}],
            "source_ranges": ["192.0.2.0/24"],
            "project": emulator.project,
            "auth_kind": "serviceaccount",
            "service_account_file": str(emulator.credentials_file),
        }
        done = subprocess.run(
            [
                BIN / "ansible",
                *("localhost", "-c", "local", "-m", "google.cloud.gcp_compute_firewall"),
                *(
                    "-a",
                    json.dumps(arguments),
                    "-e",
                    f"ansible_python_interpreter={sys.executable}",
                ),
            ],
            env=emulator.environment() | {"ANSIBLE_LOCALHOST_WARNING": "false"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert f'"changed": {expected}' in done.stdout
    assert api.get("global/firewalls/by-google-cloud")["sourceRanges"] == ["192.0.2.0/24"]
