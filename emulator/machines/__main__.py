# SPDX-License-Identifier: Apache-2.0
"""Machines from the command line: `python -m emulator.machines up NAME`."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from emulator.machines import image, network
from emulator.machines.containers import Container
from emulator.machines.podman_backend import PodmanBackend, check_mount
from emulator.machines.runtime import Podman, check_host, requirements
from emulator.world.backend import IngressRule, MachineError, MachineKey, MachineSpec

DEFAULT_OWNER = "local"
OPEN_TO_ALL = (IngressRule(action="allow", protocol="all", ports=(), sources=("0.0.0.0/0",)),)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; 1 with one line on standard error if it fails."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments) or 0)
    except MachineError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _key(name: str) -> MachineKey:
    return MachineKey(project="", zone="", name=name)


def _up(arguments: argparse.Namespace) -> None:
    for mount in arguments.mount:
        check_mount(mount)
    for device in arguments.device:
        if not Path(device).is_block_device():
            raise MachineError(f"Bad --device {device!r}: there is no such block device here")
    backend = PodmanBackend(
        arguments.owner,
        mounts=arguments.mount,
        devices=arguments.device,
        image_name=arguments.image,
        own_filter=arguments.own_filter,
    )
    key = _key(arguments.name)
    metadata = {"ssh-keys": "\n".join(_ssh_key(word) for word in arguments.ssh_key)}
    backend.apply_firewall(key, () if arguments.closed else OPEN_TO_ALL)
    backend.create(MachineSpec(key=key, internal_ip="", image="", metadata=metadata))
    backend.apply_metadata(key, metadata)
    machine = next(one for one in backend.machines() if one.key == key)
    keys = backend.guest_attributes(key).get("hostkeys", {})
    _print({**_described(machine), "gateway": backend.operator_address(), "hostkeys": keys})


def _ssh_key(word: str) -> str:
    user, equals, path = word.partition("=")
    if not equals or not Path(path).is_file():
        raise MachineError(f"Bad --ssh-key {word!r}: say USER=FILE with a public key's file")
    return f"{user}:{Path(path).read_text().strip()}"


def _down(arguments: argparse.Namespace) -> None:
    PodmanBackend(arguments.owner).delete(_key(arguments.name))


def _list(arguments: argparse.Namespace) -> None:
    _print([_described(machine) for machine in PodmanBackend(arguments.owner).machines()])


def _image(_: argparse.Namespace) -> None:
    check_host()
    sys.stdout.write(f"{image.ensure(Podman())}\n")


def _network(arguments: argparse.Namespace) -> None:
    backend = PodmanBackend(arguments.owner)
    found = network.ensure(backend.podman, arguments.owner)
    _print({"name": found.name, "subnet": found.subnet, "gateway": found.gateway})


def _client(arguments: argparse.Namespace) -> int:
    """Run a command in a second container on the owner's network, which boots nothing."""
    backend = PodmanBackend(arguments.owner)
    command = arguments.command[arguments.command[:1] == ["--"] :]
    if not command:
        raise MachineError("Say what to run: client [--owner OWNER] NAME COMMAND [ARGUMENT ...]")
    argv = backend.podman.command(
        "run",
        "--rm",
        "--interactive",
        f"--name=gce-vllm-{arguments.owner}-client-{arguments.name}",
        f"--network={network.ensure(backend.podman, arguments.owner).name}",
        f"--label={network.LABEL}={arguments.owner}",
        *backend.podman.ulimits,
        image.ensure(backend.podman),
        *command,
    )
    return subprocess.run(argv, check=False).returncode


def _destroy(arguments: argparse.Namespace) -> None:
    removed = PodmanBackend(arguments.owner).destroy()
    for thing in removed:
        sys.stdout.write(f"removed {thing}\n")
    if not removed:
        sys.stdout.write(f"nothing of {arguments.owner} is left to remove\n")


def _requirements(_: argparse.Namespace) -> None:
    for package in requirements():
        sys.stdout.write(f"{package}\n")


def _described(machine: Container) -> dict[str, object]:
    return {
        "name": machine.key.name,
        "container": machine.name,
        "address": machine.address,
        "running": machine.running,
    }


def _print(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator.machines", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    owner = argparse.ArgumentParser(add_help=False)
    owner.add_argument("--owner", default=DEFAULT_OWNER, help="whose machines (%(default)s)")

    up = commands.add_parser("up", parents=[owner], help="boot a machine and print where it is")
    up.add_argument("name")
    up.add_argument("--mount", action="append", default=[], metavar="SRC:DST[:ro]")
    up.add_argument("--device", action="append", default=[], metavar="/dev/NAME")
    up.add_argument("--image", help="a podman image to boot instead of the one built here")
    up.add_argument("--ssh-key", action="append", default=[], metavar="USER=FILE.pub")
    # Whoever may load filters could open what is closed.
    ports = up.add_mutually_exclusive_group()
    ports.add_argument("--closed", action="store_true", help="no port is open from outside")
    ports.add_argument(
        "--own-filter", action="store_true", help="its root may load packet filters (nft)"
    )
    up.set_defaults(run=_up)
    down = commands.add_parser("down", parents=[owner], help="remove a machine and its disk")
    down.add_argument("name")
    down.set_defaults(run=_down)
    listing = commands.add_parser("list", parents=[owner], help="print the machines as JSON")
    listing.set_defaults(run=_list)
    client = commands.add_parser(
        "client", parents=[owner], help="run a command in a plain container beside the machines"
    )
    client.add_argument("name")
    # Everything after NAME is the command's, its options too
    client.add_argument("command", nargs=argparse.REMAINDER)
    client.set_defaults(run=_client)
    bridge = commands.add_parser("network", parents=[owner], help="print the network as JSON")
    bridge.set_defaults(run=_network)
    destroy = commands.add_parser("destroy", parents=[owner], help="remove everything of an owner")
    destroy.set_defaults(run=_destroy)
    built = commands.add_parser("image", help="build the image where it is missing")
    built.set_defaults(run=_image)
    needs = commands.add_parser("requirements", help="print the Debian packages missing here")
    needs.set_defaults(run=_requirements)
    return parser


if __name__ == "__main__":
    sys.exit(main())
