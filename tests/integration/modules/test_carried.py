# SPDX-License-Identifier: Apache-2.0
"""gce_instance recreates instances that others made, with all that it has no option for."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Api, instance_body

KMS = "projects/keys/locations/global/keyRings/one/cryptoKeys/two"
OTHER = {
    "boot_disk": {"image_project": m.IMAGES, "image_family": "common-cu129-ubuntu-2204-nvidia-580"}
}


@pytest.fixture
def name() -> str:
    return m.new_name("old")


def by_hand(name: str, **more: Any) -> m.Json:
    """A request as an administrator writes it, with fields that no option here names."""
    body = instance_body(name)
    body["networkInterfaces"][0] |= {"networkIP": "10.128.0.77", "nicType": "GVNIC"}
    body["disks"][0]["diskEncryptionKey"] = {"kmsKeyName": KMS}
    return {
        **body,
        "description": "by hand",
        "hostname": "old.example.com",
        "canIpForward": True,
        "minCpuPlatform": "Intel Cascade Lake",
        "advancedMachineFeatures": {"threadsPerCore": 1},
        "displayDevice": {"enableDisplay": True},
        "scheduling": {
            "onHostMaintenance": "TERMINATE",
            "nodeAffinities": [{"key": "team", "operator": "IN", "values": ["search"]}],
        },
        **more,
    }


def stored(cloud: m.Cloud, collection: str, name: str) -> m.Json:
    return next(one for one in cloud.stored(collection) if one["name"] == name)


def recreate(cloud: m.Cloud, name: str, **more: Any) -> m.Json:
    return cloud.ok(
        "gce_instance", zone=m.ZONE, name=name, allow_recreate=True, **{**OTHER, **more}
    )


def test_an_instance_made_by_hand_keeps_all_it_had(cloud: m.Cloud, api: Api, name: str) -> None:
    api.must("POST", "global/networks", {"name": "second", "autoCreateSubnetworks": True})
    body = by_hand(name)
    body["networkInterfaces"].append({"network": "global/networks/second", "nicType": "GVNIC"})
    api.must("POST", f"zones/{m.ZONE}/instances", body)
    old = stored(cloud, "instances", name)
    recreate(cloud, name)
    new = stored(cloud, "instances", name)
    assert new["id"] != old["id"]
    changed = {"id", "creationTimestamp", "lastStartTimestamp", "metadata", "fingerprint", "disks"}
    assert {k: v for k, v in new.items() if k not in changed | {"networkInterfaces"}} == {
        k: v for k, v in old.items() if k not in changed | {"networkInterfaces"}
    }
    outward = {"accessConfigs", "fingerprint"}
    for one, two in zip(old["networkInterfaces"], new["networkInterfaces"], strict=True):
        assert {k: v for k, v in one.items() if k not in outward} == {
            k: v for k, v in two.items() if k not in outward
        }
    assert new["disks"][0]["diskEncryptionKey"] == old["disks"][0]["diskEncryptionKey"]
    assert stored(cloud, "disks", name)["diskEncryptionKey"]["kmsKeyName"].startswith(KMS)
    assert new["disks"][0]["deviceName"] == old["disks"][0]["deviceName"]


def test_what_can_not_be_said_again_is_refused(cloud: m.Cloud, api: Api, name: str) -> None:
    body = by_hand(name)
    # A key of the caller's own, 32 bytes: no answer ever shows it again.
    body["disks"][0]["diskEncryptionKey"] = {"rawKey": "QUFB" * 10 + "QUE="}
    api.must("POST", f"zones/{m.ZONE}/instances", body)
    old = stored(cloud, "instances", name)
    for check in (True, False):
        found = cloud.fails(
            "gce_instance", check=check, zone=m.ZONE, name=name, allow_recreate=True, **OTHER
        )
        assert found["reason"] == "notCarried"
        assert "diskEncryptionKey" in found["msg"]
    assert stored(cloud, "instances", name) == old


def test_of_another_series_it_can_not_have_the_old_ones_features(
    cloud: m.Cloud, api: Api, name: str
) -> None:
    api.must("POST", f"zones/{m.ZONE}/instances", by_hand(name))
    old = stored(cloud, "instances", name)
    found = cloud.fails(
        "gce_instance",
        zone=m.ZONE,
        name=name,
        allow_recreate=True,
        machine_type="n1-standard-8",
        scheduling={"on_host_maintenance": "TERMINATE"},
    )
    assert found["reason"] == "notCarried"
    assert "minCpuPlatform" in found["msg"]
    assert stored(cloud, "instances", name) == old


def test_an_internal_address_that_somebody_took_meanwhile(
    cloud: m.Cloud, api: Api, name: str
) -> None:
    """It was nobody's choice: the instance goes on with another, and says so."""
    api.must("POST", f"zones/{m.ZONE}/instances", by_hand(name))
    rule = {
        "operation": "insert",
        "target": f"*/instances/{name}",
        "count": 1,
        "operation_error": {
            "code": "IP_IN_USE_BY_ANOTHER_RESOURCE",
            "message": "IP '10.128.0.77' is already being used by another resource.",
            "http_status": 400,
        },
    }
    cloud.admin("PUT", "faults", {"rules": [rule]})
    made = recreate(cloud, name)
    assert "10.128.0.77" in " ".join(map(str, made["warnings"]))
    assert stored(cloud, "instances", name)["networkInterfaces"][0]["networkIP"] != "10.128.0.77"


def test_the_subnetwork_stays_where_only_the_same_network_is_named(
    cloud: m.Cloud, api: Api, name: str
) -> None:
    subnetwork = {
        "name": "own",
        "network": f"projects/{cloud.emulator.project}/global/networks/default",
        "ipCidrRange": "10.10.0.0/20",
    }
    api.must("POST", f"regions/{m.REGION}/subnetworks", subnetwork)
    body = instance_body(name)
    body["networkInterfaces"] = [{"subnetwork": f"regions/{m.REGION}/subnetworks/own"}]
    api.must("POST", f"zones/{m.ZONE}/instances", body)
    recreate(cloud, name, network="default")
    interface = stored(cloud, "instances", name)["networkInterfaces"][0]
    assert interface["subnetwork"].endswith("/own")
