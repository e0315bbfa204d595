# SPDX-License-Identifier: Apache-2.0
"""What an instance says of its host keys, on its way into known_hosts, as people run playbooks."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.modules_fixtures import ZONE
from tests.support.site_fixture import NAME, Site


def new_key() -> str:
    public = Ed25519PrivateKey.generate().public_key()
    key = public.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split()[1].decode()
    assert base64.b64decode(key)
    return key


def publish(site: Site, value: str) -> None:
    where = f"projects/{site.emulator.project}/zones/{ZONE}/instances/{NAME}"
    site.emulator.admin("PUT", f"{where}/guest-attributes/hostkeys/ssh-ed25519", {"value": value})


def test_a_process_on_the_instance_can_not_write_known_hosts(site: Site) -> None:
    site.reach_locally()
    site.ok("provision")
    file = Path(site.variables["gce_vllm_state_dir"], "known_hosts")
    good = file.read_text(encoding="utf-8")
    [made] = site.stored("instances")
    address = made["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert good.split()[:2] == [address, "ssh-ed25519"]
    assert good.endswith(f" gce-vllm:{site.emulator.project}/{NAME}/{made['id']}\n")
    key, attacker = good.split()[2], new_key()

    # A line more, which would be for every host of the project.
    publish(site, f"{key}\n* ssh-ed25519 {attacker}")
    refused = site.play("playbooks/provision.yml")
    assert refused.returncode != 0
    assert "'ssh-ed25519' that is none" in " ".join(refused.stdout.split())
    assert file.read_text(encoding="utf-8") == good

    # Another key, well-formed, though the instance is the same.
    publish(site, attacker)
    refused = site.play("playbooks/provision.yml")
    said = " ".join(refused.stdout.split())
    assert refused.returncode != 0
    assert "though the instance was not recreated" in said and str(file) in said
    assert file.read_text(encoding="utf-8") == good

    # As an earlier version left it, poisoned.
    publish(site, key)
    file.write_text(f"{address} ssh-ed25519 {key}\n* ssh-ed25519 {attacker}\n", encoding="utf-8")
    assert "was removed, lines: 2" in site.ok("provision", changed=1)
    assert file.read_text(encoding="utf-8") == good
    found = subprocess.run(
        ["ssh-keygen", "-F", "any.other.host", "-f", str(file)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert not found.stdout
    site.ok("provision", changed=0)

    # Recreated it has new keys, and those are taken.
    site.api.must("DELETE", f"zones/{ZONE}/instances/{NAME}")
    site.ok("provision")
    [recreated] = site.stored("instances")
    assert recreated["id"] != made["id"]
    assert file.read_text(encoding="utf-8").endswith(f"/{recreated['id']}\n")
    assert len(file.read_text(encoding="utf-8").splitlines()) == 1
