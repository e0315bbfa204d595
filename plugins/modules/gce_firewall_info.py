#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_firewall_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_firewall_info
short_description: Firewall rules that open an instance's ports to everybody
version_added: 0.2.0
description:
  - Looks through all rules of a network for instances with certain tags. Finds those that let the
    whole internet reach their TCP ports, as C(default-allow-ssh) of Google's C(default) network
    does.
  - Deny rules that come before them are not weighed.
  - A network that does not exist has no rules.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
  - llmops.gce_vllm.gce.attributes_info
options:
  network:
    description: Network by name, or by path where it belongs to another project.
    type: str
    default: default
  target_tags:
    description: Network tags of the instance.
    type: list
    elements: str
    default: []
  ports:
    description: TCP ports that matter.
    type: list
    elements: int
    required: true
  ignore:
    description: Names of rules that don't count.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Who else lets everybody in
  llmops.gce_vllm.gce_firewall_info:
    project: my-project-123456
    target_tags: [llm-server]
    ports: [22, 8000]
    ignore: [llm-server-api, llm-server-ssh]
"""

RETURN = r"""
open_rules:
  description: Rules that let everybody in.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the rule.
      type: str
    ports:
      description: Which of O(ports) it opens.
      type: list
      elements: int
    target_tags:
      description: Tags of the instances that it is for; empty for all of the network.
      type: list
      elements: str
  sample: [{"name": "default-allow-ssh", "ports": [22], "target_tags": []}]
ignored_rules:
  description: Those named in O(ignore) that there are, as the API shows them.
  returned: success
  type: list
  elements: dict
  sample: [{"name": "llm-server-api", "sourceRanges": ["203.0.113.7/32"]}]
lines:
  description: The same for people, with what to do next.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce import naming
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.network import open_rules


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Network, tags and ports to the module's result."""
    network = params["network"]
    path = (
        naming.relative(network) if "/" in network else f"{client.root}/global/networks/{network}"
    )
    project = path.split("/")[1]
    rules = list(
        client.list(
            f"projects/{project}/global/firewalls", f"list the firewall rules of project {project}"
        )
    )
    found = open_rules.opened(
        rules,
        network=path,
        tags=params["target_tags"],
        ports=params["ports"],
        ignored=params["ignore"],
    )
    lines = [open_rules.line(rule, project) for rule in found]
    ignored = [rule for rule in rules if rule["name"] in params["ignore"]]
    return {"changed": False, "open_rules": found, "lines": lines, "ignored_rules": ignored}


def main() -> None:
    """Entry point."""
    texts = {"type": "list", "elements": "str", "default": []}
    spec = {
        "network": {"type": "str", "default": "default"},
        "target_tags": texts,
        "ports": {"type": "list", "elements": "int", "required": True},
        "ignore": texts,
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
