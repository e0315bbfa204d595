# SPDX-License-Identifier: Apache-2.0
"""Machines that are records only: for unit tests and for clients that only talk to the API."""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from emulator.world.backend import IngressRule, MachineKey, MachineSpec


class RecordsBackend:
    """Every machine is up at once and has no address of its own."""

    def __init__(self) -> None:
        self._up: set[MachineKey] = set()
        self.firewalls: dict[MachineKey, tuple[IngressRule, ...]] = {}

    def create(self, spec: MachineSpec) -> str | None:
        """Notes the machine as up."""
        self._up.add(spec.key)
        return None

    def start(self, key: MachineKey) -> str | None:
        """Notes the machine as up."""
        self._up.add(key)
        return None

    def stop(self, key: MachineKey) -> None:
        """Notes the machine as down."""
        self._up.discard(key)

    def delete(self, key: MachineKey) -> None:
        """Forgets the machine."""
        self._up.discard(key)
        self.firewalls.pop(key, None)

    def reset(self, key: MachineKey) -> None:
        """Nothing to cycle."""

    def apply_metadata(self, key: MachineKey, metadata: Mapping[str, str]) -> None:
        """No guest to apply it in."""

    def guest_attributes(self, key: MachineKey) -> Mapping[str, Mapping[str, str]]:
        """A well-formed host key that no machine has; the same for the same machine."""
        if key not in self._up:
            return {}
        seed = hashlib.sha256(f"{key.project}/{key.zone}/{key.name}".encode()).digest()
        public = Ed25519PrivateKey.from_private_bytes(seed).public_key()
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
        kind = b"ssh-ed25519"
        blob = struct.pack(">I", len(kind)) + kind + struct.pack(">I", len(raw)) + raw
        return {"hostkeys": {"ssh-ed25519": base64.b64encode(blob).decode()}}

    def apply_firewall(self, key: MachineKey, rules: Sequence[IngressRule]) -> None:
        """Keeps the rules for whoever asks."""
        self.firewalls[key] = tuple(rules)

    def running(self, key: MachineKey) -> bool:
        """Whether it was noted as up."""
        return key in self._up
