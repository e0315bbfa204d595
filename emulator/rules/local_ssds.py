# SPDX-License-Identifier: Apache-2.0
"""Local SSDs: attached by the machine type or by the request, gone with the machine.

From docs.cloud.google.com/compute/docs/disks/local-ssd and add-local-ssd: they are attached when
the instance is made and never later, can't be detached, and go with it.
"""

from __future__ import annotations

from typing import Any

from emulator.errors import ApiError, Json, invalid
from emulator.world import catalog_data as data

# Series whose instances a request may give local SSDs, and how many at most.
_ON_REQUEST = {"n1": 24, "n2": 24, "g2": 8, "a2": 8, "g4": 32}
_UNSAID = (
    "VM has a Local SSD attached but an undefined value for `discard-local-ssd`. If using gcloud, "
    "please add `--discard-local-ssd=false` or `--discard-local-ssd=true` to your command."
)


def attached(given: list[Json], machine_type: str, first_index: int) -> list[Json]:
    """The instance's local SSDs: those that come with the machine type, or those asked for.

    Args:
        given: entries of the request's `disks` of type SCRATCH.

    Raises:
        ApiError: 400 where the machine type has none, or another number.
    """
    bundled = data.LOCAL_SSDS.get(machine_type, 0)
    field = "resource.disks"
    if given and bundled and len(given) != bundled:
        raise invalid(field, f"{len(given)} local SSDs", f"{machine_type} has {bundled} of them.")
    most = _ON_REQUEST.get(machine_type.split("-", 1)[0], 0)
    if not bundled and len(given) > most:
        raise invalid(field, f"{len(given)} local SSDs", f"{machine_type} takes at most {most}.")
    named = given or [{} for _ in range(bundled)]
    return [_entry(one, number, first_index + number) for number, one in enumerate(named)]


def _entry(given: Json, number: int, index: int) -> Json:
    return {
        "kind": "compute#attachedDisk",
        "type": "SCRATCH",
        "mode": "READ_WRITE",
        "deviceName": given.get("deviceName") or f"local-ssd-{number}",
        "index": index,
        "boot": False,
        "autoDelete": True,
        "interface": given.get("interface", "NVME"),
        "diskSizeGb": str(data.LOCAL_SSD_GB),
    }


def of(instance: Json) -> list[Json]:
    """Those that an instance has."""
    return [one for one in instance.get("disks", []) if one["type"] == "SCRATCH"]


def need_a_word(instance: Json, parameters: dict[str, Any]) -> None:
    """`instances.stop` and `suspend`: discardLocalSsd "is required if the instance has any attached
    Local SSD disks" (discovery document).

    Raises:
        ApiError: 400, in Google's words.
    """
    if of(instance) and "discardLocalSsd" not in parameters:
        raise ApiError(400, "badRequest", _UNSAID)


def refuse_other_machine(instance: Json) -> None:
    """The machine type of an instance with local SSDs can't change
    (docs/instances/changing-machine-type-of-stopped-instance).
    """
    if of(instance):
        raise ApiError(
            400,
            "badRequest",
            f"The machine type of '{instance['name']}' can't be changed: it has local SSDs.",
        )


def need_stop_action(scheduling: Json, has_some: bool) -> None:
    """Where a limit of the run time stops the instance, it is said what becomes of them.

    From gcloud's reference of --discard-local-ssds-at-termination-timestamp: "Required and only
    allowed for VMs that have one or more local SSDs", stop at the end, and have such a limit.

    Raises:
        ApiError: 400 where it is not said, or said of what has none.
    """
    field = "resource.scheduling.onInstanceStopAction.discardLocalSsd"
    said = "discardLocalSsd" in scheduling.get("onInstanceStopAction", {})
    stops = scheduling.get("instanceTerminationAction") == "STOP" and (
        "maxRunDuration" in scheduling or "terminationTime" in scheduling
    )
    if has_some and stops and not said:
        raise invalid(field, "", "Required for instances with local SSDs that stop at a time.")
    if said and not (has_some and stops):
        raise invalid(field, "true", "Only for instances with local SSDs that stop at a time.")
