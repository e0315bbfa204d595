# SPDX-License-Identifier: Apache-2.0
"""What the API side of the emulator asks of whatever stands in for virtual machines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable


@dataclass(frozen=True)
class MachineKey:
    """Identity of one instance; unique within an emulator."""

    project: str
    zone: str
    name: str


@dataclass(frozen=True)
class MachineSpec:
    """What a backend needs to bring up one instance.

    Attributes:
        internal_ip: the address allocated from the subnetwork's range (networkIP).
        metadata: instance metadata merged over project metadata.
        image: short name of the boot image, `IMAGE_PROJECT/IMAGE`.
    """

    key: MachineKey
    internal_ip: str
    image: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class IngressRule:
    """One effective ingress rule, already resolved to addresses.

    Attributes:
        ports: inclusive ranges; empty means every port of the protocol.
        protocol: `tcp`, `udp`, `icmp`, `all`, or an IP protocol number as text.
        sources: CIDR ranges.
    """

    action: Literal["allow", "deny"]
    protocol: str
    ports: Sequence[tuple[int, int]]
    sources: Sequence[str]


class MachineError(Exception):
    """A machine could not do what was asked; the text is shown to the API's client."""


class Backend(Protocol):
    """Calls block until done and may take seconds; the API side runs them in a worker thread.

    Every call is safe to repeat. `delete` and `stop` of a machine that is gone do nothing.
    """

    def create(self, spec: MachineSpec) -> str | None:
        """Make and boot the machine; return its external address, None if it has none."""

    def start(self, key: MachineKey) -> str | None:
        """Boot a stopped machine; return its external address (may differ from before)."""

    def stop(self, key: MachineKey) -> None:
        """Shut it down; its disk stays."""

    def delete(self, key: MachineKey) -> None:
        """Remove it and its disk."""

    def reset(self, key: MachineKey) -> None:
        """Power-cycle it."""

    def apply_metadata(self, key: MachineKey, metadata: Mapping[str, str]) -> None:
        """Do what Google's guest agent does: users and keys of `ssh-keys`."""

    def guest_attributes(self, key: MachineKey) -> Mapping[str, Mapping[str, str]]:
        """Namespaces to key/value pairs, like `hostkeys` to `ssh-ed25519`; empty while booting."""

    def apply_firewall(self, key: MachineKey, rules: Sequence[IngressRule]) -> None:
        """Replace the machine's ingress filter; rules are in order of evaluation, default deny."""

    def running(self, key: MachineKey) -> bool:
        """Whether the machine is up right now."""


@runtime_checkable
class TellsEnds(Protocol):
    """A backend whose machines can switch themselves off; optional."""

    def on_end(self, told: Callable[[MachineKey], None]) -> None:
        """Have it called, from another thread, whenever a machine has ended, whoever did it."""


@runtime_checkable
class HasConsole(Protocol):
    """A backend that can also show what a machine wrote to its console; optional."""

    def console(self, key: MachineKey) -> str:
        """All console output since the last boot."""
