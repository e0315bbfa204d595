# SPDX-License-Identifier: Apache-2.0
"""What podman is given on which host, and what is asked of a host that lacks something."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulator.machines import runtime
from emulator.world.backend import MachineError


@pytest.mark.parametrize(
    ("may_raise", "nofile", "nproc", "expected"),
    [
        (True, 1024, 1024, ()),
        (False, 20000, 96365, ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=32768:32768")),
        (False, 20000, 500, ("--ulimit", "nofile=20000:20000", "--ulimit", "nproc=500:500")),
        (False, -1, -1, ("--ulimit", "nproc=32768:32768")),
    ],
)
def test_ulimits(may_raise: bool, nofile: int, nproc: int, expected: tuple[str, ...]) -> None:
    flags = runtime.ulimit_flags(may_raise=may_raise, nofile=nofile, nproc=nproc, pid_max=32768)
    assert flags == expected


@pytest.mark.parametrize(
    ("mask", "held"), [("000001fffeffffff", False), ("000001ffffffffff", True), ("0", False)]
)
def test_capability(tmp_path: Path, mask: str, held: bool) -> None:
    status = tmp_path / "status"
    status.write_text(f"Name:\tx\nCapPrm:\t0\nCapEff:\t{mask}\n")
    assert runtime.has_capability(runtime.CAP_SYS_RESOURCE, status) is held


@pytest.fixture
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host with an empty PATH, as root, with cgroup v1."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(runtime, "SYSTEM_PATH", "")
    monkeypatch.setattr(runtime, "NETAVARK", (tmp_path / "netavark",))
    monkeypatch.setattr(runtime, "KEYRING", tmp_path / "keyring")
    monkeypatch.setattr(runtime, "CGROUP_ROOT", tmp_path / "cgroup")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (tmp_path / "bin").mkdir()
    (tmp_path / "cgroup").mkdir()
    return tmp_path


def install(host: Path, *programs: str) -> None:
    for program in programs:
        path = host / "bin" / program
        path.touch(mode=0o755)


def test_everything_is_missing(bare_host: Path) -> None:
    assert runtime.requirements() == [
        "debian-archive-keyring",
        "iproute2",
        "iptables",
        "mmdebstrap",
        "netavark",
        "nftables",
        "podman",
        "runc",
        "util-linux",
    ]


def test_what_is_there_is_not_asked_for(bare_host: Path) -> None:
    install(bare_host, *runtime.PROGRAMS)
    (bare_host / "netavark").touch()
    (bare_host / "keyring").touch()
    assert runtime.requirements() == ["runc"]
    with pytest.raises(MachineError, match=r"apt-get install -y runc$"):
        runtime.check_host()
    install(bare_host, "runc")
    assert runtime.requirements() == []
    runtime.check_host()


def test_runc_is_named_only_where_crun_would_refuse(bare_host: Path) -> None:
    install(bare_host, "runc")
    assert runtime.Podman().command("ps") == [
        "podman",
        "--runtime",
        str(bare_host / "bin" / "runc"),
        "ps",
    ]
    (bare_host / "cgroup" / "cgroup.controllers").touch()
    assert runtime.Podman().command("ps") == ["podman", "ps"]
    assert "runc" not in runtime.requirements()


def test_not_root(bare_host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(MachineError, match="needs root"):
        runtime.check_host()


def test_a_failing_program_is_named_with_what_it_said() -> None:
    with pytest.raises(MachineError, match=r"sh -c .* ended with 3: no luck"):
        runtime.execute(["sh", "-c", "echo no luck >&2; exit 3"])


def test_a_slow_program_is_given_up() -> None:
    with pytest.raises(MachineError, match=r"No answer within 0 s from: sleep 5"):
        runtime.execute(["sleep", "5"], timeout=0.1)


def test_a_missing_program() -> None:
    with pytest.raises(MachineError, match="no-such-program is not installed"):
        runtime.execute(["no-such-program"])
