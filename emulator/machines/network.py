# SPDX-License-Identifier: Apache-2.0
"""One bridge network for each owner, and the addresses on it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from emulator.machines.runtime import Podman, execute
from emulator.world.backend import MachineError

LABEL = "gce-vllm"
INTERFACE = "eth0"  # what podman calls a container's first interface


@dataclass(frozen=True)
class Network:
    """A bridge on this host.

    Attributes:
        gateway: this host's address on it; the source address that machines see of the operator.
    """

    name: str
    subnet: str
    gateway: str


def network_name(owner: str) -> str:
    """Return the name of the owner's network."""
    return f"gce-vllm-{owner}"


def find(podman: Podman, owner: str) -> Network | None:
    """Return the owner's network, None if it is not there."""
    name = network_name(owner)
    if name not in podman.run("network", "ls", "--format", "{{.Name}}").split():
        return None
    described = podman.json("network", "inspect", name)[0]
    subnet = described["subnets"][0]
    return Network(name=name, subnet=subnet["subnet"], gateway=subnet["gateway"])


def ensure(podman: Podman, owner: str) -> Network:
    """Return the owner's network, made on a free range of addresses where it is missing."""
    network = find(podman, owner)
    if network is None:
        # Names are the API's business, and podman's own resolver may not be installed;
        # without it the machines get this host's resolv.conf.
        label = f"{LABEL}={owner}"
        try:
            podman.run("network", "create", "--disable-dns", "--label", label, network_name(owner))
        except MachineError:
            if find(podman, owner) is None:  # else another process was faster
                raise
        network = find(podman, owner)
    if network is None:
        raise MachineError(f"podman made the network {network_name(owner)} but does not list it")
    return network


def add_internal_address(namespace: str, address: str, peers: Iterable[str]) -> None:
    """Give a machine its internal address, and a way to its peers' internal addresses.

    Each is routed by itself, because a whole range could hide hosts that are really elsewhere.
    """
    commands = [
        f"addr replace {address}/32 dev {INTERFACE}",
        *(_route(peer, address) for peer in sorted(set(peers) - {address})),
    ]
    _batch(namespace, commands)


def add_route(namespace: str, own: str, peer: str) -> None:
    """Let a machine with the internal address `own` reach `peer`."""
    _batch(namespace, [_route(peer, own)])


def _route(peer: str, own: str) -> str:
    return f"route replace {peer}/32 dev {INTERFACE} src {own}"


def _batch(namespace: str, commands: Iterable[str]) -> None:
    argv = ["nsenter", f"--net={namespace}", "ip", "-batch", "-"]
    execute(argv, stdin="\n".join(commands) + "\n", timeout=120)
