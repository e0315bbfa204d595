# SPDX-License-Identifier: Apache-2.0
"""A known_hosts file that holds nothing but what instances of this collection published."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from . import naming
from .host_keys import problem

# After the key is room for a comment: it tells which instance the key was read from.
_MARK = "gce-vllm:"


@dataclass(frozen=True)
class Instance:
    """Whose keys they are.

    Attributes:
        owner: `PROJECT/NAME`, which stays the same where the instance is recreated.
        id: the number that Compute Engine gave to this one instance.
    """

    owner: str
    id: str


@dataclass(frozen=True)
class Line:
    """One line that this collection wrote."""

    host: str
    kind: str
    key: str
    instance: Instance

    def __str__(self) -> str:
        mark = f"{_MARK}{self.instance.owner}/{self.instance.id}"
        return f"{self.host} {self.kind} {self.key} {mark}"


@dataclass(frozen=True)
class File:
    """What the file is to hold.

    Attributes:
        text: its contents.
        foreign: the hosts of lines that go since nothing says that this collection wrote them.
    """

    text: str
    foreign: tuple[str, ...]


class ChangedKeyError(Exception):
    """The same instance shows another key than before."""


def is_host(text: str) -> bool:
    """Whether it is one IP address, or an instance's name: no pattern, no list, no marker."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return naming.NAME.fullmatch(text) is not None
    return True


def read_line(text: str) -> Line | None:
    """A line that this collection wrote, None for any other."""
    fields = text.split(" ")
    if len(fields) != 4 or not fields[3].startswith(_MARK):
        return None
    host, kind, key, mark = fields
    owner, _, number = mark.removeprefix(_MARK).rpartition("/")
    if not is_host(host) or problem(kind, key) or not owner or not number.isdecimal():
        return None
    return Line(host, kind, key, Instance(owner, number))


def rewrite(text: str, instance: Instance, hosts: Iterable[str], keys: Mapping[str, str]) -> File:
    """The file with `keys` for `hosts`, in place of what it says of them and of this instance.

    Raises:
        ChangedKeyError: an instance that was not recreated has other keys than the file says.
    """
    hosts = list(dict.fromkeys(hosts))
    lines: list[Line] = []
    foreign: list[str] = []
    # OpenSSH ends a line there and nowhere else.
    for there in text.split("\n"):
        line = read_line(there)
        if line:
            lines.append(line)
        elif there.strip() and not there.lstrip().startswith("#"):
            foreign.append(there.split()[0])
    for line in lines:
        if line.instance == instance and keys.get(line.kind, line.key) != line.key:
            raise ChangedKeyError(line.kind)
    wanted = [Line(host, kind, key, instance) for host in hosts for kind, key in keys.items()]
    others = [
        line
        for line in lines
        # Where an address went from one instance to another, the former's key would still be taken.
        if line.instance.owner != instance.owner and line.host not in hosts
    ]
    # In one order whoever writes: hosts that write in turn must not each find a file to change.
    kept = sorted([*others, *wanted], key=lambda line: line.instance.owner)
    return File("".join(f"{line}\n" for line in kept), tuple(foreign))
