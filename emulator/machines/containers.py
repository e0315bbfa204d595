# SPDX-License-Identifier: Apache-2.0
"""Containers as podman sees them: names, labels, how one is made, what state it is in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from emulator.machines.network import LABEL, Network
from emulator.machines.runtime import Podman
from emulator.world.backend import MachineError, MachineKey

# A virtual machine's /dev/shm is half its memory; podman's default of 64 MB is too little for
# the queues between vLLM's processes.
SHARED_MEMORY = "4g"
SHUTDOWN_SECONDS = 30


@dataclass(frozen=True)
class Container:
    """One machine's container.

    Attributes:
        address: on the owner's network; empty while it is stopped.
        namespace: path of its network namespace; empty while it is stopped.
        internal_ip: the instance's own address; empty if it has none.
        pid: of its first process; 0 while it is stopped.
    """

    name: str
    key: MachineKey
    running: bool
    address: str
    namespace: str
    internal_ip: str
    pid: int = 0


def container_name(owner: str, key: MachineKey) -> str:
    """Return the container's name, from what identifies the machine."""
    words = [LABEL, owner, key.project, key.zone, key.name]
    return re.sub(r"[^a-zA-Z0-9_.-]", "-", "-".join(word for word in words if word))


def create(
    podman: Podman,
    *,
    owner: str,
    key: MachineKey,
    network: Network,
    image: str,
    internal_ip: str,
    mounts: Sequence[str],
    devices: Sequence[str] = (),
    own_filter: bool = False,
) -> str:
    """Make a container that would boot systemd, and return its name.

    Args:
        own_filter: its root may load packet filters, and can thereby lift ours.
    """
    labels = {
        LABEL: owner,
        f"{LABEL}.project": key.project,
        f"{LABEL}.zone": key.zone,
        f"{LABEL}.name": key.name,
        f"{LABEL}.internal-ip": internal_ip,
    }
    name = container_name(owner, key)
    podman.run(
        "create",
        "--name",
        name,
        "--hostname",
        key.name,
        "--network",
        network.name,
        *(word for label, value in labels.items() for word in ("--label", f"{label}={value}")),
        *(word for mount in mounts for word in ("--volume", mount)),
        *(f"--device={device}" for device in devices),
        # Without udev a filesystem is found by its UUID there, or not at all.
        *(["--security-opt=unmask=/sys/dev/block"] if devices else []),
        # systemd's sandboxing of units (ProtectSystem and its like) needs to mount; without the
        # capability it is left out silently, and tests of hardened units would prove nothing.
        "--systemd=always",
        "--cap-add=SYS_ADMIN",
        *(["--cap-add=NET_ADMIN"] if own_filter else []),
        "--pids-limit=-1",
        f"--shm-size={SHARED_MEMORY}",
        f"--stop-timeout={SHUTDOWN_SECONDS}",
        *podman.ulimits,
        image,
    )
    return name


def find_all(podman: Podman, owner: str) -> list[Container]:
    """Return the owner's machines, by name."""
    names = podman.run(
        "ps", "--all", "--filter", f"label={LABEL}={owner}", "--format", "{{.Names}}"
    ).split()
    return inspect(podman, *sorted(names))


def find(podman: Podman, owner: str, key: MachineKey) -> Container | None:
    """Return the machine's container, None if there is none."""
    name = container_name(owner, key)
    if not podman.run("ps", "--all", "--quiet", "--filter", f"name=^{re.escape(name)}$").strip():
        return None
    return inspect(podman, name)[0]


def inspect(podman: Podman, *names: str) -> list[Container]:
    """Return the state of containers that are there."""
    if not names:
        return []
    return [_parse(one) for one in podman.json("container", "inspect", *names)]


def _parse(described: dict[str, Any]) -> Container:
    labels = described["Config"]["Labels"]
    settings = described["NetworkSettings"]
    addresses = [one["IPAddress"] for one in settings["Networks"].values()]
    if not addresses:
        raise MachineError(f"{described['Name']} is on no network")
    return Container(
        name=described["Name"],
        key=MachineKey(
            project=labels.get(f"{LABEL}.project", ""),
            zone=labels.get(f"{LABEL}.zone", ""),
            name=labels.get(f"{LABEL}.name", described["Name"]),
        ),
        running=bool(described["State"]["Running"]),
        address=addresses[0],
        namespace=settings.get("SandboxKey", ""),
        internal_ip=labels.get(f"{LABEL}.internal-ip", ""),
        pid=int(described["State"].get("Pid") or 0),
    )
