# SPDX-License-Identifier: Apache-2.0
"""Machines that really boot: the Backend of the emulator on podman."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from emulator.machines import containers, firewall, guest, image, network
from emulator.machines.containers import Container
from emulator.machines.ends import Ends
from emulator.machines.runtime import Podman, check_host
from emulator.machines.store import Store
from emulator.world.backend import IngressRule, MachineError, MachineKey, MachineSpec

BOOT_SECONDS = 300  # three on an idle machine; a busy one may take many times that
END_SECONDS = 120  # podman sees a moment later that the first process is gone
OWNER = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class PodmanBackend:
    """Boots containers with systemd and sshd; everything it makes is labelled gce-vllm=OWNER."""

    def __init__(
        self,
        owner: str,
        *,
        mounts: Sequence[str] = (),
        devices: Sequence[str] = (),
        image_name: str | None = None,
        own_filter: bool = False,
    ) -> None:
        """Check the host.

        Args:
            mounts: what every machine gets mounted, `SRC:DST[:ro]` each.
            devices: of this host, as a loop device, which every machine may use too.
            image_name: a podman image to boot instead of the one built here.
            own_filter: every machine's root may load packet filters. Ours is in the same network
                namespace, so such a machine could lift it: for machines that are open to all.
        """
        check_owner(owner)
        check_host()
        self.owner = owner
        self.mounts = tuple(mounts)
        self.devices = tuple(devices)
        self.image_name = image_name
        self.own_filter = own_filter
        self.podman = Podman()
        self.store = Store(owner)
        self._lock = threading.Lock()
        self._ends = Ends()
        self._told: Callable[[MachineKey], None] | None = None

    @classmethod
    def from_options(cls, owner: str, options: Sequence[str]) -> PodmanBackend:
        """Make one from `KEY=VALUE` options: mount (repeatable), image."""
        parsed = parse_options(options)
        return cls(
            owner,
            mounts=parsed.get("mount", []),
            image_name=parsed["image"][-1] if "image" in parsed else None,
        )

    def operator_address(self) -> str:
        """Return the source address that machines see of whoever calls from this host."""
        return network.ensure(self.podman, self.owner).gateway

    def create(self, spec: MachineSpec) -> str | None:
        """Make and boot the machine, and return its address once a user could log in."""
        found = self._find(spec.key)
        if found is None:
            name = containers.create(
                self.podman,
                owner=self.owner,
                key=spec.key,
                network=network.ensure(self.podman, self.owner),
                image=self.image_name or image.ensure(self.podman),
                internal_ip=spec.internal_ip,
                mounts=self.mounts,
                devices=self.devices,
                own_filter=self.own_filter,
            )
            # Rules may have come first; they count from the first moment.
            self._remember(name, metadata=spec.metadata)
            try:
                return self._boot(name)
            except MachineError:
                self.delete(spec.key)
                raise
        self._remember(found.name, metadata=spec.metadata)
        return self._up(found)

    def start(self, key: MachineKey) -> str | None:
        """Boot a stopped machine and return its address."""
        return self._up(self._get(key))

    def on_end(self, told: Callable[[MachineKey], None]) -> None:
        """Have it called whenever a machine is down, also one that switched itself off."""
        self._told = told
        for machine in self.machines():
            self._watch(machine)

    def stop(self, key: MachineKey) -> None:
        """Shut it down as systemd does, within its limit of seconds."""
        found = self._find(key)
        if found is not None and found.running:
            self.podman.run("stop", found.name, timeout=containers.SHUTDOWN_SECONDS + 300)

    def delete(self, key: MachineKey) -> None:
        """Remove it and its disk."""
        name = containers.container_name(self.owner, key)
        self.podman.run("rm", "--force", "--ignore", "--time", "0", "--volumes", name)
        self.store.forget(name)

    def reset(self, key: MachineKey) -> None:
        """Cut its power and boot it again."""
        found = self._get(key)
        if found.running:
            self.podman.run("stop", "--time", "0", found.name)
        self._boot(found.name)

    def apply_metadata(self, key: MachineKey, metadata: Mapping[str, str]) -> None:
        """Make the users of `ssh-keys`; a stopped machine gets them when it boots."""
        found = self._get(key)
        self._remember(found.name, metadata=metadata)
        if found.running:
            guest.call(self.podman, found.name, desired=guest.accounts(metadata))

    def guest_attributes(self, key: MachineKey) -> Mapping[str, Mapping[str, str]]:
        """Return its SSH host keys; nothing while it is down or has none yet."""
        found = self._find(key)
        if found is None or not found.running:
            return {}
        answer = guest.call(self.podman, found.name, desired=None)
        return answer if answer["hostkeys"] else {}

    def apply_firewall(self, key: MachineKey, rules: Sequence[IngressRule]) -> None:
        """Replace its filter, and remember it for the next boot."""
        firewall.script(rules)  # refuses what can't be expressed before it is remembered
        name = containers.container_name(self.owner, key)
        self._remember(name, rules=rules)
        found = self._find(key)
        if found is not None and found.running:
            firewall.apply(found.namespace, rules)

    def running(self, key: MachineKey) -> bool:
        """Whether it is up right now."""
        found = self._find(key)
        return found is not None and found.running

    def console(self, key: MachineKey) -> str:
        """Return what it logged since it booted; nothing while it is down.

        systemd finds no console in a container, so this is its journal, which holds the same.
        """
        found = self._find(key)
        if found is None or not found.running:
            return ""
        journal = ("journalctl", "--no-pager", "--output=short-monotonic", "--no-hostname")
        return self.podman.run("exec", found.name, *journal)

    def machines(self) -> list[Container]:
        """Return every machine of the owner."""
        return containers.find_all(self.podman, self.owner)

    def destroy(self) -> list[str]:
        """Remove every container, network and memory of the owner; return what was removed."""
        removed = []
        for machine in self.machines():
            self.podman.run("rm", "--force", "--time", "0", "--volumes", machine.name)
            removed.append(f"container {machine.name}")
        bridge = network.find(self.podman, self.owner)
        if bridge is not None:
            self.podman.run("network", "rm", "--force", bridge.name)
            removed.append(f"network {bridge.name}")
        if self.store.forget_all():
            removed.append(f"folder {self.store.folder}")
        return removed

    def _up(self, found: Container) -> str:
        if not found.running:
            return self._boot(found.name)
        self._watch(found)
        return found.address

    def _watch(self, machine: Container) -> None:
        told = self._told
        if told is None or not machine.pid:
            return

        def ended() -> None:
            until = time.monotonic() + END_SECONDS
            while self._runs(machine) and time.monotonic() < until:
                time.sleep(0.2)
            told(machine.key)

        self._ends.watch(machine.pid, ended)

    def _runs(self, machine: Container) -> bool:
        """Whether podman says so of this boot of it, and not of a later one."""
        found = self._find(machine.key)
        return found is not None and found.running and found.pid == machine.pid

    def _boot(self, name: str) -> str:
        """Bring a stopped container up; its filter is in place before its first process runs."""
        machine = containers.inspect(self.podman, name)[0]
        if not machine.namespace:  # it has one if an earlier boot was interrupted right here
            self.podman.run("init", name)
            machine = containers.inspect(self.podman, name)[0]
        memory = self.store.load(name)
        firewall.apply(machine.namespace, memory.rules)
        if machine.internal_ip:
            self._connect(machine)
        self.podman.run("start", name)
        try:
            guest.call(
                self.podman, name, desired=guest.accounts(memory.metadata), wait=BOOT_SECONDS
            )
        except MachineError as error:
            raise MachineError(f"{name} did not come up: {error}") from None
        if self._told is not None:
            self._watch(containers.inspect(self.podman, name)[0])
        return machine.address

    def _connect(self, machine: Container) -> None:
        """Let the machine and its peers that are up reach each other by internal address."""
        peers = [peer for peer in self.machines() if peer.internal_ip and peer.name != machine.name]
        network.add_internal_address(
            machine.namespace, machine.internal_ip, [peer.internal_ip for peer in peers]
        )
        for peer in peers:
            if peer.namespace:
                with suppress(MachineError):  # it may go down meanwhile, and learns on its boot
                    network.add_route(peer.namespace, peer.internal_ip, machine.internal_ip)

    def _remember(
        self,
        name: str,
        *,
        rules: Sequence[IngressRule] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        with self._lock:
            memory = self.store.load(name)
            if rules is not None:
                memory = replace(memory, rules=rules)
            if metadata is not None:
                memory = replace(memory, metadata=metadata)
            self.store.save(name, memory)

    def _find(self, key: MachineKey) -> Container | None:
        return containers.find(self.podman, self.owner, key)

    def _get(self, key: MachineKey) -> Container:
        found = self._find(key)
        if found is None:
            raise MachineError(f"There is no machine for {key.project}/{key.zone}/{key.name}")
        return found


def check_owner(owner: str) -> None:
    """Refuse a name that could not be part of a network's or container's name."""
    if not OWNER.fullmatch(owner):
        raise MachineError(
            f"Bad owner {owner!r}: at most 32 small letters, digits and hyphens, "
            "starting and ending with a letter or digit"
        )


def parse_options(options: Sequence[str]) -> dict[str, list[str]]:
    """Parse `KEY=VALUE` options, refusing unknown keys and mounts that can't work."""
    known = ("mount", "image")
    parsed: dict[str, list[str]] = {}
    for option in options:
        key, equals, value = option.partition("=")
        if key not in known or not equals or not value:
            raise MachineError(
                f"Bad machine option {option!r}: known are mount=SRC:DST[:ro] and image=NAME"
            )
        if key == "mount":
            check_mount(value)
        parsed.setdefault(key, []).append(value)
    return parsed


def check_mount(mount: str) -> None:
    """Refuse a mount that is not `SRC:DST[:ro]` with absolute paths and an existing source."""
    source, _, rest = mount.partition(":")
    target, _, mode = rest.partition(":")
    if not (source.startswith("/") and target.startswith("/") and mode in ("", "ro", "rw")):
        raise MachineError(f"Bad mount {mount!r}: say SRC:DST or SRC:DST:ro with absolute paths")
    if not Path(source).exists():
        raise MachineError(f"Bad mount {mount!r}: there is no {source} on this host")
