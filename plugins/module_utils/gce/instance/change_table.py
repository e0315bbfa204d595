# SPDX-License-Identifier: Apache-2.0
"""Every field of an instance, and what it takes to change it. Pure.

The one table that the plan, the documentation's test and the test of every transition go by.
"""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from ...diff import How
from ...errors import GceError
from ...hardware import local_ssds, machine_types

# `fixed`: can't be changed once it is there, not even by a recreate, which keeps further disks.
Way = Literal["live", "stop", "recreate", "fixed"]

# `*` stands for a name that the caller chooses.
FIELDS: dict[str, Way] = {
    "machine_type": "stop",
    "accelerators": "stop",
    "boot_disk.image": "recreate",
    "boot_disk.image_family": "recreate",
    "boot_disk.type": "recreate",
    "boot_disk.size_gb": "live",
    "boot_disk.provisioned_iops": "live",
    "boot_disk.provisioned_throughput": "live",
    "boot_disk.auto_delete": "live",
    "disks.*.attached": "live",
    "disks.*.size_gb": "live",
    "disks.*.type": "fixed",
    "disks.*.image": "fixed",
    "disks.*.device_name": "stop",
    "disks.*.mode": "stop",
    "disks.*.auto_delete": "live",
    "disks.*.provisioned_iops": "live",
    "disks.*.provisioned_throughput": "live",
    "network": "recreate",
    "subnetwork": "recreate",
    "external_ip": "live",
    "address": "live",
    "tags.*": "live",
    "labels.*": "live",
    "metadata.*": "live",
    "service_account.email": "stop",
    "service_account.scopes": "stop",
    "shielded.secure_boot": "stop",
    "shielded.vtpm": "stop",
    "shielded.integrity_monitoring": "stop",
    "scheduling.provisioning_model": "recreate",
    "scheduling.max_run_duration": "stop",
    "scheduling.instance_termination_action": "stop",
    "scheduling.on_host_maintenance": "stop",
    "scheduling.automatic_restart": "stop",
    "discard_local_ssd": "stop",
    "reservation_affinity": "recreate",
    "resource_policies": "live",
    "deletion_protection": "live",
}
_NAMED = re.compile(r"^(disks|tags|labels|metadata)\.")


def row(field: str) -> str:
    """The table's name of a field: `disks.*.size_gb` of `disks.weights.size_gb`."""
    if not _NAMED.match(field):
        return field
    group, rest = field.split(".", 1)
    return f"disks.*.{rest.rsplit('.', 1)[-1]}" if group == "disks" else f"{group}.*"


def way(field: str, before: Any, after: Any) -> Way:
    """What it takes to change a field of an instance that exists, from one value to another."""
    usual = FIELDS[row(field)]
    if field == "machine_type" and _other_kind(str(before), str(after)):
        return "recreate"
    if field.startswith("disks."):
        # What is not there yet is made or attached while the instance runs.
        if before is None:
            return "live"
        return "fixed" if field.endswith(".size_gb") and after < before else usual
    if field == "reservation_affinity" and (_kind(before), _kind(after)) == ("any", "none"):
        return "stop"  # the only such change that Google offers
    return usual


def how(field: str, before: Any, after: Any) -> How:
    """As `way`, for a change that can be made.

    Raises:
        GceError: it can't.
    """
    found = way(field, before, after)
    if found == "fixed":
        raise _fixed(field, before, after)
    # `fixed` is no value of How.
    assert found in get_args(How)  # noqa: S101
    return found


def _kind(affinity: Any) -> str:
    return str(affinity["type"]) if affinity else "any"


# Series between which the type of a stopped instance can change (Google's page on changing the
# machine type: "only supported for first and second generation", without T2A and A2).
_EXCHANGED = frozenset(
    {"n1", "custom", "f1", "g1", "e2", "n2", "n2d", "c2", "c2d", "t2d", "m1", "m2"}
)


def _other_kind(before: str, after: str) -> bool:
    """What Google does not let a stopped instance become: another series that is not one of the
    old ones, or anything else where local SSDs come along, which are only attached at creation.
    """
    if local_ssds.bundled(before) or local_ssds.bundled(after):
        return True
    both = {machine_types.series(before), machine_types.series(after)}
    return len(both) > 1 and not both <= _EXCHANGED


def _fixed(field: str, before: Any, after: Any) -> GceError:
    name, option = field.removeprefix("disks.").rsplit(".", 1)
    deed = "shrink" if option == "size_gb" else f"change its {option}"
    return GceError(
        f"The disk {name} can't {deed}: {option} is {before} and should be {after}. Nothing was "
        "changed.",
        reason="fixedDisk",
        remedy=f"set {option} of {name} in disks to {before} or leave it out; to have another "
        "disk, give it another name and copy the data over.",
        details={"blocked": [field]},
    )
