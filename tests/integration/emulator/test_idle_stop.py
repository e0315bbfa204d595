# SPDX-License-Identifier: Apache-2.0
"""What watches beside the server, on a booted machine: that nobody uses it, and Google's notice.

One that nobody uses switches itself off, cuts nobody off, and can be started. One that Google takes
back stops its server.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
import yaml

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import ROOT, ZONE, Api, Emulator, instance_body
from tests.support.playbook_runs import ansible_playbook

pytestmark = pytest.mark.podman
OWNER = "emulator-idle"
VM = f"zones/{ZONE}/instances/vm"
PORT, KEY = 8000, "unit-test-key-0123456789"
#: Where Google's metadata server is.
METADATA = "169.254.169.254"
#: So that nobody waits for a minute: 3 seconds.
MINUTES = 0.05


def _machines(*words: str) -> None:
    command = [sys.executable, "-m", "emulator.machines", *words]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Emulator]:
    """An emulator whose machines have this Python and the server's package."""
    _machines("image")
    _machines("destroy", "--owner", OWNER)
    venv = str(Path(sys.prefix).resolve())
    seen = {
        sys.base_prefix: sys.base_prefix,
        venv: venv,
        str(ROOT / "files"): "/opt/llm-server",
        str(ROOT / "tests" / "support"): "/opt/support",
    }
    mounts = [f"--machine-option=mount={here}:{there}:ro" for here, there in seen.items()]
    options = ("--backend", "podman", "--owner", OWNER, *mounts)
    emulator = Emulator(tmp_path / "state", options=options)
    emulator.start()
    yield emulator
    emulator.stop()
    _machines("destroy", "--owner", OWNER)


def machine(column: str) -> str:
    names = [
        "podman",
        "ps",
        "--filter",
        f"label=gce-vllm={OWNER}",
        "--format",
        f"{{{{.{column}}}}}",
    ]
    return subprocess.run(names, capture_output=True, text=True, check=True).stdout.strip()


def on_machine(script: str, given: str = "") -> str:
    command = ["podman", "exec", "--interactive", machine("Names"), "sh", "-euc", script]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def serve() -> None:
    """The server's front, with three lines of an app behind it."""
    python = Path(sys.prefix).resolve() / "bin" / "python"
    on_machine(
        "systemd-run --quiet --unit=llm-server --property=RuntimeDirectory=llm-server"
        f" --setenv=PYTHONPATH=/opt/llm-server {python} /opt/support/idle_server.py {PORT} {KEY}"
    )


def goes_down_slowly() -> None:
    """Have something that takes a while to end, before the server may: as long as clients ask."""
    service = "[Service]\nExecStart=sleep infinity\nExecStop=sleep 10\n"
    unit = f"[Unit]\nAfter=llm-server.service\n{service}"
    on_machine("cat > /etc/systemd/system/lingers.service", given=unit)
    on_machine("systemctl daemon-reload; systemctl start lingers")


def answers_until_gone(url: str, ask: Callable[[], requests.Response]) -> list[requests.Response]:
    """Those from the moment on in which the server lets nobody in."""
    answers: list[requests.Response] = []
    while requests.get(f"{url}/health", timeout=60).status_code == 200:
        time.sleep(0.01)
    try:
        while True:
            answers.append(ask())
            time.sleep(0.05)
    except (requests.exceptions.ConnectionError, requests.exceptions.Timeout):
        return answers  # the machine has gone, between two requests


class Operator:
    """Runs the role's own tasks over SSH, and is logged in meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "key")]
        subprocess.run(key, check=True)
        self.public = (folder / "key.pub").read_text().strip()

    def reach(self, address: str, host_key: str) -> None:
        known = self.folder / "known_hosts"
        known.write_text(f"{address} ssh-ed25519 {host_key}\n")
        self.ssh = (
            f"-o UserKnownHostsFile={known} -o ControlMaster=auto -o ControlPersist=600s"
            f" -o ControlPath={self.folder}/ssh"
        )
        self.address = address
        variables = {
            "ansible_host": address,
            "ansible_user": "ann",
            "ansible_become": True,
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            "ansible_ssh_args": self.ssh,
            "ansible_python_interpreter": "/usr/bin/python3",
            "llm_server_idle_stop_minutes": 1,
            "llm_server_preemption_timeout": 1,
            "__llm_server_package": {"changed": False},
        }
        hosts = {"all": {"hosts": {"vm": variables}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(hosts))
        role = "llmops.gce_vllm.llm_server"
        tasks = [
            {"name": "Do it", "ansible.builtin.include_role": {"name": role, "tasks_from": file}}
            for file in ("idle_stop", "preemption")
        ]
        play = {"hosts": "vm", "gather_facts": False, "tasks": tasks}
        (self.folder / "play.yml").write_text(yaml.safe_dump([play]))

    def run(self, *options: str) -> int:
        """How many tasks changed something."""
        inventory = ("-i", str(self.folder / "hosts.yml"))
        done = ansible_playbook(*inventory, self.folder / "play.yml", *options)
        assert done.returncode == 0, done.stdout
        return int(done.stdout.rpartition("changed=")[2].split()[0])

    def log_out(self) -> None:
        command = ["ssh", *self.ssh.split(), "-O", "exit", f"ann@{self.address}"]
        subprocess.run(command, check=True, capture_output=True)


def said(unit: str = "llm-server-idle") -> str:
    return on_machine(f"journalctl --unit={unit} --no-pager --output=cat")


def state(unit: str) -> str:
    return on_machine(f"systemctl is-active {unit} || true").strip()


def become_googles() -> None:
    """Let the machine take itself for Google's: by its firmware, and by who answers about it."""
    drop_in = "/etc/systemd/system/llm-server-preemption.service.d"
    firmware = (
        "[Service]\nTemporaryFileSystem=/sys/class:ro\nBindReadOnlyPaths=/etc/dmi:/sys/class/dmi\n"
    )
    on_machine(
        f"mkdir -p {drop_in} /etc/dmi/id; cat > {drop_in}/firmware.conf;"
        " echo 'Google Compute Engine' > /etc/dmi/id/product_name; systemctl daemon-reload",
        given=firmware,
    )
    inside = ["nsenter", "--target", machine("Pid"), "--net"]
    subprocess.run([*inside, "ip", "address", "add", f"{METADATA}/32", "dev", "lo"], check=True)
    server = f"python3 /opt/support/metadata_server.py {METADATA} 80"
    on_machine(f"systemd-run --quiet --unit=metadata {server}")


def taken_back() -> None:
    """Google's notice stops the server, by the unit as the role wrote it."""
    on_machine("systemctl disable --quiet llm-server-idle")
    become_googles()
    serve()
    on_machine("systemctl start llm-server-preemption")
    # Not the first question, which is answered at once, but one that waits for a change.
    until(lambda: said("metadata").count("last_etag") > 1)
    assert [state(unit) for unit in ("llm-server", "llm-server-preemption")] == ["active"] * 2
    on_machine("systemctl kill --signal=USR1 metadata")
    until(lambda: state("llm-server") == "inactive")
    until(lambda: state("llm-server-preemption") == "inactive")
    told = "Google takes this instance back: stopping llm-server"
    until(lambda: told in said("llm-server-preemption"))


def test_the_whole_cycle(real: Emulator, tmp_path: Path) -> None:
    api, operator = Api(real), Operator(tmp_path)
    rule = {"name": "llm", "allowed": [{"IPProtocol": "tcp", "ports": [str(PORT)]}]}
    api.must("POST", "global/firewalls", rule)
    metadata = [
        {"key": "enable-guest-attributes", "value": "TRUE"},
        {"key": "ssh-keys", "value": f"ann:{operator.public}"},
    ]
    body = instance_body("vm", metadata={"items": metadata})
    api.must("POST", f"zones/{ZONE}/instances", body)
    address = api.get(VM)["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    keys = api.get(f"{VM}/getGuestAttributes", queryPath="hostkeys/ssh-ed25519")
    operator.reach(address, keys["queryValue"]["items"][0]["value"])
    url = f"http://{address}:{PORT}"
    serve()
    until(lambda: "healthy" in on_machine(f"curl -s 127.0.0.1:{PORT}/health || true"))

    def ask() -> requests.Response:
        headers = {"Authorization": f"Bearer {KEY}"}
        return requests.post(f"{url}/v1/completions", headers=headers, timeout=60)

    assert operator.run("--check") == 2
    assert operator.run() == 5
    assert operator.run() == 0
    # This is not Google's machine: there is nobody to wait for, which is no failure.
    until(lambda: "exec-condition" in said("llm-server-preemption"))
    assert state("llm-server-preemption") == "inactive"
    assert ask().status_code == 200
    unit = "/etc/systemd/system/llm-server-idle.service"
    on_machine(f"sed -i '/^ExecStart=/s/ 1$/ {MINUTES}/' {unit}; systemctl daemon-reload")
    on_machine("systemctl restart llm-server-idle")
    until(lambda: "ann is logged in by SSH" in said())
    assert api.get(VM)["status"] == "RUNNING"
    assert ask().status_code == 200
    goes_down_slowly()
    operator.log_out()

    answers = answers_until_gone(url, ask)
    assert answers, "it was gone before it said so"
    for answer in answers:
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert "error" in answer.json(), "an answer was cut off"
    assert "switched off" in answers[0].json()["error"]["message"]

    until(lambda: api.get(VM)["status"] == "TERMINATED")
    cloud = m.Cloud(real)
    asked = {"zone": ZONE, "name": "vm", "idle_minutes": 1}
    stop = cloud.ok("gce_own_stop_info", **asked)["stop"]
    assert stop["reason"] == "idle"
    api.must("POST", f"{VM}/start")
    assert api.get(VM)["status"] == "RUNNING"
    assert cloud.ok("gce_own_stop_info", **asked)["stop"] is None
    taken_back()
