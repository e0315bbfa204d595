# SPDX-License-Identifier: Apache-2.0
"""Modules where Google refuses for what is an organization's, a project's or a location's."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import modules_fixtures as m

CLOSED = {
    "reason": "LOCATION_POLICY_VIOLATED",
    "domain": "googleapis.com",
    "metadatas": {"consumer": "projects/1", "service": ""},
}


def refuse(cloud: m.Cloud, path: str, status: int, *messages: str, **more: Any) -> None:
    """Google refuses requests to a path, until the next call of this."""
    reason = "conditionNotMet" if status == 412 else "forbidden"
    error = {"http_status": status, "reason": reason, "messages": list(messages), **more}
    cloud.admin("PUT", "faults", {"rules": [{"path": path, "error": error}]})


def fired(cloud: m.Cloud) -> int:
    (rule,) = cloud.admin("GET", "faults")["rules"]
    return int(rule["fired"])


def test_a_policy_of_the_organization_is_told_with_its_setting(cloud: m.Cloud) -> None:
    refuse(
        cloud,
        "*/instances",
        412,
        "Constraint constraints/compute.requireShieldedVm violated for project projects/p. Secure "
        "Boot is not enabled in the 'shielded_instance_config' field.",
        "Constraint constraints/compute.vmExternalIpAccess violated for project 1. Add instance "
        "projects/p/zones/z/instances/one to the constraint to use external IP with it.",
    )
    found = cloud.fails("gce_instance", **m.machine(m.new_name("pol")))
    assert found["reason"] == "orgPolicy"
    assert "vmExternalIpAccess" in found["msg"]
    assert "gce_instance_external_ip: false" in found["remedy"]
    assert "gce_instance_shielded" in found["remedy"]
    assert "same moment" not in found["msg"]


def test_a_policy_is_no_fingerprint_and_is_not_tried_four_times(cloud: m.Cloud) -> None:
    name = m.new_name("pol")
    cloud.ok("gce_instance", **m.machine(name))
    text = "Constraint constraints/compute.requireOsLogin violated for project 1."
    refuse(cloud, "*/setMetadata", 412, text)
    found = cloud.fails("gce_instance", **m.machine(name, metadata={"enable-oslogin": "FALSE"}))
    assert found["reason"] == "orgPolicy"
    assert "gce_instance_ssh_access: oslogin" in found["remedy"]
    assert fired(cloud) == 1


def test_a_fingerprint_is_still_read_again(cloud: m.Cloud) -> None:
    name = m.new_name("pol")
    cloud.ok("gce_instance", **m.machine(name))
    error = {
        "http_status": 412,
        "reason": "conditionNotMet",
        "messages": ["Supplied fingerprint does not match current metadata fingerprint."],
        "location": "If-Match",
    }
    rule = {"path": "*/setMetadata", "error": error, "count": 1}
    cloud.admin("PUT", "faults", {"rules": [rule]})
    cloud.ok("gce_instance", **m.machine(name, metadata={"one": "1"}))
    assert fired(cloud) == 1


def test_the_schedule_needs_a_right_of_googles_agent(cloud: m.Cloud) -> None:
    name = m.new_name("pol")
    cloud.ok("gce_instance", **m.machine(name))
    agent = "service-123@compute-system.iam.gserviceaccount.com"
    refuse(
        cloud,
        "*/addResourcePolicies",
        412,
        f"Compute Engine System service account {agent} needs to have "
        "[compute.instances.start,compute.instances.stop] permissions applied in order to perform "
        "this operation.",
    )
    found = cloud.fails(
        "gce_instance_schedule",
        region=m.REGION,
        name=f"{name}-schedule",
        start="0 8 * * *",
        stop="0 19 * * *",
        zone=m.ZONE,
        instance=name,
    )
    assert found["reason"] == "agentPermission"
    assert f"--member=serviceAccount:{agent}" in found["remedy"]


# Module and options of every kind of look-up in a zone or region that is not there, and its path.
LOOKUPS: list[tuple[str, str, dict[str, Any]]] = [
    ("us-east1-a", "gce_machine_type_info", {"zone": "us-east1-a", "machine_type": "e2-small"}),
    ("us-east1-a", "gce_instance_info", {"zone": "us-east1-a", "name": "one"}),
    ("us-east1-a", "gce_instance", m.machine("one", zone="us-east1-a")),
    ("us-east1-a", "gce_guest_attributes_info", {"zone": "us-east1-a", "name": "one"}),
    ("us-east9", "gce_quota_info", {"region": "us-east9"}),
    ("us-east9", "gce_address", {"region": "us-east9", "name": "one"}),
    (
        "us-east9",
        "gce_subnetwork",
        {"region": "us-east9", "name": "one", "network": "default", "range": "10.96.0.0/20"},
    ),
    (
        "us-east9",
        "gce_instance_schedule",
        {"region": "us-east9", "name": "one", "start": "0 8 * * *", "stop": "0 9 * * *"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("denied", [False, True], ids=["unknown", "denied"])
@pytest.mark.parametrize(("place", "module", "options"), LOOKUPS)
def test_no_such_place(
    cloud: m.Cloud, place: str, module: str, options: dict[str, Any], denied: bool
) -> None:
    """Both of Google's forms: its older one, and a 403 that says permission."""
    if denied:
        text = f"Permission denied on 'locations/{place}' (or it may not exist)."
        refuse(cloud, f"*/{place}/*", 403, text)
    found = cloud.fails(module, **options)
    kind = "region" if place == "us-east9" else "zone"
    assert found["reason"] == f"{kind}NotFound", found
    assert f"There is no {kind} {place}" in found["msg"]
    assert "roles/" not in found["msg"]


@pytest.mark.parametrize(
    ("place", "module", "options"),
    [
        ("us-east1-c", "gce_machine_type_info", {"zone": "us-east1-c", "machine_type": "e2-small"}),
        ("us-east1-c", "gce_instance", m.machine("one", zone="us-east1-c")),
        ("us-east1", "gce_address", {"region": "us-east1", "name": "one"}),
    ],
)
def test_a_place_that_is_closed_to_the_project(
    cloud: m.Cloud, place: str, module: str, options: dict[str, Any]
) -> None:
    text = f"Permission denied on 'locations/{place}' (or it may not exist)."
    info = {**CLOSED, "metadatas": {**CLOSED["metadatas"], "location": place}}  # type: ignore[dict-item]
    refuse(cloud, f"*/{place}/*", 403, text, info=info)
    found = cloud.fails(module, **options)
    assert found["reason"] == "locationClosed"
    assert f"{place} is closed to the project {cloud.emulator.project}" in found["msg"]
    assert "roles/" not in found["msg"]


def test_a_right_that_is_missing_in_another_project_names_that(cloud: m.Cloud) -> None:
    text = (
        "Required 'compute.subnetworks.use' permission for "
        "'projects/host-project/regions/us-central1/subnetworks/shared'"
    )
    refuse(cloud, "*/instances", 403, text)
    found = cloud.fails("gce_instance", **m.machine(m.new_name("pol")))
    assert found["reason"] == "forbidden"
    assert "roles/compute.networkUser" in found["remedy"]
    assert "host-project" in found["remedy"]
    assert f"on project {cloud.emulator.project}" not in found["remedy"]


def test_a_service_account_that_may_not_be_used(cloud: m.Cloud) -> None:
    account = "runner@other.iam.gserviceaccount.com"
    rule = {
        "operation": "insert",
        "target": "*/instances/*",
        "operation_error": {
            "code": "SERVICE_ACCOUNT_ACCESS_DENIED",
            "message": f"The user does not have access to service account '{account}'. User: 'me'.",
            "http_status": 400,
        },
    }
    cloud.admin("PUT", "faults", {"rules": [rule]})
    options = m.machine(m.new_name("pol"), service_account={"email": account})
    found = cloud.fails("gce_instance", **options)
    assert found["reason"] == "serviceAccountAccess"
    assert f"service account {account}" in found["remedy"]
    assert "roles/iam.serviceAccountUser" in found["remedy"]


def test_a_project_by_its_number_is_the_same(cloud: m.Cloud) -> None:
    """Google's answers have the id: with the number nothing would be as it was asked for."""
    name = m.new_name("num")
    with cloud.api() as api:
        account = api.get(api.root, "read the project")["defaultServiceAccount"]
    number = account.partition("-")[0]
    options = m.machine(name, project=number, network="default")
    cloud.ok("gce_instance", **options)
    again = cloud.ok("gce_instance", **options)
    assert again["changed"] is False
    assert cloud.ok("gce_instance", **m.machine(name, network="default"))["changed"] is False
