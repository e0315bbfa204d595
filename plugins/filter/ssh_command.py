# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.ssh_command."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ansible import constants, context
from ansible.plugins.loader import connection_loader

DOCUMENTATION = r"""
name: ssh_command
short_description: The ssh command line that reaches a host as Ansible does
version_added: 0.2.0
description:
  - Has the user, key, port and SSH arguments that Ansible connects with. They come from the host's
    variables, the command line and the configuration. It can be pasted into a shell.
  - Where Ansible connects by C(google.cloud.iap), it goes through C(gcloud).
  - What shares one connection among commands (C(ControlMaster)) is left out.
positional: tunnel
options:
  _input:
    description: The host's variables.
    type: dict
    required: true
  tunnel:
    description: A port here and what it leads to, as C(-L) of ssh takes it. Empty logs in.
    type: str
    default: ""
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Say how to reach a page of the host
  ansible.builtin.debug:
    msg: "{{ hostvars[inventory_hostname] | llmops.gce_vllm.ssh_command('8080:127.0.0.1:8080') }}"
"""

RETURN = r"""
_value:
  description: The command line.
  type: str
"""


def ssh_command(variables: Mapping[str, Any], tunnel: str = "") -> str:
    """See DOCUMENTATION."""
    # Known to the configuration only once it was loaded.
    connection_loader.get("ssh", class_only=True)

    def option(name: str) -> str:
        found = constants.config.get_config_value(
            name, plugin_type="connection", plugin_name="ssh", variables=variables
        )
        return "" if found is None else str(found)

    through, host = _way(variables, option("host"))
    user = option("remote_user") or context.CLIARGS.get("remote_user")
    words = ["ssh", *(["-N", "-L", tunnel] if tunnel else [])]
    # In Ansible's order: of several values ssh takes the first.
    words += _own(option("ssh_args"))
    key = option("private_key_file")
    words += ["-p", option("port")] if option("port") else []
    words += ["-i", str(Path(key).expanduser())] if key else []
    words += _own(f"{option('ssh_common_args')} {option('ssh_extra_args')}")
    return shlex.join([*words, *through, f"{user}@{host}" if user else host])


def _own(text: str) -> list[str]:
    """The arguments of one connection that is nobody else's."""
    kept: list[str] = []
    words = iter(shlex.split(text))
    for word in words:
        pair = [word, *([next(words, "")] if word == "-o" else [])]
        if not "".join(pair).lower().startswith("-ocontrol"):
            kept += pair
    return kept


def _way(variables: Mapping[str, Any], host: str) -> tuple[list[str], str]:
    """What leads to the host, and the name that its key is known by."""
    if variables.get("ansible_connection") != "google.cloud.iap":
        return [], host
    name = variables.get("ansible_gcloud_host") or host
    words = ["gcloud", "compute", "start-iap-tunnel", str(name), "%p", "--listen-on-stdin"]
    words += [
        f"--{one}={variables[f'ansible_gcloud_{one}']}"
        for one in ("project", "zone")
        if variables.get(f"ansible_gcloud_{one}")
    ]
    return ["-o", f"ProxyCommand={shlex.join(words)}"], str(name)


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"ssh_command": ssh_command}
