# SPDX-License-Identifier: Apache-2.0
"""Machines that really boot: log-in, filter, internal addresses, power, and nothing left behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from emulator.machines import containers, network
from emulator.machines.podman_backend import PodmanBackend
from emulator.world.backend import IngressRule, MachineError, MachineKey, MachineSpec
from tests.support import machines_fixtures as m

pytestmark = pytest.mark.podman
ROOT = Path(__file__).parents[3]
IPS = {"a": "10.128.0.2", "b": "10.128.0.3"}
A, B = m.key("a"), m.key("b")
PORT = 8000


@pytest.fixture(scope="module")
def backend() -> Iterator[PodmanBackend]:
    """A backend of an owner that nobody else uses; everything of it goes afterwards."""
    made = PodmanBackend(f"test-{uuid.uuid4().hex[:8]}")
    try:
        yield made
    finally:
        made.destroy()
        assert left_of(made) == []


def left_of(backend: PodmanBackend) -> list[str]:
    """Return what is still there of the owner."""
    left = [machine.name for machine in backend.machines()]
    if network.find(backend.podman, backend.owner):
        left.append("network")
    if backend.store.folder.exists():
        left.append("folder")
    return left


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ssh")


@pytest.fixture(scope="module")
def metadata(folder: Path) -> dict[str, str]:
    return {"ssh-keys": f"{m.USER}:{m.make_ssh_key(folder)}"}


@pytest.fixture(scope="module")
def booted(backend: PodmanBackend, metadata: dict[str, str]) -> dict[str, str]:
    """Addresses of two machines, by name. Nothing of them is open yet."""
    addresses = {}
    for name, internal_ip in IPS.items():
        address = backend.create(m.spec(name, internal_ip, metadata))
        assert address
        addresses[name] = address
    return addresses


def ssh(backend: PodmanBackend, folder: Path, name: str) -> m.Ssh:
    machine = containers.find(backend.podman, backend.owner, m.key(name))
    assert machine
    return m.Ssh(folder, machine.address, backend.guest_attributes(m.key(name))["hostkeys"])


def inspected(backend: PodmanBackend, key: MachineKey) -> Any:
    name = containers.container_name(backend.owner, key)
    return backend.podman.json("container", "inspect", name)[0]


def operator(backend: PodmanBackend) -> str:
    return f"{backend.operator_address()}/32"


def test_closed_until_a_rule_opens_it(backend: PodmanBackend, booted: dict[str, str]) -> None:
    backend.apply_firewall(A, [])
    assert m.probe(booted["a"], 22) == "timeout"
    assert m.probe_from(backend, "b", booted["a"], 22) == "timeout"
    backend.apply_firewall(A, [m.allow(22, source=operator(backend))])
    assert m.probe(booted["a"], 22) == "open"
    # a port that nobody listens on says nothing either
    assert m.probe(booted["a"], 23) == "timeout"


def test_login_with_checked_host_key_and_sudo(
    backend: PodmanBackend, booted: dict[str, str], folder: Path
) -> None:
    for key in (A, B):
        backend.apply_firewall(key, [m.allow(22, source=operator(backend))])
    done = ssh(backend, folder, "a").run("hostname; id -un; sudo -n id -un")
    assert done.stdout.split() == ["a", m.USER, "root"], done.stderr

    theirs = {name: backend.guest_attributes(m.key(name))["hostkeys"] for name in IPS}
    assert {"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256"} <= set(theirs["a"])
    assert not set(theirs["a"].values()) & set(theirs["b"].values())
    wrong = m.Ssh(folder, booted["a"], theirs["b"]).run("true")
    assert wrong.returncode == 255
    assert "IDENTIFICATION HAS CHANGED" in wrong.stderr


def test_a_port_opens_to_a_source_range_only(
    backend: PodmanBackend, booted: dict[str, str]
) -> None:
    m.serve(backend, "a", PORT)
    backend.apply_firewall(A, [m.allow(PORT, source=operator(backend))])
    assert m.probe(booted["a"], PORT) == "open"
    assert m.probe_from(backend, "b", booted["a"], PORT) == "timeout"

    backend.apply_firewall(A, [m.allow(PORT, source=f"{booted['b']}/32")])
    assert m.probe(booted["a"], PORT) == "timeout"
    assert m.probe_from(backend, "b", booted["a"], PORT) == "open"


def test_the_first_rule_that_matches_decides(
    backend: PodmanBackend, booted: dict[str, str]
) -> None:
    everyone = IngressRule("allow", "all", [], ["0.0.0.0/0"])
    deny = IngressRule("deny", "tcp", [(PORT, PORT)], [operator(backend)])
    backend.apply_firewall(A, [deny, everyone])
    assert m.probe(booted["a"], PORT) == "timeout"
    assert m.probe(booted["a"], 22) == "open"
    backend.apply_firewall(A, [everyone, deny])
    assert m.probe(booted["a"], PORT) == "open"


def test_a_refused_rule_changes_nothing(backend: PodmanBackend, booted: dict[str, str]) -> None:
    backend.apply_firewall(A, [m.allow(22, source=operator(backend))])
    with pytest.raises(MachineError, match="Unknown protocol"):
        backend.apply_firewall(A, [IngressRule("allow", "nonsense", [], ["0.0.0.0/0"])])
    assert m.probe(booted["a"], 22) == "open"


def test_machines_see_each_other_by_internal_address(
    backend: PodmanBackend, booted: dict[str, str]
) -> None:
    backend.apply_firewall(A, [m.allow(PORT, source="10.128.0.0/9")])
    code = f"import socket; print(socket.create_connection(('{IPS['a']}', {PORT})).recv(99))"
    assert IPS["b"] in m.inside(backend, "b", "python3", "-c", code)
    assert m.probe_from(backend, "b", booted["a"], PORT) == "timeout"


def test_the_machine_is_a_real_systemd_host(backend: PodmanBackend, booted: dict[str, str]) -> None:
    state = m.inside(backend, "a", "systemctl", "is-system-running", "--wait")
    assert state.strip() == "running"
    journal = m.inside(backend, "a", "journalctl", "--unit=ssh", "--output=cat", "--no-pager")
    assert "Server listening" in journal
    assert "Reached target" in backend.console(A)
    run = ("systemd-run", "--quiet", "--wait", "--pipe", "--collect")
    strict = (*run, "-p", "ProtectSystem=strict", "sh", "-c", "touch /etc/x 2>&1; exit 0")
    assert "Read-only file system" in m.inside(backend, "a", *strict)
    secret = (*run, "-p", "SetCredential=k:secret", "-p", "DynamicUser=yes")
    shown = m.inside(backend, "a", *secret, "sh", "-c", 'cat "$CREDENTIALS_DIRECTORY/k"')
    assert shown == "secret"


def test_the_machine_cannot_touch_its_filter(
    backend: PodmanBackend, booted: dict[str, str]
) -> None:
    held = m.inside(backend, "a", "sh", "-c", "grep CapBnd /proc/self/status")
    mask = int(held.split()[1], 16)
    dangerous = {"net_admin": 12, "net_raw": 13, "sys_module": 16, "sys_rawio": 17, "mknod": 27}
    assert {name for name, bit in dangerous.items() if mask >> bit & 1} == set()

    backend.apply_firewall(A, [])
    flushed = m.inside(backend, "a", "sh", "-c", "nft flush ruleset 2>&1; exit 0")
    assert "Operation not permitted" in flushed
    assert m.probe(booted["a"], 22) == "timeout"


def test_keys_come_and_go_with_metadata(
    backend: PodmanBackend, booted: dict[str, str], folder: Path, metadata: dict[str, str]
) -> None:
    backend.apply_firewall(B, [m.allow(22, source=operator(backend))])
    shell = ssh(backend, folder, "b")
    assert shell.run("echo 'ssh-ed25519 AAAA own' >> .ssh/authorized_keys").returncode == 0
    backend.apply_metadata(B, {"ssh-keys": "bob:ssh-ed25519 BBBB bob"})
    refused = shell.run("true")
    assert refused.returncode == 255
    assert "Permission denied" in refused.stderr
    home = f"/home/{m.USER}"
    kept = m.inside(backend, "b", "cat", f"{home}/.ssh/authorized_keys")
    assert kept == "ssh-ed25519 AAAA own\n"
    assert "google-sudoers" not in m.inside(backend, "b", "id", m.USER)
    assert "google-sudoers" in m.inside(backend, "b", "id", "bob")

    backend.apply_metadata(B, metadata)
    assert shell.run("sudo -n true").returncode == 0
    modes = m.inside(backend, "b", "stat", "-c", "%a %U", f"{home}/.ssh/authorized_keys")
    assert modes.split() == ["600", m.USER]


def test_power_off_and_on(
    backend: PodmanBackend, booted: dict[str, str], folder: Path, metadata: dict[str, str]
) -> None:
    before = backend.guest_attributes(A)
    m.inside(backend, "a", "sh", "-c", "echo kept > /etc/kept; rm -f /etc/stopped")
    hook = 'ExecStop=/bin/sh -c "echo yes > /etc/stopped"'
    unit = f"[Service]\nType=oneshot\nRemainAfterExit=yes\n{hook}\n"
    m.inside(backend, "a", "sh", "-c", f"printf '%s' '{unit}' > /etc/systemd/system/bye.service")
    m.inside(backend, "a", "systemctl", "start", "bye")
    backend.apply_firewall(A, [m.allow(22, source=operator(backend))])

    backend.stop(A)
    backend.stop(A)
    assert not backend.running(A)
    assert backend.guest_attributes(A) == {}
    assert backend.console(A) == ""
    # what is desired while it is off counts from its next first moment
    backend.apply_firewall(A, [])
    backend.apply_firewall(B, [])
    backend.apply_metadata(A, {"ssh-keys": f"{metadata['ssh-keys']}\nbob:ssh-ed25519 BBBB bob"})
    bridge = network.ensure(backend.podman, backend.owner)
    with m.watching(bridge.subnet, 22, hosts=range(2, 12)) as watch:
        address = backend.start(A)
        deadline = time.monotonic() + 300
        while watch.rounds <= 100 and time.monotonic() < deadline:
            time.sleep(0.1)
    assert address
    assert watch.rounds > 100
    # Before its first process runs an address may refuse; from then on it is the filter's.
    started = datetime.fromisoformat(inspected(backend, A)["State"]["StartedAt"]).timestamp()
    assert [answer for answer in watch.answers if answer[0] > started] == []
    assert backend.start(A) == address
    assert m.inside(backend, "a", "cat", "/etc/kept", "/etc/stopped").split() == ["kept", "yes"]
    assert "google-sudoers" in m.inside(backend, "a", "id", "bob")
    assert backend.guest_attributes(A) == before

    backend.apply_firewall(A, [m.allow(22, source=operator(backend))])
    assert ssh(backend, folder, "a").run("true").returncode == 0
    m.serve(backend, "b", PORT)
    backend.apply_firewall(B, [m.allow(PORT, source=f"{IPS['a']}/32")])
    assert m.probe_from(backend, "a", IPS["b"], PORT) == "open"


def test_reset_boots_it_again(backend: PodmanBackend, booted: dict[str, str]) -> None:
    m.inside(backend, "a", "touch", "/run/only-in-memory", "/etc/on-disk")
    backend.reset(A)
    assert backend.running(A)
    found = m.inside(backend, "a", "sh", "-c", "ls /run/only-in-memory /etc/on-disk 2>&1; exit 0")
    assert "/run/only-in-memory': No such file" in found
    assert "/etc/on-disk\n" in found


def test_create_again_changes_nothing(
    backend: PodmanBackend, booted: dict[str, str], metadata: dict[str, str]
) -> None:
    machine = containers.find(backend.podman, backend.owner, B)
    assert machine
    assert backend.create(m.spec("b", IPS["b"], metadata)) == machine.address


def test_delete_leaves_nothing(backend: PodmanBackend, metadata: dict[str, str]) -> None:
    key = m.key("short-lived")
    backend.create(MachineSpec(key, internal_ip="10.128.0.9", image="any", metadata=metadata))
    machine = containers.find(backend.podman, backend.owner, key)
    assert machine
    assert Path(machine.namespace).exists()
    backend.delete(key)
    backend.delete(key)
    backend.stop(key)
    assert not backend.running(key)
    assert not Path(machine.namespace).exists()
    assert key not in [one.key for one in backend.machines()]
    assert not (backend.store.folder / f"{machine.name}.json").exists()
    with pytest.raises(MachineError, match="no machine for demo-project"):
        backend.start(key)


def test_a_machine_that_does_not_come_up_says_why_and_is_gone(
    backend: PodmanBackend, monkeypatch: pytest.MonkeyPatch, metadata: dict[str, str]
) -> None:
    monkeypatch.setattr("emulator.machines.podman_backend.BOOT_SECONDS", 2)
    broken = PodmanBackend(backend.owner, mounts=["/dev/null:/usr/sbin/sshd:ro"])
    with pytest.raises(MachineError, match=r"sshd does not answer .* systemd says"):
        broken.create(m.spec("broken", "10.128.0.10", metadata))
    assert "broken" not in [machine.key.name for machine in backend.machines()]


def test_command_line(folder: Path) -> None:
    owner = f"--owner=test-{uuid.uuid4().hex[:8]}"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "emulator.machines", *words]
        return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)

    try:
        up = run("up", "vm", owner, "--own-filter", f"--ssh-key={m.USER}={folder / 'key.pub'}")
        machine = json.loads(up.stdout)
        shell = m.Ssh(folder, machine["address"], machine["hostkeys"])
        assert shell.run("sudo -n hostname").stdout == "vm\n"
        assert shell.run("sudo -n nft add table inet own").returncode == 0
        again = run("up", "vm", owner, f"--ssh-key={m.USER}={folder / 'key.pub'}")
        assert again.stdout == up.stdout
        assert [one["name"] for one in json.loads(run("list", owner).stdout)] == ["vm"]
        reach = ("bash", "-c", f"exec 3<>/dev/tcp/{machine['address']}/22; head -c 4 <&3; exit 7")
        client = run("client", owner, "c", *reach)
        assert (client.returncode, client.stdout) == (7, "SSH-")
        assert run("down", "vm", owner).returncode == 0
        assert json.loads(run("list", owner).stdout) == []
        assert "network" in run("destroy", owner).stdout
        assert "nothing" in run("destroy", owner).stdout
    finally:
        run("destroy", owner)
    both = run("up", "vm", owner, "--closed", "--own-filter")
    assert (both.returncode, both.stdout) == (2, "")
    assert "not allowed with argument" in both.stderr
    bad = run("up", "vm", "--mount=/no/such:/x")
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.count("\n") == 1
