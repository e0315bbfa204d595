# SPDX-License-Identifier: Apache-2.0
"""What is refused before anything is asked of Google, and with which words."""

from __future__ import annotations

import re
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    argspec as instance_options,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    fields as instance_fields,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    refusals as instance_refusals,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    validation as instance_checks,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.hardware import (
    local_ssds,
    machine_types,
)

from emulator.world import catalog_data as data


def desired(**given: Any) -> dict[str, Any]:
    options = {name: given.get(name) for name in instance_options.SPEC} | {"name": "llm"}
    return instance_fields.desired(options, "p")


def scheduling(**given: Any) -> dict[str, Any]:
    return {"scheduling": given}


def affinity(kind: str, *names: str) -> dict[str, Any]:
    return {"reservation_affinity": {"type": kind, "reservations": list(names)}}


T4 = [{"type": "nvidia-tesla-t4", "count": 1}]
SPOT, FLEX = scheduling(provisioning_model="SPOT"), scheduling(
    provisioning_model="FLEX_START", max_run_duration=600
)  # fmt: skip


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (scheduling(provisioning_model="FLEX_START"), "needs max_run_duration.*600 to 604800"),
        (scheduling(provisioning_model="FLEX_START", max_run_duration=0), "needs max_run_duration"),
        (scheduling(provisioning_model="FLEX_START", max_run_duration=599), "600 to 604800"),
        (scheduling(max_run_duration=29), "30 to 10368000, or to 0"),
        (scheduling(max_run_duration=-1), "can't be -1"),
        (scheduling(provisioning_model="SPOT", automatic_restart=True), "SPOT automatic_restart"),
        (scheduling(provisioning_model="FLEX_START", max_run_duration=600, automatic_restart=True),
         "FLEX_START automatic_restart"),
        (scheduling(provisioning_model="STANDARD", instance_termination_action="STOP"),
         "is STANDARD and has none"),
        (scheduling(provisioning_model="SPOT", on_host_maintenance="MIGRATE"), "TERMINATE"),
        ({"accelerators": T4, **scheduling(on_host_maintenance="MIGRATE")}, "GPUs can't migrate"),
        ({"machine_type": "g2-standard-8", **scheduling(on_host_maintenance="MIGRATE")},
         "GPUs can't migrate"),
        (affinity("specific"), "names no reservation"),
        (affinity("any", "mine"), "is any, and names reservations"),
        ({**FLEX, **affinity("any")}, "FLEX_START reservation_affinity can't be any"),
        ({**SPOT, **affinity("specific", "mine")}, "SPOT reservation_affinity can't be specific"),
        ({"machine_type": "g4-standard-48", "boot_disk": {"type": "pd-ssd"}},
         "g4-standard-48 takes no Persistent Disks.*hyperdisk-balanced"),
        ({"machine_type": "a3-ultragpu-8g", "boot_disk": {"type": "hyperdisk-ml"}},
         "boot_disk.type is hyperdisk-ml"),
        ({"machine_type": "a4-highgpu-8g", "disks": [{"name": "d", "type": "pd-balanced"}]},
         "disks.d.type is pd-balanced"),
        ({"boot_disk": {"type": "pd-ssd", "provisioned_iops": 3000}}, "pd-ssd have none to set"),
        ({"disks": [{"name": "d", "type": "pd-ssd", "provisioned_throughput": 3000}]},
         "one of hyperdisk-balanced, hyperdisk-throughput, hyperdisk-ml"),
        ({"disks": [{"name": "d", "size_gb": 0}]}, "disks.d.size_gb is 0"),
        ({"disks": [{"name": "llm", "size_gb": 9}]}, "the name of the boot disk"),
        ({"disks": [{"name": "a"}, {"name": "b", "device_name": "a"}]}, "same device name a"),
        ({"disks": [{"name": "Data"}]}, "name of the disk 'Data'.*lower case"),
        ({"tags": ["web_server"]}, "tag 'web_server'"),
        ({"labels": {"Owner": "me"}}, "label 'Owner'"),
        ({"labels": {"owner": "Me"}}, "value 'Me' of the label owner"),
        ({"metadata": {"a b": "c"}}, "metadata key 'a b'"),
        ({"resource_policies": ["No"]}, "resource policy 'No'"),
    ],
)  # fmt: skip
def test_what_can_not_be(given: dict[str, Any], words: str) -> None:
    with pytest.raises(GceError) as caught:
        instance_checks.refuse_bad("llm", desired(**given))
    assert re.search(words, str(caught.value)), str(caught.value)
    assert caught.value.remedy
    assert "Nothing was done" in caught.value.message


def test_name_that_google_does_not_take() -> None:
    for name in ("LLM", "1llm", "llm-", "a" * 64, "llm_1"):
        with pytest.raises(GceError, match="its name"):
            instance_checks.refuse_bad(name, {})


@pytest.mark.parametrize(
    "given",
    [
        {},
        SPOT,
        FLEX,
        {**FLEX, **affinity("none")},
        affinity("specific", "mine", "projects/other/reservations/theirs"),
        scheduling(provisioning_model="STANDARD", max_run_duration=30,
                   instance_termination_action="DELETE"),
        scheduling(max_run_duration=0),
        {"machine_type": "g4-standard-48", "boot_disk": {"type": "hyperdisk-balanced"},
         "disks": [{"name": "d", "type": "hyperdisk-ml", "provisioned_throughput": 2400}]},
        {"machine_type": "g2-standard-8", "boot_disk": {"type": "pd-ssd"}},
        {"machine_type": "n1-standard-8", **scheduling(on_host_maintenance="MIGRATE")},
        {"labels": {"größe": "ü-1", "gone": None}, "metadata": {"A_b-9": "any Thing"}},
    ],
)  # fmt: skip
def test_what_can_be(given: dict[str, Any]) -> None:
    instance_checks.refuse_bad("llm", desired(**given))


def test_disk_named_twice() -> None:
    with pytest.raises(GceError, match="disks has data twice"):
        desired(disks=[{"name": "data"}, {"name": "data"}])


def test_local_ssds_are_not_lost_by_a_recreate() -> None:
    resource = {"disks": [{"boot": True, "autoDelete": True},
                          {"type": "SCRATCH", "deviceName": "local-ssd-0"}]}  # fmt: skip
    params = {"deletion_protection": None, "boot_disk": None}
    with pytest.raises(GceError, match=r"local SSDs \(local-ssd-0\)"):
        instance_refusals.recreation("instance llm", resource, params)
    bundled = resource | {"machineType": "zones/z/machineTypes/a3-highgpu-8g"}
    instance_refusals.recreation("instance llm", bundled, params)
    with pytest.raises(GceError, match="discard_local_ssd is false"):
        kept = params | {"discard_local_ssd": False}
        instance_refusals.recreation("instance llm", bundled, kept)


@pytest.mark.parametrize(
    ("machine", "brings"),
    [
        *((name, True) for name in data.LOCAL_SSDS),
        *((name, False) for name in data.MACHINES if name not in data.LOCAL_SSDS),
        ("a4x-highgpu-4g", True),
        ("a3-edgegpu-8g", True),
        ("a3-edgegpu-8g-nolssd", False),
        ("c3-standard-88-lssd", True),
        ("c3-standard-88", False),
    ],
)
def test_which_machines_bring_local_ssds(machine: str, brings: bool) -> None:
    assert local_ssds.bundled(machine) is brings
    known = machine_types.shape(machine)
    if machine in data.LOCAL_SSDS:
        assert known is not None
        assert known[2] == data.LOCAL_SSDS[machine] * data.LOCAL_SSD_GB


# What Google's documentation says that Compute Engine attaches (docs/disks/local-ssd and
# docs/accelerator-optimized-machines, below docs.cloud.google.com/compute), counted a second time
# in what GKE's autoscaler has of machine types. Each has 375 GB; A4X has four of 3,000 GB.
LOCAL_SSDS = {
    "a2-ultragpu-1g": 1,
    "a2-ultragpu-2g": 2,
    "a2-ultragpu-4g": 4,
    "a2-ultragpu-8g": 8,
    "a3-highgpu-1g": 2,
    "a3-highgpu-2g": 4,
    "a3-highgpu-4g": 8,
    "a3-highgpu-8g": 16,
    "a3-megagpu-8g": 16,
    "a3-ultragpu-8g": 32,
    "a4-highgpu-8g": 32,
}


def test_how_many_local_ssds_a_machine_brings() -> None:
    assert data.LOCAL_SSDS == LOCAL_SSDS
    found = {name: machine_types.shape(name) for name in LOCAL_SSDS}
    assert {name: known[2] for name, known in found.items() if known} == {
        name: count * 375 for name, count in LOCAL_SSDS.items()
    }
    # Every GPU machine of the tables either brings some or is named as one that brings none.
    without = {name for name in machine_types.BUNDLED if not local_ssds.bundled(name)}
    assert {name.split("-")[0] for name in without} == {"g2", "g4", "a2"}
    assert not any("ultra" in name for name in without)


def test_disks_do_not_follow_into_another_zone() -> None:
    resource = {"disks": [{"boot": True}, {"source": "projects/p/zones/z/disks/data"}]}
    with pytest.raises(GceError, match=r"further disks \(data\)"):
        instance_refusals.moving_disks("instance llm", resource)
