# SPDX-License-Identifier: Apache-2.0
"""Shell and ssh take the printed line for the connection that Ansible has."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml

from tests.support.role_values import ROOT, tasks, values

GCP = yaml.safe_load((ROOT / "inventories/gcp/group_vars/llm_servers.yml").read_text())
HOSTS: dict[str, dict[str, Any]] = {
    "plain": {"inventory_hostname": "gpu.example"},
    "gcp": {
        "inventory_hostname": "llm-server",
        "ansible_host": "192.0.2.7",
        "ansible_user": "gce-vllm",
        "ansible_connection": "ansible.builtin.ssh",
        "ansible_ssh_private_key_file": __file__,
        "ansible_ssh_common_args": GCP["ansible_ssh_common_args"].replace(
            "{{ gce_vllm_state_dir }}", "/state"
        ),
    },
    "own": {
        "inventory_hostname": "own",
        "ansible_host": "2001:db8::7",
        "ansible_port": "2222",
        "ansible_ssh_user": "ann",
        "ansible_ssh_args": "-C -o ControlMaster=auto -oControlPersist=60s -o ConnectTimeout=7",
        "ansible_ssh_common_args": "-o ProxyCommand='ssh -W \"[%h]:%p\" -p $1 bastion'",
        "ansible_ssh_extra_args": "-o HostKeyAlias=own.example -o ControlPath=/x",
    },
    "iap": {
        "inventory_hostname": "llm-server",
        "ansible_host": "10.96.0.7",
        "ansible_user": "gce-vllm",
        "ansible_connection": "google.cloud.iap",
        "ansible_gcloud_host": "llm-server",
        "ansible_gcloud_project": "my-project",
        "ansible_gcloud_zone": "us-central1-a",
    },
}
TUNNEL = "8080:127.0.0.1:8080"


def commands(*arguments: str) -> dict[str, str]:
    """The line for each host."""
    asked = [f"{name} | llmops.gce_vllm.ssh_command({', '.join(arguments)})" for name in HOSTS]
    return dict(zip(HOSTS, values("monitoring", asked, **HOSTS), strict=True))


def understood(command: str) -> dict[str, str]:
    """How the shell and ssh understand it; nothing is connected."""
    asked = command.replace("ssh ", "ssh -F none -G ", 1)
    done = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (command, done.stderr)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if " " in line)


def test_ssh_takes_it_for_the_connection_that_ansible_has() -> None:
    given = {name: understood(line) for name, line in commands(f"'{TUNNEL}'").items()}
    for found in given.values():
        assert found["localforward"] == "8080 [127.0.0.1]:8080"
        assert found.get("controlmaster", "false") == "false"
        assert "controlpath" not in found
    assert given["plain"]["hostname"] == "gpu.example"
    gcp = given["gcp"]
    assert (gcp["user"], gcp["hostname"], gcp["port"]) == ("gce-vllm", "192.0.2.7", "22")
    assert gcp["userknownhostsfile"] == "/state/known_hosts"
    assert gcp["identityfile"] == __file__
    assert (gcp["stricthostkeychecking"], gcp["identitiesonly"]) == ("true", "yes")
    own = given["own"]
    assert (own["user"], own["hostname"], own["port"]) == ("ann", "2001:db8::7", "2222")
    assert own["proxycommand"] == 'ssh -W "[%h]:%p" -p $1 bastion'
    assert (own["hostkeyalias"], own["connecttimeout"]) == ("own.example", "7")
    iap = given["iap"]
    # The role writes the key down under this name.
    assert (iap["user"], iap["hostname"]) == ("gce-vllm", "llm-server")
    assert iap["proxycommand"] == (
        "gcloud compute start-iap-tunnel llm-server %p --listen-on-stdin "
        "--project=my-project --zone=us-central1-a"
    )


def test_without_a_tunnel_it_logs_in() -> None:
    line = commands()["gcp"]
    assert "localforward" not in understood(line)
    assert " -N" not in line and line.endswith("gce-vllm@192.0.2.7")


def test_what_the_role_prints_is_such_a_line() -> None:
    told = {
        name: next(one for one in tasks("monitoring", file) if one.get("name") == name)[
            "ansible.builtin.debug"
        ]["msg"]
        for file, name in (
            ("dashboard.yml", "Tell where it is"),
            ("on.yml", "Tell how to look at it"),
        )
    }
    given = {"texts": list(told.values()), "hostvars": {"one": HOSTS["own"]}}
    more = {"__monitoring_dashboard_outside": False}
    for text, port in zip(
        values("monitoring", ["texts[0]", "texts[1]"], **given, **more), (8080, 9090), strict=True
    ):
        before, _, command = text.partition(" after ")
        assert before.startswith("one: ") and f":{port}" in before
        found = understood(command)
        assert found["localforward"] == f"{port} [127.0.0.1]:{port}"
        assert (found["hostkeyalias"], found["port"]) == ("own.example", "2222")
