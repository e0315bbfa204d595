# SPDX-License-Identifier: Apache-2.0
"""Options and resources to flat fields, and back to requests."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    argspec as instance_options,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import body as b
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import fields as f

P, Z = "my-project", "us-central1-a"
LINK = f"https://www.googleapis.com/compute/v1/projects/{P}"


def options(**given: Any) -> dict[str, Any]:
    """All options as Ansible hands them over: those not given are None."""
    return {name: given.get(name) for name in instance_options.SPEC} | {"name": "llm", "zone": Z}


RESOURCE: dict[str, Any] = {
    "name": "llm",
    "status": "RUNNING",
    "machineType": f"{LINK}/zones/{Z}/machineTypes/n1-standard-8",
    "guestAccelerators": [
        {
            "acceleratorType": f"{LINK}/zones/{Z}/acceleratorTypes/nvidia-tesla-t4",
            "acceleratorCount": 1,
        }
    ],
    "disks": [{"boot": True, "diskSizeGb": "100", "source": f"{LINK}/zones/{Z}/disks/llm"}],
    "networkInterfaces": [
        {
            "name": "nic0",
            "network": f"{LINK}/global/networks/default",
            "subnetwork": f"{LINK}/regions/us-central1/subnetworks/default",
            "networkIP": "10.128.0.2",
            "accessConfigs": [{"name": "External NAT", "natIP": "203.0.113.9"}],
        }
    ],
    "tags": {"items": ["llm-server"], "fingerprint": "x"},
    "labels": {"owner": "me"},
    "metadata": {"items": [{"key": "a", "value": "b"}]},
    "serviceAccounts": [
        {"email": "a@b", "scopes": ["https://www.googleapis.com/auth/cloud-platform"]}
    ],
    "scheduling": {"onHostMaintenance": "TERMINATE", "automaticRestart": True},
    "shieldedInstanceConfig": {"enableSecureBoot": False, "enableVtpm": True},
}
DISK = {
    "sizeGb": "100",
    "type": f"{LINK}/zones/{Z}/diskTypes/pd-balanced",
    "sourceImage": "https://www.googleapis.com/compute/v1/projects/images/global/images/i-1",
}


def test_view_of_a_resource() -> None:
    assert f.view(RESOURCE, P, DISK) == {
        "machine_type": "n1-standard-8",
        "accelerators": [{"type": "nvidia-tesla-t4", "count": 1}],
        "deletion_protection": False,
        "status": "RUNNING",
        "boot_disk.size_gb": 100,
        "boot_disk.type": "pd-balanced",
        "boot_disk.image": "images/i-1",
        "boot_disk.auto_delete": False,
        "reservation_affinity": {"type": "any", "reservations": []},
        "resource_policies": [],
        "network": "default",
        "subnetwork": "default",
        "external_ip": True,
        "address": "203.0.113.9",
        "tags.llm-server": True,
        "labels.owner": "me",
        "metadata.a": "b",
        "service_account.email": "a@b",
        "service_account.scopes": ["https://www.googleapis.com/auth/cloud-platform"],
        "scheduling.on_host_maintenance": "TERMINATE",
        "scheduling.automatic_restart": True,
        "scheduling.provisioning_model": "STANDARD",
        "shielded.secure_boot": False,
        "shielded.vtpm": True,
    }


def test_view_of_next_to_nothing() -> None:
    seen = f.view({"machineType": "zones/z/machineTypes/e2-small"}, P)
    assert seen["machine_type"] == "e2-small"
    assert seen["accelerators"] == []
    assert "network" not in seen


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"labels": {"a": 1, "b": None}}, {"labels.a": "1", "labels.b": None}),
        (
            {"metadata": {"enable-guest-attributes": True}},
            {"metadata.enable-guest-attributes": "true"},
        ),
        ({"address": "llm", "external_ip": True}, {"address": "llm"}),
        ({"address": "", "external_ip": False}, {"external_ip": False}),
        ({"tags": ["b", "a"]}, {"tags.a": True, "tags.b": True}),
        ({"network": f"projects/{P}/global/networks/n"}, {"network": "n"}),
        (
            {"network": "projects/host/global/networks/n"},
            {"network": "projects/host/global/networks/n"},
        ),
        (
            {"boot_disk": {"image": "i", "size_gb": 9}},
            {"boot_disk.image": f"{P}/i", "boot_disk.size_gb": 9},
        ),
        (
            {"boot_disk": {"image": "global/images/i", "image_project": "q"}},
            {"boot_disk.image": "q/i"},
        ),
        (
            {"boot_disk": {"image_family": "fam", "image_project": "q"}},
            {"boot_disk.image_family": "q/fam"},
        ),
        (
            {"service_account": {"email": "a@b", "scopes": ["cloud-platform"]}},
            {
                "service_account.email": "a@b",
                "service_account.scopes": ["https://www.googleapis.com/auth/cloud-platform"],
            },
        ),
        (
            {"scheduling": {"provisioning_model": "SPOT", "automatic_restart": None}},
            {"scheduling.provisioning_model": "SPOT"},
        ),
        # Bundled GPUs that agree are no field of their own.
        (
            {"machine_type": "g2-standard-8", "accelerators": [{"type": "nvidia-l4", "count": 1}]},
            {"machine_type": "g2-standard-8"},
        ),
    ],
)
def test_desired(given: dict[str, Any], expected: dict[str, Any]) -> None:
    assert f.desired(options(**given), P) == expected


def test_options_that_contradict_the_bundle() -> None:
    wrong = options(machine_type="g2-standard-8", accelerators=[{"type": "nvidia-l4", "count": 4}])
    with pytest.raises(GceError, match=r"comes with 1 x nvidia-l4.*g2-standard-48"):
        f.desired(wrong, P)


def test_address_contradicts_having_none() -> None:
    with pytest.raises(GceError, match="external_ip is false"):
        f.desired(options(address="llm", external_ip=False), P)


def test_request_with_a_reserved_address() -> None:
    fields = {**final(machine_type="e2-small"), "address": "203.0.113.9"}
    (interface,) = b.insert_body("llm", Z, P, fields)["networkInterfaces"]
    assert [access["natIP"] for access in interface["accessConfigs"]] == ["203.0.113.9"]


def final(**given: Any) -> dict[str, Any]:
    fields = b.with_creation_defaults(f.desired(options(**given), P))
    return {**fields, "boot_disk.image": "images/i-1"}


@pytest.mark.parametrize(
    "machine", ["g2-standard-8", "g2-standard-96", "a2-highgpu-1g", "a3-highgpu-8g"]
)
def test_bundled_gpus_are_left_out_of_the_request(machine: str) -> None:
    body = b.insert_body("llm", Z, P, final(machine_type=machine))
    assert "guestAccelerators" not in body
    assert body["scheduling"]["onHostMaintenance"] == "TERMINATE"


def test_request_for_spot() -> None:
    given = final(
        machine_type="n1-standard-8",
        accelerators=[{"type": "nvidia-tesla-t4", "count": 1}],
        scheduling={"provisioning_model": "SPOT"},
    )
    body = b.insert_body("llm", Z, P, given)
    assert body["scheduling"] == {
        "provisioningModel": "SPOT",
        "preemptible": True,
        "automaticRestart": False,
        "onHostMaintenance": "TERMINATE",
        "instanceTerminationAction": "STOP",
    }
    assert body["guestAccelerators"][0]["acceleratorCount"] == 1


def test_new_instance_has_no_service_account_unless_given() -> None:
    body = b.insert_body("llm", Z, P, final(machine_type="e2-small"))
    assert "serviceAccounts" not in body
    assert body["shieldedInstanceConfig"]["enableVtpm"] is True
    assert body["scheduling"]["onHostMaintenance"] == "MIGRATE"
    named = final(machine_type="e2-small", service_account={"email": "a@b"})
    scopes = b.insert_body("llm", Z, P, named)["serviceAccounts"][0]["scopes"]
    # What weights in a bucket need: a token of it is no use for anything else.
    assert scopes == ["https://www.googleapis.com/auth/devstorage.read_only"]


def test_caller_wins_over_defaults() -> None:
    given = final(
        machine_type="g2-standard-8",
        external_ip=False,
        network="other",
        shielded={"secure_boot": True},
        scheduling={"automatic_restart": False},
    )
    body = b.insert_body("llm", Z, P, given)
    assert "accessConfigs" not in body["networkInterfaces"][0]
    assert body["networkInterfaces"][0]["network"] == f"projects/{P}/global/networks/other"
    assert body["shieldedInstanceConfig"]["enableSecureBoot"] is True
    assert body["scheduling"]["automaticRestart"] is False


def test_request_of_a_view_makes_the_same_instance_again() -> None:
    """What a recreate relies on: view, request and view again agree."""
    seen = f.view(RESOURCE, P, DISK)
    body = b.insert_body("llm", Z, P, seen)
    made = {
        **body,
        "status": "RUNNING",
        "disks": [{**body["disks"][0], "diskSizeGb": "100"}],
    }
    disk = {
        "sizeGb": body["disks"][0]["initializeParams"]["diskSizeGb"],
        "type": body["disks"][0]["initializeParams"]["diskType"],
        "sourceImage": body["disks"][0]["initializeParams"]["sourceImage"],
    }
    assert f.view(made, P, disk) == seen


def test_addresses() -> None:
    assert f.addresses(RESOURCE) == {"internal": "10.128.0.2", "external": "203.0.113.9"}
    assert f.addresses(None) == {"internal": None, "external": None}
    assert f.addresses({"networkInterfaces": [{"networkIP": "10.0.0.2"}]})["external"] is None


@pytest.mark.parametrize(
    ("there", "desired", "after"),
    [
        (None, "op:ssh-ed25519 A op", "op:ssh-ed25519 A op"),
        ("op:ssh-ed25519 A op", "op:ssh-ed25519 A op", "op:ssh-ed25519 A op"),
        ("ann:ssh-rsa B ann", "op:ssh-ed25519 A op", "ann:ssh-rsa B ann\nop:ssh-ed25519 A op"),
    ],
)
def test_ssh_keys_of_others_stay(there: str | None, desired: str, after: str) -> None:
    current = {"metadata.ssh-keys": there} if there else {}
    assert f.keep_other_keys({"metadata.ssh-keys": desired}, current) == {
        "metadata.ssh-keys": after
    }
