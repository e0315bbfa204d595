# SPDX-License-Identifier: Apache-2.0
"""Variables of a host that the inventory does not have yet, as its group will give them to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.inventory.group import Group
from ansible.inventory.host import Host
from ansible.vars.hostvars import HostVarsVars


def expected(hostvars: Any, name: str, group: str) -> Mapping[str, Any]:
    """Variables that a host would have, each templated when it is read.

    Nothing is added to the inventory: later plays would take such a host for a real one.

    Args:
        hostvars: Ansible's own.
        name: what the host will be called; host_vars of that name count.
        group: the group it will be in; need not be in the inventory.
    """
    host = Host(name)
    host.add_group(hostvars._inventory.groups.get(group) or Group(group))
    found = hostvars._variable_manager.get_vars(host=host, include_hostvars=False)
    seen: Mapping[str, Any] = HostVarsVars(found, loader=hostvars._loader, host=name)
    return seen


def all_of(hostvars: Any, group: str, name: str) -> dict[str, Mapping[str, Any]]:
    """Variables of each host of a group, and of `name`, whether it is there already or not."""
    known = hostvars._inventory.groups.get(group)
    hosts = {one.name: hostvars[one.name] for one in (known.get_hosts() if known else [])}
    return hosts if name in hosts else {**hosts, name: expected(hostvars, name, group)}
