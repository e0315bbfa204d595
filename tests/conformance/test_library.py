# SPDX-License-Identifier: Apache-2.0
"""google-cloud-compute, unmodified, through the proxy."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.support.emulator_fixture import IMAGE, ROOT, ZONE, Emulator

# In a process of its own: the proxy and the authority are settings of the environment.
_SCRIPT = """
import json, sys
from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound
from google.cloud import compute_v1 as c

project, zone, image = sys.argv[1:]
instances, firewalls = c.InstancesClient(), c.FirewallsClient()
seen = {}

def body(name, machine_type):
    return c.Instance(
        name=name,
        machine_type=f"zones/{zone}/machineTypes/{machine_type}",
        disks=[c.AttachedDisk(boot=True, auto_delete=True,
            initialize_params=c.AttachedDiskInitializeParams(source_image=image, disk_size_gb=60))],
        network_interfaces=[c.NetworkInterface(
            network="global/networks/default", access_configs=[c.AccessConfig()])],
        scheduling=c.Scheduling(on_host_maintenance="TERMINATE"),
        labels={"app": "llm"},
    )

wanted = body("lib-vm", "g2-standard-8")
instances.insert(project=project, zone=zone, instance_resource=wanted).result(300)
vm = instances.get(project=project, zone=zone, instance="lib-vm")
seen["status"], seen["disk"] = vm.status, vm.disks[0].disk_size_gb
seen["gpus"] = [
    (a.accelerator_type.rsplit("/", 1)[1], a.accelerator_count) for a in vm.guest_accelerators]

instances.set_labels(project=project, zone=zone, instance="lib-vm",
    instances_set_labels_request_resource=c.InstancesSetLabelsRequest(
        labels={"app": "llm", "stage": "test"}, label_fingerprint=vm.label_fingerprint)).result(300)
try:
    instances.set_labels(project=project, zone=zone, instance="lib-vm",
        instances_set_labels_request_resource=c.InstancesSetLabelsRequest(
            labels={}, label_fingerprint=vm.label_fingerprint)).result(300)
except GoogleAPICallError as error:
    seen["stale"] = error.code
request = c.AggregatedListInstancesRequest(
    project=project, filter="labels.stage = test", max_results=1)
scopes = instances.aggregated_list(request=request)
seen["listed"] = [i.name for _, scope in scopes for i in scope.instances]
instances.stop(project=project, zone=zone, instance="lib-vm").result(300)
seen["stopped"] = instances.get(project=project, zone=zone, instance="lib-vm").status
instances.start(project=project, zone=zone, instance="lib-vm").result(300)
try:
    instances.insert(project=project, zone=zone,
        instance_resource=body("too-big", "g2-standard-96")).result(300)
except GoogleAPICallError as error:
    details = [(e.code, "NVIDIA_L4_GPUS" in e.message) for e in error.errors]
    seen["quota"] = [error.code, details]
firewalls.insert(project=project, firewall_resource=c.Firewall(
    name="lib-rule", source_ranges=["192.0.2.0/24"],
    allowed=[c.Allowed(I_p_protocol="tcp", ports=["8000"])])).result(300)
seen["rules"] = sorted(r.name for r in firewalls.list(project=project))
firewalls.delete(project=project, firewall="lib-rule").result(300)
instances.delete(project=project, zone=zone, instance="lib-vm").result(300)
try:
    instances.get(project=project, zone=zone, instance="lib-vm")
except NotFound as error:
    seen["gone"] = error.code
seen["disks"] = len(list(c.DisksClient().list(project=project, zone=zone)))
print(json.dumps(seen))
"""


def test_life_of_an_instance(emulator: Emulator) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, emulator.project, ZONE, IMAGE],
        env=emulator.environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "status": "RUNNING",
        "disk": 60,
        "gpus": [["nvidia-l4", 1]],
        "stale": 412,
        "listed": ["lib-vm"],
        "stopped": "TERMINATED",
        "quota": [403, [["QUOTA_EXCEEDED", True]]],
        "rules": [
            "default-allow-icmp",
            "default-allow-internal",
            "default-allow-rdp",
            "default-allow-ssh",
            "lib-rule",
        ],
        "gone": 404,
        "disks": 0,
    }
