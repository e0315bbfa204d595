# SPDX-License-Identifier: Apache-2.0
"""A recreate carries over or refuses every field that Google's schema of an instance has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import googleapiclient
import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    body as instance_body,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.instance import (
    carry,
    carry_table,
)

Json = dict[str, Any]
_FOLDER = Path(googleapiclient.__file__).parent / "discovery_cache/documents"
SCHEMAS: Json = json.loads((_FOLDER / "compute.v1.json").read_text())["schemas"]
TABLES = {
    "Instance": carry_table.INSTANCE,
    "NetworkInterface": carry_table.INTERFACE,
    "AccessConfig": carry_table.ACCESS,
    "AttachedDisk": carry_table.ATTACHED,
    "Disk": carry_table.DISK,
    "Scheduling": carry_table.SCHEDULING,
    "CustomerEncryptionKey": carry_table.KEY,
}
GONE = "1.2.3.4"
KMS = "projects/p/locations/global/keyRings/r/cryptoKeys/k"
# What body.py needs to make a request of.
FINAL: Json = {
    "machine_type": "g2-standard-8",
    "network": "default",
    "external_ip": True,
    "boot_disk.image": "p/i",
    "labels.owner": "tests",
}


@pytest.mark.parametrize(("schema", "table"), TABLES.items())
def test_every_field_of_the_schema_has_a_row(schema: str, table: dict[str, str]) -> None:
    fields: Json = SCHEMAS[schema]["properties"]
    assert set(table) == set(fields)
    for name, spec in fields.items():
        told = re.match(r"\s*\[?output.only", spec.get("description", ""), re.IGNORECASE)
        if told and name != "sha256":
            assert table[name] == "output", f"{schema}.{name} is Google's to say"


# A part of an old instance, and what of the new request has to say it again.
CARRIED: list[tuple[Json, Json]] = [
    ({"description": "by hand"}, {"description": "by hand"}),
    ({"canIpForward": True}, {"canIpForward": True}),
    ({"hostname": "a.example.com"}, {"hostname": "a.example.com"}),
    ({"minCpuPlatform": "Intel Ice Lake"}, {"minCpuPlatform": "Intel Ice Lake"}),
    (
        {"advancedMachineFeatures": {"threadsPerCore": 1}},
        {"advancedMachineFeatures": {"threadsPerCore": 1}},
    ),
    ({"displayDevice": {"enableDisplay": True}}, {"displayDevice": {"enableDisplay": True}}),
    (
        {"confidentialInstanceConfig": {"confidentialInstanceType": "TDX"}},
        {"confidentialInstanceConfig": {"confidentialInstanceType": "TDX"}},
    ),
    ({"keyRevocationActionType": "STOP"}, {"keyRevocationActionType": "STOP"}),
    (
        {"instanceEncryptionKey": {"kmsKeyName": f"{KMS}/cryptoKeyVersions/7"}},
        {"instanceEncryptionKey": {"kmsKeyName": KMS}},
    ),
    (
        {"scheduling": {"nodeAffinities": [{"key": "k", "operator": "IN", "values": ["v"]}]}},
        {"scheduling": {"nodeAffinities": [{"key": "k", "operator": "IN", "values": ["v"]}]}},
    ),
    (
        {"scheduling": {"localSsdRecoveryTimeout": {"seconds": "3600"}}},
        {"scheduling": {"localSsdRecoveryTimeout": {"seconds": "3600"}}},
    ),
    (
        {"networkInterfaces": [{"networkIP": "10.128.0.77", "nicType": "GVNIC"}]},
        {"networkInterfaces": [{"networkIP": "10.128.0.77", "nicType": "GVNIC"}]},
    ),
    (
        {"networkInterfaces": [{"aliasIpRanges": [{"ipCidrRange": "10.1.0.0/24"}]}]},
        {"networkInterfaces": [{"aliasIpRanges": [{"ipCidrRange": "10.1.0.0/24"}]}]},
    ),
    (
        {"networkInterfaces": [{"accessConfigs": [{"networkTier": "STANDARD", "natIP": GONE}]}]},
        {"networkInterfaces": [{"accessConfigs": [{"networkTier": "STANDARD"}]}]},
    ),
    (
        {
            "networkInterfaces": [
                {},
                {
                    "network": "https://www.googleapis.com/compute/v1/projects/p/global/networks/n",
                    "networkIP": "10.9.0.9",
                    "accessConfigs": [{"name": "x", "natIP": "1.2.3.4"}, {"natIP": "9.9.9.9"}],
                    "fingerprint": "abc=",
                },
            ]
        },
        {
            "networkInterfaces": [
                {},
                {
                    "network": "projects/p/global/networks/n",
                    "networkIP": "10.9.0.9",
                    "accessConfigs": [{"name": "x"}, {"natIP": "9.9.9.9"}],
                },
            ]
        },
    ),
    (
        {
            "disks": [
                {
                    "boot": True,
                    "deviceName": "system",
                    "diskEncryptionKey": {"kmsKeyName": f"{KMS}/cryptoKeyVersions/1"},
                }
            ]
        },
        {"disks": [{"deviceName": "system", "diskEncryptionKey": {"kmsKeyName": KMS}}]},
    ),
]  # fmt: skip


def request(old: Json, disk: Json | None = None) -> Json:
    """The request for the successor of an instance; 9.9.9.9 is reserved."""
    found = carry.fields("instance one in z", old, disk, lambda ip: ip == "9.9.9.9")
    return instance_body.insert_body("one", "us-central1-a", "p", {**FINAL, **found})


def holds(there: Any, wanted: Any) -> None:
    """All of `wanted` is there, at its place."""
    if isinstance(wanted, dict):
        for name, value in wanted.items():
            assert name in there, name
            holds(there[name], value)
    elif isinstance(wanted, list):
        assert len(there) == len(wanted)
        for one, two in zip(there, wanted, strict=True):
            holds(one, two)
    else:
        assert there == wanted


@pytest.mark.parametrize(("old", "wanted"), CARRIED)
def test_carried(old: Json, wanted: Json) -> None:
    body = request(old)
    holds(body, wanted)
    assert "1.2.3.4" not in json.dumps(body), "an address that isn't reserved is gone"
    assert "fingerprint" not in json.dumps(body)


def test_what_the_boot_disk_alone_says() -> None:
    policy = "projects/p/regions/us-central1/resourcePolicies/daily"
    disk = {
        "labels": {"cost": "42", "owner": "somebody"},
        "description": "system",
        "resourcePolicies": [policy],
        "enableConfidentialCompute": True,
        "physicalBlockSizeBytes": "4096",
    }
    params = request({}, disk)["disks"][0]["initializeParams"]
    assert params["labels"] == {"cost": "42", "owner": "tests"}, "the instance's have the last word"
    assert params["resourcePolicies"] == [policy]
    assert (params["description"], params["enableConfidentialCompute"]) == ("system", True)


@pytest.mark.parametrize(
    ("old", "disk", "named"),
    [
        ({"networkInterfaces": [{"networkAttachment": "x"}]}, {}, "networkAttachment"),
        ({"disks": [{"boot": True, "diskEncryptionKey": {"sha256": "x"}}]}, {}, "sha256"),
        ({}, {"replicaZones": ["a", "b"]}, "replicaZones"),
        ({}, {"physicalBlockSizeBytes": "16384"}, "physicalBlockSizeBytes"),
        ({"somethingNew": {"a": 1}}, {}, "somethingNew"),
        ({"scheduling": {"somethingNew": True}}, {}, "scheduling.somethingNew"),
    ],
)
def test_refused(old: Json, disk: Json, named: str) -> None:
    with pytest.raises(GceError, match="nothing was changed") as caught:
        request(old, disk)
    assert caught.value.reason == "notCarried"
    assert named in caught.value.message


def test_nothing_is_carried_of_what_google_chose() -> None:
    old = {
        "canIpForward": False,
        "displayDevice": {"enableDisplay": False},
        "keyRevocationActionType": "NONE",
        "somethingNew": False,
        "networkInterfaces": [{"stackType": "IPV4_ONLY", "name": "nic0", "kind": "x"}],
    }
    assert carry.fields("x", old, {}, lambda _: False) == {}


@pytest.mark.parametrize(
    ("wanted", "named"),
    [
        ({"machine_type": "n1-standard-4"}, "minCpuPlatform"),
        ({"network": "other"}, "aliasIpRanges"),
        ({"machine_type": "g2-standard-16"}, ""),
    ],
)
def test_what_belongs_to_the_old_machine_or_network(wanted: Json, named: str) -> None:
    old = {
        "minCpuPlatform": "Intel Ice Lake",
        "networkInterfaces": [{"aliasIpRanges": [{"ipCidrRange": "/24"}], "networkIP": "10.0.0.9"}],
    }
    kept = {**FINAL, **carry.fields("x", old, {}, lambda _: False)}
    if not named:
        assert carry.adapted("x", kept, wanted) == kept
        return
    with pytest.raises(GceError, match=named):
        carry.adapted("x", kept, wanted)
