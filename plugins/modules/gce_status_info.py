#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_status_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_status_info
short_description: What there is of a server on Compute Engine, and what it costs now
version_added: 0.2.0
description:
  - Reads an instance, its disks and its static address, and says what they cost. It also reads
    unused disks of its name, and the firewall rules that let traffic in.
  - That there is no instance is an answer, not an error.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.prices
  - llmops.gce_vllm.gce.attributes_info
options:
  zone:
    description: Zone of the instance.
    type: str
    required: true
  name:
    description: Name of the instance. Without one, the rules NAME-api and NAME-ssh and the static
      address NAME-ip are listed too. So are unused disks NAME or NAME-….
    type: str
    required: true
  disk_zones:
    description: Further zones in which unused disks of its name are listed, such as others that the
      instance may be in.
    type: list
    elements: str
    default: []
  further_disks:
    description: Names of further disks of the deployment, listed like those NAME-… where nothing
      uses them.
    type: list
    elements: str
    default: []
  idle_minutes:
    description: Minutes without a request after which its server switches the instance off. Above 0
      it is looked whether it did so, as M(llmops.gce_vllm.gce_own_stop_info) does.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: What runs, and what does it cost
  llmops.gce_vllm.gce_status_info:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
  register: server

- name: Say it
  ansible.builtin.debug:
    msg: "{{ server.lines }}"
"""

RETURN = r"""
report:
  description:
    - C(exists), C(status) (C(MISSING) where there is no instance), C(machine_type), C(gpus),
      C(provisioning_model), C(addresses), C(since) and C(created). Also C(disks), C(loose_disks),
      C(static_addresses) and C(rules). C(prices) says where the prices are from.
    - C(stopped) is why it is down, where it switched itself off when idle; else null.
    - C(cost) is what it costs now, C(cost_while_stopped) what it would cost. Each has C(items),
      C(hourly) and C(monthly) (null where a part's price is unknown), C(known_hourly) and
      C(unknown).
  returned: success
  type: dict
  sample: {"name": "llm-server", "exists": true, "status": "RUNNING"}
lines:
  description: The same for people.
  returned: success
  type: list
  elements: str
deletes:
  description: What playbooks/destroy.yml would delete, and disks that it would leave.
  returned: success
  type: list
  elements: str
costs:
  description: A line for people with what RV(report) says in C(cost).
  returned: success
  type: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce import naming
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.instance.instance import Instance
from ..module_utils.gce.instance.own_stop import look
from ..module_utils.gce.module import common_spec, price_spec, run, settings_of
from ..module_utils.gce.network import addresses
from ..module_utils.pricing import billing_catalog
from ..module_utils.pricing.costs import said
from ..module_utils.reports import status as status_report


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Zone and name to the module's result."""
    zone, name = params["zone"], params["name"]
    instance = Instance(client, zone, name, check=True).fetch()
    attached = [
        client.find(naming.relative(disk["source"]), f"read a disk of the instance {name}")
        for disk in (instance or {}).get("disks") or []
        if disk.get("source")
    ]
    rules = client.list(
        f"{client.root}/global/firewalls", f"list the firewall rules of project {client.project}"
    )
    zones = {zone, *params["disk_zones"]}
    disks = client.aggregated(
        f"{client.root}/aggregated/disks",
        "disks",
        f"list the disks of {name}",
        filter=f'name eq "({"|".join([f"{name}(-.*)?", *params["further_disks"]])})"',
    )
    loose = [
        disk
        for disk in disks
        if not disk.get("users") and naming.short(str(disk.get("zone", ""))) in zones
    ]
    reserved = addresses.everywhere(client, f"{name}-ip")
    prices, instead = billing_catalog.prices(
        settings_of(params),
        params["price_source"],
        params["billing_endpoint"],
        params["cache_dir"],
        beside=client,
    )
    found = status_report.report(
        instance,
        [disk for disk in attached if disk],
        rules,
        project=client.project,
        zone=zone,
        name=name,
        loose_disks=loose,
        reserved=reserved,
        prices=prices,
        own_stop=look(client, instance, params["idle_minutes"]) if instance else None,
    )
    found["prices"]["instead"] = instead
    return {
        "changed": False,
        "report": found,
        "lines": status_report.lines(found),
        "deletes": status_report.deleted(found),
        "costs": said(found["cost"]),
    }


def main() -> None:
    """Entry point."""
    spec = {
        "zone": {"type": "str", "required": True},
        "name": {"type": "str", "required": True},
        "disk_zones": {"type": "list", "elements": "str", "default": []},
        "further_disks": {"type": "list", "elements": "str", "default": []},
        "idle_minutes": {"type": "int", "default": 0},
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **price_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
