# SPDX-License-Identifier: Apache-2.0
"""What others made is taken over by our modules as it is: no change, and nothing sent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conformance.gcloud_runner import FAMILY, IMAGES, Gcloud
from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import IMAGE, ROOT, ZONE, Emulator

Json = dict[str, Any]


@pytest.fixture
def cloud(emulator: Emulator) -> m.Cloud:
    return m.Cloud(emulator)


def adopted(cloud: m.Cloud, module: str, **desired: Any) -> Json:
    """Run a module, in check mode and for real, that has to find everything as it should be."""
    before = cloud.admin("GET", f"requests?project={cloud.emulator.project}")["mutating"]
    for check in (True, False):
        found = cloud.ok(module, check, **desired)
        assert found["changed"] is False, found.get("changes", found.get("diff"))
        assert not found.get("changes")
    after = cloud.admin("GET", f"requests?project={cloud.emulator.project}")["mutating"]
    assert after == before
    return found


def gpu_machine(name: str, machine_type: str, **more: Any) -> Json:
    """The options of gce_instance that say what the tutorials' flags say."""
    return {
        "zone": ZONE,
        "name": name,
        "machine_type": machine_type,
        "boot_disk": {
            "image_project": IMAGES,
            "image_family": FAMILY,
            "size_gb": 100,
            "type": "pd-balanced",
        },
        "network": "default",
        "external_ip": True,
        "tags": ["llm-server"],
        "metadata": {"install-nvidia-driver": "True"},
        "scheduling": {"on_host_maintenance": "TERMINATE", "provisioning_model": "STANDARD"},
        **more,
    }


def test_what_gcloud_made(cloud: m.Cloud, gcloud: Gcloud) -> None:
    gcloud("addresses", "create", "vllm-ip", f"--region={m.REGION}")
    reserved = adopted(cloud, "gce_address", name="vllm-ip", region=m.REGION)["address"]
    gcloud.tutorial("vllm-l4", f"--address={reserved['address']}")
    gcloud.tutorial(
        "vllm-t4", "--accelerator=type=nvidia-tesla-t4,count=1", machine_type="n1-standard-4"
    )
    [account] = gcloud("instances", "describe", "vllm-l4")["serviceAccounts"]
    account["scopes"] = ["cloud-platform"]
    adopted(
        cloud,
        "gce_instance",
        **gpu_machine("vllm-l4", "g2-standard-4", service_account=account, address="vllm-ip"),
    )
    cards = [{"type": "nvidia-tesla-t4", "count": 1}]
    t4 = gpu_machine("vllm-t4", "n1-standard-4", accelerators=cards, service_account=account)
    adopted(cloud, "gce_instance", **t4)

    gcloud(
        *("firewall-rules", "create", "llm-api", "--allow=tcp:8000,tcp:9090-9091"),
        *("--target-tags=llm-server", "--source-ranges=192.0.2.0/24,198.51.100.7"),
        "--description=vLLM API",
    )
    rule = {
        "name": "llm-api",
        "description": "vLLM API",
        "source_ranges": ["198.51.100.7", "192.0.2.0/24"],
        "target_tags": ["llm-server"],
        "allowed": [{"protocol": "tcp", "ports": ["8000", "9090-9091"]}],
    }
    adopted(cloud, "gce_firewall", **rule)

    # They are ours from now on: a real desired is seen, sent, and seen by gcloud.
    changed = cloud.ok("gce_instance", **{**t4, "labels": {"owner": "ml"}})
    assert [one["field"] for one in changed["changes"]] == ["labels.owner"]
    assert gcloud("instances", "describe", "vllm-t4")["labels"] == {"owner": "ml"}


_MAKE = """
import sys
from google.cloud import compute_v1 as c

project, zone, image = sys.argv[1:]
region = zone.rsplit("-", 1)[0]
cards = c.AcceleratorConfig(
    accelerator_type=f"zones/{zone}/acceleratorTypes/nvidia-tesla-t4", accelerator_count=1)
for name, kind, gpus in (("lib-l4", "g2-standard-4", []), ("lib-t4", "n1-standard-4", [cards])):
    disk = c.AttachedDisk(boot=True, auto_delete=True,
        initialize_params=c.AttachedDiskInitializeParams(source_image=image, disk_size_gb=100,
            disk_type=f"zones/{zone}/diskTypes/pd-balanced"))
    c.InstancesClient().insert(project=project, zone=zone, instance_resource=c.Instance(
        name=name, machine_type=f"zones/{zone}/machineTypes/{kind}", guest_accelerators=gpus,
        disks=[disk], scheduling=c.Scheduling(on_host_maintenance="TERMINATE"),
        network_interfaces=[c.NetworkInterface(network="global/networks/default",
            access_configs=[c.AccessConfig(name="External NAT", type_="ONE_TO_ONE_NAT")])],
        tags=c.Tags(items=["llm-server"]),
        metadata=c.Metadata(items=[c.Items(key="install-nvidia-driver", value="True")]),
    )).result(300)
c.FirewallsClient().insert(project=project, firewall_resource=c.Firewall(
    name="lib-api", source_ranges=["192.0.2.0/24"], target_tags=["llm-server"],
    allowed=[c.Allowed(I_p_protocol="tcp", ports=["8000"])])).result(300)
c.AddressesClient().insert(
    project=project, region=region, address_resource=c.Address(name="lib-ip")).result(300)
"""


def test_what_the_library_made(cloud: m.Cloud) -> None:
    emulator = cloud.emulator
    done = subprocess.run(
        [sys.executable, "-c", _MAKE, emulator.project, ZONE, IMAGE],
        env=emulator.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    adopted(cloud, "gce_instance", **gpu_machine("lib-l4", "g2-standard-4"))
    cards = [{"type": "nvidia-tesla-t4", "count": 1}]
    adopted(cloud, "gce_instance", **gpu_machine("lib-t4", "n1-standard-4", accelerators=cards))
    allowed = [{"protocol": "tcp", "ports": ["8000"]}]
    rule = {"source_ranges": ["192.0.2.0/24"], "target_tags": ["llm-server"]}
    adopted(cloud, "gce_firewall", name="lib-api", allowed=allowed, **rule)
    adopted(cloud, "gce_address", name="lib-ip", region=m.REGION)


def test_what_google_cloud_modules_made(cloud: m.Cloud, tmp_path: Any) -> None:
    """Its firewall rule; its instances are those of the library."""
    arguments = {
        "name": "by-google-cloud",
        "allowed": [{"ip_protocol": "tcp", "ports": ["8000"]}],
        "source_ranges": ["192.0.2.0/24"],
        "project": cloud.emulator.project,
        "auth_kind": "serviceaccount",
        "service_account_file": str(cloud.emulator.credentials_file),
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ansible", "adhoc", "localhost", "-c", "local"),
            *("-m", "google.cloud.gcp_compute_firewall", "-a", json.dumps(arguments)),
            *("-e", f"ansible_python_interpreter={sys.executable}"),
        ],
        env=cloud.emulator.environment() | {"ANSIBLE_LOCALHOST_WARNING": "false"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    allowed = [{"protocol": "tcp", "ports": ["8000"]}]
    adopted(
        cloud,
        "gce_firewall",
        name="by-google-cloud",
        allowed=allowed,
        source_ranges=["192.0.2.0/24"],
    )
