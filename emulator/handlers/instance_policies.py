# SPDX-License-Identifier: Apache-2.0
"""Resource policies (instance schedules) of an instance, and its reservation affinity."""

from __future__ import annotations

from emulator.errors import Json, invalid, must_be_stopped, required
from emulator.handlers.instance_settings import apply_change
from emulator.request.call import Call, handles
from emulator.rules import instances, resource_policies

# What instances.update is asked to change is what differs from this of the instance.
_COMPARED = ("machineType", "scheduling", "deletionProtection", "canIpForward")


def _named(call: Call) -> list[str]:
    names = call.body.get("resourcePolicies")
    if not names:
        raise required(resource_policies.FIELD)
    return resource_policies.links(call.world, call.project, call.zone, names)


@handles("instances.addResourcePolicies")
def add_resource_policies(call: Call) -> Json:
    """Attaches policies."""
    call.check_scope()
    links = _named(call)

    def change(instance: Json) -> None:
        both = [*instance.get("resourcePolicies", []), *links]
        both = list(dict.fromkeys(both))
        resource_policies.refuse_second(both)
        instance["resourcePolicies"] = both

    return apply_change(call, "addResourcePolicies", change)


@handles("instances.removeResourcePolicies")
def remove_resource_policies(call: Call) -> Json:
    """Detaches policies."""
    call.check_scope()
    links = _named(call)

    def change(instance: Json) -> None:
        there = instance.pop("resourcePolicies", [])
        for link in links:
            if link not in there:
                raise invalid(resource_policies.FIELD, link, "It is not attached.")
        left = [one for one in there if one not in links]
        if left:
            instance["resourcePolicies"] = left

    return apply_change(call, "removeResourcePolicies", change)


@handles("instances.update")
def update(call: Call) -> Json:
    """PUT of the whole instance; of it only the reservation affinity can differ here."""
    body = call.body

    def change(instance: Json) -> None:
        for field in _COMPARED:
            if field in body and body[field] != instance.get(field):
                raise invalid(f"resource.{field}", body[field], "Not changed by update here.")
        if len(body.get("disks", [])) != len(instance["disks"]):
            raise invalid("resource.disks", "", "Disks are not changed by update here.")
        model = instance["scheduling"]["provisioningModel"]
        wanted = instances.reservation_affinity(body.get("reservationAffinity"), model)
        before = instance["reservationAffinity"]
        if wanted == before:
            return
        kinds = (before["consumeReservationType"], wanted["consumeReservationType"])
        if kinds != ("ANY_RESERVATION", "NO_RESERVATION"):
            raise invalid(
                "resource.reservationAffinity",
                kinds[1],
                "An instance that exists can only change from any reservation to none.",
            )
        if instance["status"] != "TERMINATED" and (
            call.params.get("mostDisruptiveAllowedAction") != "RESTART"
        ):
            raise must_be_stopped(instance["name"], "reservation affinity")
        instance["reservationAffinity"] = wanted

    return apply_change(call, "update", change)
