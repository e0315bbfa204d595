#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.known_host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: known_host
short_description: Keep a known_hosts file by the host keys that instances published
version_added: 0.2.0
description:
  - Writes the keys of one instance, for each of its addresses. A line also tells which instance its
    key is from, in the comment that OpenSSH does not read.
  - The file holds nothing else. Lines that this module did not write are removed, with a warning.
  - Every process on an instance can publish another host key. So a key that changes is refused as
    long as the instance was not recreated.
options:
  path:
    description: The file. It is made where it is missing; its folder has to be there.
    type: path
    required: true
  hosts:
    description: What SSH connects to, IP addresses or the instance's name.
    type: list
    elements: str
    required: true
  keys:
    description: Kind to public key, as M(llmops.gce_vllm.gce_guest_attributes_info) has them under
      C(hostkeys).
    type: dict
    required: true
  owner:
    description: PROJECT/NAME of the instance.
    type: str
    required: true
  instance_id:
    description: The instance's C(id). One that is recreated has another.
    type: str
    required: true
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows the file's lines that differ.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Read the host keys
  llmops.gce_vllm.gce_guest_attributes_info:
    project: my-project-123456
    zone: us-central1-a
    name: llm-server
    wait: 300
  register: guest

- name: Trust them for its address
  llmops.gce_vllm.known_host:
    path: ~/.ssh/gce-vllm-known-hosts
    hosts: [203.0.113.10]
    keys: "{{ guest.attributes.hostkeys }}"
    owner: my-project-123456/llm-server
    instance_id: "{{ server.instance.id }}"
"""

RETURN = r"""
foreign:
  description: What each line that is removed begins with.
  returned: success
  type: list
  elements: str
"""

import tempfile
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.gce.host_keys import problem
from ..module_utils.gce.known_hosts import (
    ChangedKeyError,
    Instance,
    is_host,
    rewrite,
)


def refusal(params: dict[str, Any]) -> str:
    """What is wrong with the options, empty where nothing is."""
    for host in params["hosts"]:
        if not is_host(host):
            return f"hosts has {host!r}, which is neither an IP address nor an instance's name."
    if not params["hosts"] or not params["keys"]:
        return "hosts and keys must name at least one each."
    for kind, key in params["keys"].items():
        if reason := problem(kind, key):
            return f"keys has a {kind!r} that can't be used: {reason}."
    if not params["instance_id"].isdecimal():
        return f"instance_id is {params['instance_id']!r}; it is a number, the instance's id."
    if len(params["owner"].split()) != 1 or "/" not in params["owner"]:
        return f"owner is {params['owner']!r}; it is PROJECT/NAME."
    return ""


def converge(module: AnsibleModule) -> dict[str, Any]:
    """Options to the module's result."""
    params = module.params
    if reason := refusal(params):
        module.fail_json(msg=reason)
    path = Path(params["path"])
    # A byte that is no text belongs to a line that is removed.
    before = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    instance = Instance(params["owner"], params["instance_id"])
    try:
        file = rewrite(before, instance, params["hosts"], params["keys"])
    except ChangedKeyError as error:
        module.fail_json(
            msg=f"The {error} host key that {params['owner']} publishes is not the one that "
            f"{path} has, though the instance was not recreated. Any process on it may publish "
            "another key, so it is not trusted. Find out who changed it. If you did, remove the "
            f"lines that end in {params['owner']}/{params['instance_id']} from that file and run "
            "again. If nobody did, recreate the instance."
        )
    if file.foreign:
        shown = ", ".join(ascii(word)[1:41].rstrip("'") for word in file.foreign[:5])
        module.warn(
            f"{path} is kept by this collection alone. What others or earlier versions wrote there "
            f"{'would be' if module.check_mode else 'was'} removed, lines: {len(file.foreign)} "
            f"({shown}). Run provision.yml or start.yml for each other deployment of this project."
        )
    changed = file.text != before
    if changed and not module.check_mode:
        with tempfile.NamedTemporaryFile(
            "w", dir=module.tmpdir, encoding="utf-8", delete=False
        ) as new:
            new.write(file.text)
        module.atomic_move(new.name, str(path))
    return {
        "changed": changed,
        "foreign": list(file.foreign),
        "diff": {
            "before": before,
            "after": file.text,
            "before_header": str(path),
            "after_header": str(path),
        },
    }


def main() -> None:
    """Entry point."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "hosts": {"type": "list", "elements": "str", "required": True},
            # Public keys, under names that Ansible takes for a secret's.
            "keys": {"type": "dict", "required": True, "no_log": False},
            "owner": {"type": "str", "required": True},
            "instance_id": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    module.exit_json(**converge(module))


if __name__ == "__main__":
    main()
