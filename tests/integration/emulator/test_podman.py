# SPDX-License-Identifier: Apache-2.0
"""The API in front of machines that really boot: what it says is what one finds."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.emulator_fixture import ROOT, ZONE, Api, Emulator, instance_body

pytestmark = pytest.mark.podman
OWNER = "emulator-test"
VMS = f"zones/{ZONE}/instances"


def _machines(*words: str) -> None:
    command = [sys.executable, "-m", "emulator.machines", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def _destroy() -> None:
    _machines("destroy", "--owner", OWNER)


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """The machines' image: the first machine would else wait for it longer than a request may."""
    _machines("image")


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator with the podman backend."""
    _destroy()
    options = ("--backend", "podman", "--owner", OWNER)
    emulator = Emulator(tmp_path / "state", options=options)
    emulator.start()
    yield emulator
    emulator.stop()
    _destroy()


def _address(api: Api) -> str:
    found: str = api.get(f"{VMS}/vm")["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    return found


def _open(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=2):
            return True
    except ConnectionRefusedError:
        return True  # nothing listens, but the way is open
    except OSError:
        return False


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.2)
    return False


def _login(folder: Path, address: str, host_key: str) -> str:
    known = folder / "known_hosts"
    known.write_text(f"{address} ssh-ed25519 {host_key}\n")
    done = subprocess.run(
        ["ssh", "-i", folder / "key", "-o", f"UserKnownHostsFile={known}",
         "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "/dev/null",
         f"ann@{address}", "sudo -n hostname"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_machine_behind_the_api(real: Emulator, tmp_path: Path) -> None:
    api = Api(real)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True
    )
    public = (tmp_path / "key.pub").read_text().strip()
    metadata: list[dict[str, Any]] = [
        {"key": "enable-guest-attributes", "value": "TRUE"},
        {"key": "ssh-keys", "value": f"ann:{public}"},
    ]
    body = instance_body("vm", metadata={"items": metadata}, tags={"items": ["llm"]})
    api.must("POST", VMS, body)
    address = _address(api)
    attributes = api.get(f"{VMS}/vm/getGuestAttributes", queryPath="hostkeys/")
    keys = {item["key"]: item["value"] for item in attributes["queryValue"]["items"]}
    _login(tmp_path, address, keys["ssh-ed25519"])

    # A port that no rule opens can't be reached; one that a rule opens can.
    assert not _open(address, 8000)
    rule = {"name": "llm", "allowed": [{"IPProtocol": "tcp", "ports": ["8000"]}]}
    api.must("POST", "global/firewalls", rule | {"targetTags": ["llm"]})
    assert _open(address, 8000)
    fingerprint = api.get(f"{VMS}/vm")["tags"]["fingerprint"]
    api.must("POST", f"{VMS}/vm/setTags", {"items": [], "fingerprint": fingerprint})
    assert not _open(address, 8000)

    api.must("POST", f"{VMS}/vm/stop")
    assert _podman("inspect", "--format", "{{.State.Running}}", _container()) == "false"
    api.must("POST", f"{VMS}/vm/start")
    _login(tmp_path, _address(api), keys["ssh-ed25519"])

    # The emulator goes away without a word; the machine does not, until somebody stops it.
    real.stop(signal.SIGKILL)
    assert _open(_address_of_machine(), 22)
    subprocess.run(["podman", "kill", _container()], check=True, capture_output=True)
    real.start()
    again = Api(real)
    assert again.get(f"{VMS}/vm")["status"] == "RUNNING"
    _login(tmp_path, _address(again), keys["ssh-ed25519"])
    assert not _open(_address(again), 8000)

    again.must("POST", f"{VMS}/vm/reset")
    assert _soon(lambda: _open(_address(again), 22))
    assert again.get(f"{VMS}/vm/serialPort")["contents"]
    again.must("DELETE", f"{VMS}/vm")
    assert _container() == ""


def test_a_machine_that_is_gone(real: Emulator) -> None:
    """Its disk went with it: the instance can't come back, and says so."""
    api = Api(real)
    api.must("POST", VMS, instance_body("vm", "e2-small", scheduling={}))
    real.stop()
    subprocess.run(["podman", "rm", "--force", _container()], check=True, capture_output=True)
    real.start()
    vm = Api(real).get(f"{VMS}/vm")
    assert vm["status"] == "TERMINATED"
    assert vm["statusMessage"]
    assert "natIP" not in vm["networkInterfaces"][0]["accessConfigs"][0]


def _podman(*words: str) -> str:
    done = subprocess.run(["podman", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def _container() -> str:
    return _podman("ps", "-a", "--filter", f"label=gce-vllm={OWNER}", "--format", "{{.Names}}")


def _address_of_machine() -> str:
    form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    return _podman("inspect", "--format", form, _container())
