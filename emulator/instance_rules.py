# SPDX-License-Identifier: Apache-2.0
"""What an instance may look like: GPUs against machine type, scheduling, and their defaults."""

from __future__ import annotations

from emulator import catalog
from emulator import catalog_data as data
from emulator.errors import ApiError, Json, invalid, required
from emulator.references import link, parse

_SPOT_ACTIONS = {"STOP", "DELETE"}


def machine_type(text: str, project: str, zone: str, field: str) -> str:
    """The name of the machine type that a request names; 400 when the zone has none."""
    scope = f"zones/{zone}"
    ref = parse(text, field=field, project=project, scope=scope, collection="machineTypes")
    if ref.scope != scope:
        raise invalid(field, text, f"The machine type must be in the zone {zone}.")
    if not catalog.has_machine_type(zone, ref.name):
        raise invalid(
            field, text, f"Machine type with name '{ref.name}' does not exist in zone '{zone}'."
        )
    return ref.name


def accelerators(wanted: list[Json], name: str, project: str, zone: str) -> list[Json]:
    """The instance's accelerators, bundled ones included.

    Raises:
        ApiError: 400 where they do not fit the machine type or the zone has none.
    """
    field = "resource.guestAccelerators"
    scope = f"zones/{zone}"
    machine = data.MACHINES[name]
    asked: list[tuple[str, int]] = []
    for position, item in enumerate(wanted):
        here = f"{field}[{position}]"
        if "acceleratorType" not in item:
            raise required(f"{here}.acceleratorType")
        text, count = item["acceleratorType"], item.get("acceleratorCount", 0)
        ref = parse(text, field=here, project=project, scope=scope, collection="acceleratorTypes")
        if ref.scope != scope or ref.name not in data.ZONES[zone]:
            known = ", ".join(data.ZONES[zone])
            raise invalid(
                f"{here}.acceleratorType",
                text,
                f"The zone {zone} has no such type; it has {known}.",
            )
        if count:
            asked.append((ref.name, count))
    if machine.gpus:
        if asked and asked != [machine.gpus]:
            kind, count = machine.gpus
            raise invalid(
                field, asked, f"{name} comes with {count} x {kind}; leave it out or agree."
            )
        asked = [machine.gpus]
    else:
        for kind, count in asked:
            _fits_n1(field, name, kind, count)
    if len(asked) > 1:
        raise invalid(field, asked, "An instance takes one type of accelerator.")
    base = f"projects/{project}/{scope}/acceleratorTypes"
    return [
        {"acceleratorType": link(f"{base}/{kind}"), "acceleratorCount": count}
        for kind, count in asked
    ]


def _fits_n1(field: str, name: str, kind: str, count: int) -> None:
    counts = data.N1_ACCELERATORS.get(kind)
    if counts is None or not name.startswith("n1-"):
        raise invalid(field, kind, f"It can't be attached to the machine type {name}.")
    if count not in counts:
        allowed = ", ".join(map(str, counts))
        raise invalid(
            field, f"{count} x {kind}", f"The number of accelerators is one of {allowed}."
        )
    if data.MACHINES[name].cpus > counts[count]:
        raise invalid(
            field,
            f"{count} x {kind}",
            f"With {count} at most {counts[count]} vCPUs; {name} has more.",
        )


def scheduling(given: Json, name: str, gpus: list[Json]) -> Json:
    """Scheduling with defaults filled in.

    Raises:
        ApiError: 400 for what does not go together.
    """
    field = "resource.scheduling"
    result = dict(given)
    model = result.get("provisioningModel") or ("SPOT" if result.get("preemptible") else "STANDARD")
    spot = model == "SPOT"
    limited = spot or model == "FLEX_START" or "maxRunDuration" in result
    if data.MACHINES[name].spot_only and model not in {"SPOT", "FLEX_START"}:
        raise invalid(
            f"{field}.provisioningModel", model, f"{name} only comes as SPOT or FLEX_START."
        )
    result["provisioningModel"] = model
    result["preemptible"] = spot
    result.setdefault("automaticRestart", not (spot or model == "FLEX_START"))
    result.setdefault("onHostMaintenance", "TERMINATE" if limited else "MIGRATE")
    if spot and result["automaticRestart"]:
        raise invalid(
            f"{field}.automaticRestart", "true", "A Spot instance can't restart by itself."
        )
    if limited and model != "STANDARD" and result["onHostMaintenance"] != "TERMINATE":
        raise invalid(
            f"{field}.onHostMaintenance",
            result["onHostMaintenance"],
            f"With {model} it must be TERMINATE.",
        )
    if gpus and result["onHostMaintenance"] != "TERMINATE":
        raise ApiError(
            400,
            "invalid",
            "Instances with guest accelerators do not support live migration. Set "
            "scheduling.onHostMaintenance to TERMINATE.",
            code="UNSUPPORTED_OPERATION",
        )
    action = result.get("instanceTerminationAction")
    if action in _SPOT_ACTIONS and not limited:
        raise invalid(
            f"{field}.instanceTerminationAction",
            action,
            "Only for Spot, Flex-start, or with maxRunDuration.",
        )
    if limited:
        result.setdefault("instanceTerminationAction", "STOP")
    return result
