# SPDX-License-Identifier: Apache-2.0
"""Organization policies that refuse what this collection makes, and the setting that helps. Pure.

Names as in cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints.
"""

from __future__ import annotations

# What a policy's administrator can do, where no setting is as good.
_ASK = (
    "ask the administrator of the organization's policies for an exception for this project "
    "(`gcloud org-policies describe {name} --project=PROJECT --effective` shows the policy)."
)
# Constraint to the settings of the role gce_instance (and of the module) that comply with it.
_SETTINGS = {
    "compute.vmExternalIpAccess": (
        "go without an external address: gce_instance_external_ip: false, gce_instance_iap: true "
        "for SSH, and a Cloud NAT in the network for downloads (module: external_ip: false). Or "
    ),
    "compute.requireShieldedVm": (
        "switch Secure Boot on: gce_instance_shielded: {secure_boot: true, vtpm: true, "
        "integrity_monitoring: true}, with an image whose NVIDIA driver is signed (module: "
        "shielded). Or "
    ),
    "compute.requireOsLogin": (
        "use OS Login: gce_instance_ssh_access: oslogin (module: metadata enable-oslogin: TRUE). "
        "Or "
    ),
    "compute.trustedImageProjects": (
        "take an image of a project that the policy trusts (gce_instance_image_project), or have "
        "the image's project added to it. Or "
    ),
    "compute.storageResourceUseRestrictions": (
        "take an image and disks of a project that the policy allows "
        "(gce_instance_image_project), or have the image's project added to it. Or "
    ),
    "compute.disableSerialPortAccess": (
        "leave serial-port-enable out of the metadata (gce_instance_metadata). Or "
    ),
    "compute.disableGuestAttributesAccess": (
        "SSH host keys come through guest attributes, and Google offers no other way to check "
        "them before the first login. Without it this host can't be configured, so "
    ),
    "gcp.resourceLocations": (
        "take a zone in a location that the policy allows (gce_zone, gce_instance_placements). Or "
    ),
    "gcp.restrictNonCmekServices": (
        "the policy asks for customer-managed keys, which no setting here gives: make the boot "
        "disk yourself with such a key, or "
    ),
    "compute.restrictSharedVpcSubnetworks": (
        "take a subnetwork that the policy allows (gce_instance_subnetwork). Or "
    ),
    "compute.restrictSharedVpcHostProjects": (
        "take the network of a host project that the policy allows (gce_network_project). Or "
    ),
    "compute.vmCanIpForward": "make the instance without IP forwarding. Or ",
}
_NOT_SHIELDED = (
    "take an image that supports Shielded VM (gce_instance_image_family): "
    "`gcloud compute images describe IMAGE` has UEFI_COMPATIBLE among its guestOsFeatures. Or "
)


def remedy(constraint: str, text: str) -> str:
    """What to do about a constraint (`constraints/compute.X`, `customConstraints/custom.X`).

    Args:
        text: Google's message, which may tell two violations of one constraint apart.
    """
    name = constraint.partition("/")[2]
    how = _SETTINGS.get(name, "change what the message names. Or ")
    if name == "compute.requireShieldedVm" and "non-shielded" in text.lower():
        how = _NOT_SHIELDED
    how = f"{how[0].upper()}{how[1:]}{_ASK.format(name=name)}"
    return f"the organization's policy {name} refuses this. {how}"
