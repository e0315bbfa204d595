# SPDX-License-Identifier: Apache-2.0
"""SSH through IAP: production's inventory variables, given to the real connection plugin.

gcloud and ssh are stand-ins that write down how they were called; there is no IAP without Google.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.support.emulator_fixture import ROOT

RECORD = """#!/bin/sh
printf '%s\\n' "$@" >> {log}
"""
GCLOUD = RECORD + "echo 'Listening on port [40404].'\nexec sleep 30\n"
SSH = RECORD + 'while [ "$1" != "-F" ]; do shift; done\ncat "$2" > {log}.config\n'


def script(path: Path, text: str) -> Path:
    path.write_text(text.format(log=path.with_suffix(".log")))
    path.chmod(0o755)
    return path


def test_the_tunnel_is_asked_for_by_name_and_the_host_key_is_checked(tmp_path: Path) -> None:
    gcloud, ssh = script(tmp_path / "gcloud", GCLOUD), script(tmp_path / "ssh", SSH)
    production = ROOT / "inventories" / "gcp" / "group_vars" / "llm_servers.yml"
    own = {
        "gce_instance_iap": True,
        "gce_project": "my-project",
        "gce_zone": "us-central1-b",
        "gce_vllm_state_dir": str(tmp_path / "state"),
        "ansible_ssh_executable": str(ssh),
        "ansible_host": "10.96.0.7",
        "gcp_zone": "us-central1-a",
    }
    inventory = tmp_path / "hosts.yml"
    variables = yaml.safe_load(production.read_text()) | own
    hosts = {"all": {"hosts": {"llm-server": variables}}}
    inventory.write_text(yaml.safe_dump(hosts))
    program = Path(sys.executable).with_name("ansible")
    done = subprocess.run(
        [program, "llm-server", "-i", inventory, "-m", "ansible.builtin.raw", "-a", "true"],
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert gcloud.with_suffix(".log").read_text().split() == [
        *("compute", "start-iap-tunnel", "llm-server", "22"),
        *("--project", "my-project", "--zone", "us-central1-a"),
    ]
    called = ssh.with_suffix(".log").read_text().splitlines()
    assert "StrictHostKeyChecking=yes" in called
    assert "StrictHostKeyChecking=no" not in called
    assert "Port=40404" in called
    assert f"UserKnownHostsFile={tmp_path}/state/known_hosts" in called
    # The role writes the key down under this name.
    assert "HostKeyAlias llm-server" in Path(f"{ssh.with_suffix('.log')}.config").read_text()
