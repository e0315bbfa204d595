# SPDX-License-Identifier: Apache-2.0
"""One status of Google's has several meanings: each body from public reports, and its remedy."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import error_kinds

PROJECT = "demo-project"
EXTERNAL = (
    "Constraint constraints/compute.vmExternalIpAccess violated for project 123456789. Add "
    "instance projects/demo-project/zones/us-central1-a/instances/one to the constraint to use "
    "external IP with it."
)
SECURE_BOOT = (
    "Constraint constraints/compute.requireShieldedVm violated for project "
    "projects/demo-project. Secure Boot is not enabled in the 'shielded_instance_config' field."
)
NOT_SHIELDED = (
    "Constraint constraints/compute.requireShieldedVm violated for project projects/myproject. The "
    "boot disk's 'initialize_params.source_image' field specifies a non-Shielded image: "
    "projects/one/global/images/two."
)
LOCATION = "Permission denied on 'locations/us-east1-a' (or it may not exist)."


def violated(name: str) -> str:
    return f"Constraint constraints/{name} violated for project projects/demo-project."


# Status, reason, text, our reason, what the remedy holds.
CASES: list[tuple[int, str, str, str, list[str]]] = [
    # Organization policies.
    (412, "conditionNotMet", EXTERNAL, "orgPolicy", ["external_ip: false", "gce_instance_iap"]),
    (412, "conditionNotMet", SECURE_BOOT, "orgPolicy", ["gce_instance_shielded", "secure_boot"]),
    (412, "conditionNotMet", NOT_SHIELDED, "orgPolicy", ["UEFI_COMPATIBLE"]),
    (412, "conditionNotMet", violated("compute.requireOsLogin"), "orgPolicy", ["oslogin"]),
    (
        412,
        "conditionNotMet",
        violated("compute.disableGuestAttributesAccess"),
        "orgPolicy",
        ["SSH host keys", "exception"],
    ),
    (
        412,
        "conditionNotMet",
        violated("compute.trustedImageProjects")
        + " Use of images from project deeplearning-platform-release is prohibited.",
        "orgPolicy",
        ["gce_instance_image_project"],
    ),
    (
        412,
        "conditionNotMet",
        violated("compute.disableSerialPortAccess"),
        "orgPolicy",
        ["serial-port-enable"],
    ),
    (
        412,
        "conditionNotMet",
        violated("compute.storageResourceUseRestrictions"),
        "orgPolicy",
        ["gce_instance_image_project"],
    ),
    (
        412,
        "conditionNotMet",
        "Location ZONE:us-east1-b violates constraint constraints/gcp.resourceLocations on the "
        "resource projects/demo-project/zones/us-east1-b/instances/one.",
        "orgPolicy",
        ["gce_zone"],
    ),
    (
        412,
        "conditionNotMet",
        "Operation denied by custom org policies: [customConstraints/custom.onlyN2: Only N2].",
        "orgPolicy",
        ["custom.onlyN2", "exception"],
    ),
    (0, "CONDITION_NOT_MET", EXTERNAL, "orgPolicy", ["external_ip: false"]),
    # The schedule's agent.
    (
        412,
        "conditionNotMet",
        "Compute Engine System service account "
        "service-123456789@compute-system.iam.gserviceaccount.com needs to have "
        "[compute.instances.start,compute.instances.stop] permissions applied in order to perform "
        "this operation.",
        "agentPermission",
        [
            "serviceAccount:service-123456789@compute-system.iam.gserviceaccount.com",
            "add-iam-policy-binding demo-project",
        ],
    ),
    # Fingerprints, and what nobody has seen yet.
    (
        412,
        "conditionNotMet",
        "Supplied fingerprint does not match current metadata fingerprint.",
        "changedMeanwhile",
        ["run again"],
    ),
    (
        412,
        "conditionNotMet",
        "Labels fingerprint either invalid or resource labels have changed",
        "changedMeanwhile",
        ["run again"],
    ),
    (412, "conditionNotMet", "Something else.", "conditionNotMet", ["does not help"]),
    # Locations.
    (403, "forbidden", LOCATION, "locationDenied", ["us-east1-a"]),
    # Rights, here and elsewhere.
    (
        403,
        "forbidden",
        "Required 'compute.instances.create' permission for "
        "'projects/demo-project/zones/us-central1-a/instances/one'",
        "forbidden",
        ["roles/compute.instanceAdmin.v1", "the project demo-project"],
    ),
    (
        403,
        "forbidden",
        "Required 'compute.firewalls.create' permission for "
        "'projects/demo-project/global/firewalls/one'",
        "forbidden",
        ["roles/compute.securityAdmin"],
    ),
    (
        403,
        "forbidden",
        "Required 'compute.networks.get' permission for "
        "'projects/host-project/global/networks/default'",
        "forbidden",
        ["roles/compute.networkViewer", "the project host-project", "its owner"],
    ),
    (
        403,
        "forbidden",
        "Required 'compute.subnetworks.use' permission for "
        "'projects/host-project/regions/us-central1/subnetworks/shared'",
        "forbidden",
        ["roles/compute.networkUser", "subnetwork shared", "host-project"],
    ),
    (
        403,
        "forbidden",
        "Required 'compute.images.useReadOnly' permission for "
        "'projects/example.com:images/global/images/one'",
        "forbidden",
        ["roles/compute.imageUser", "example.com:images"],
    ),
    # Service accounts.
    (
        400,
        "SERVICE_ACCOUNT_ACCESS_DENIED",
        "The user does not have access to service account "
        "'runner@other-project.iam.gserviceaccount.com'.  User: 'me@example.com'.  Ask a project "
        "owner to grant you the iam.serviceAccountUser role on the service account",
        "serviceAccountAccess",
        ["runner@other-project.iam.gserviceaccount.com", "in the project other-project"],
    ),
    (
        403,
        "SERVICE_ACCOUNT_ACCESS_DENIED",
        "denied",
        "serviceAccountAccess",
        ["roles/iam.serviceAccountUser"],
    ),
    # What is no right at all.
    (
        403,
        "forbidden",
        "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: a1-B2",
        "serviceControls",
        ["perimeter", "a1-B2"],
    ),
    (
        403,
        "insufficientPermissions",
        "Request had insufficient authentication scopes.",
        "tokenScope",
        ["cloud-platform"],
    ),
    (
        403,
        "forbidden",
        "Caller does not have required permission to use project other-project. Grant the caller "
        "the roles/serviceusage.serviceUsageConsumer role.",
        "quotaProject",
        ["set-quota-project", "other-project"],
    ),
]


@pytest.mark.parametrize(("status", "reason", "text", "ours", "holds"), CASES)
def test_meaning(status: int, reason: str, text: str, ours: str, holds: list[str]) -> None:
    found = error_kinds.meaning(error_kinds.Answer(status, reason, (text,)), PROJECT)
    assert found.reason == ours
    for part in holds:
        assert part in found.remedy
    if ours != "changedMeanwhile":
        assert "same moment" not in found.remedy


def test_each_message_of_an_answer_has_its_remedy() -> None:
    content: dict[str, Any] = {
        "message": NOT_SHIELDED,
        "errors": [
            {"message": NOT_SHIELDED, "reason": "conditionNotMet"},
            {"message": EXTERNAL, "reason": "conditionNotMet"},
        ],
    }
    answer = error_kinds.of_http(412, content, "conditionNotMet")
    found = error_kinds.meaning(answer, PROJECT)
    assert answer.texts == (NOT_SHIELDED, EXTERNAL)
    assert "UEFI_COMPATIBLE" in found.remedy
    assert "gce_instance_external_ip: false" in found.remedy
    assert found.details["constraints"] == [
        "constraints/compute.requireShieldedVm",
        "constraints/compute.vmExternalIpAccess",
    ]


def test_a_header_tells_a_fingerprint_whatever_the_text() -> None:
    entry = {"message": "No.", "reason": "conditionNotMet", "location": "If-Match"}
    answer = error_kinds.of_http(412, {"message": "No.", "errors": [entry]}, "conditionNotMet")
    assert error_kinds.meaning(answer, PROJECT).reason == "changedMeanwhile"


def test_details_tell_a_closed_location() -> None:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "LOCATION_POLICY_VIOLATED",
        "metadatas": {"location": "me-central2", "consumer": "projects/demo-project"},
    }
    text = "Permission denied on 'locations/me-central2' (or it may not exist)."
    answer = error_kinds.of_http(403, {"message": text, "details": [info]}, "forbidden")
    found = error_kinds.meaning(answer, PROJECT)
    assert found.details == {"location": "me-central2", "closed": True}


def test_an_operation_with_two_errors() -> None:
    errors = [{"code": "CONDITION_NOT_MET", "message": text} for text in (SECURE_BOOT, EXTERNAL)]
    found = error_kinds.meaning(error_kinds.of_operation(412, errors), PROJECT)
    assert found.reason == "orgPolicy"
    assert "secure_boot" in found.remedy
    assert "external_ip: false" in found.remedy
