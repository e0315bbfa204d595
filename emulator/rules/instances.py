# SPDX-License-Identifier: Apache-2.0
"""What an instance may look like: GPUs against machine type, scheduling, and their defaults."""

from __future__ import annotations

from emulator.errors import ApiError, Json, invalid, required
from emulator.rules import local_ssds
from emulator.world import catalog
from emulator.world import catalog_data as data
from emulator.world.references import link, parse

_SPOT_ACTIONS = {"STOP", "DELETE"}
# Flex-start: ten minutes to seven days. Else: 30 seconds to 120 days.
_FLEX_SECONDS, _LIMITED_SECONDS = (600, 604_800), (30, 10_368_000)


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
    return data.canonical(ref.name)


def accelerators(wanted: list[Json], name: str, project: str, zone: str) -> list[Json]:
    """The instance's accelerators, bundled ones included.

    Raises:
        ApiError: 400 where they do not fit the machine type or the zone has none.
    """
    field = "resource.guestAccelerators"
    scope = f"zones/{zone}"
    machine = data.machine(name)
    assert machine is not None  # noqa: S101 (`machine_type` saw to that)
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
    if counts is None or not name.startswith(("n1-", "custom-")):
        raise invalid(field, kind, f"It can't be attached to the machine type {name}.")
    if count not in counts:
        allowed = ", ".join(map(str, counts))
        raise invalid(
            field, f"{count} x {kind}", f"The number of accelerators is one of {allowed}."
        )
    machine = data.machine(name)
    if machine is not None and machine.cpus > counts[count]:
        raise invalid(
            field,
            f"{count} x {kind}",
            f"With {count} at most {counts[count]} vCPUs; {name} has more.",
        )


def _run_duration(given: Json, flex: bool) -> int | None:
    """`maxRunDuration` in seconds; None where there is none."""
    field = "resource.scheduling.maxRunDuration"
    if "maxRunDuration" not in given:
        if flex:
            raise required(field)
        return None
    seconds = int(given["maxRunDuration"].get("seconds", 0))
    low, high = _FLEX_SECONDS if flex else _LIMITED_SECONDS
    if not low <= seconds <= high:
        raise invalid(f"{field}.seconds", seconds, f"It must be from {low} to {high}.")
    return seconds


def reservation_affinity(given: Json | None, model: str) -> Json:
    """Which reservations an instance may use, with the default filled in.

    Raises:
        ApiError: 400 for what does not go together.
    """
    field = "resource.reservationAffinity"
    flex = model == "FLEX_START"
    default = "NO_RESERVATION" if flex else "ANY_RESERVATION"
    result = {"consumeReservationType": default} | (given or {})
    kind = result["consumeReservationType"]
    if kind == "SPECIFIC_RESERVATION":
        if not str(result.get("key", "")).endswith("googleapis.com/reservation-name"):
            raise invalid(f"{field}.key", result.get("key", ""), "It must name a reservation.")
        if not result.get("values"):
            raise required(f"{field}.values")
    elif result.get("values"):
        raise invalid(f"{field}.values", result["values"], "Only for SPECIFIC_RESERVATION.")
    if flex and kind != "NO_RESERVATION":
        raise invalid(f"{field}.consumeReservationType", kind, "With FLEX_START it must be none.")
    if model == "RESERVATION_BOUND" and kind != "SPECIFIC_RESERVATION":
        raise invalid(f"{field}.consumeReservationType", kind, f"With {model} it must be specific.")
    if model == "SPOT" and kind == "SPECIFIC_RESERVATION":
        raise invalid(f"{field}.consumeReservationType", kind, "A Spot instance uses none.")
    return result


def scheduling(given: Json, name: str, gpus: list[Json], *, local_ssd: bool = False) -> Json:
    """Scheduling with defaults filled in.

    Args:
        local_ssd: whether the instance has any.

    Raises:
        ApiError: 400 for what does not go together.
    """
    field = "resource.scheduling"
    result = dict(given)
    model = result.get("provisioningModel") or ("SPOT" if result.get("preemptible") else "STANDARD")
    spot, flex = model == "SPOT", model == "FLEX_START"
    seconds = _run_duration(result, flex)
    limited = spot or flex or seconds is not None or model == "RESERVATION_BOUND"
    machine = data.machine(name)
    if machine is not None and model not in machine.sold_as:
        known = " or ".join(machine.sold_as)
        raise invalid(f"{field}.provisioningModel", model, f"{name} only comes as {known}.")
    result["provisioningModel"] = model
    result["preemptible"] = spot
    result.setdefault("automaticRestart", not (spot or flex))
    result.setdefault("onHostMaintenance", "TERMINATE" if limited else "MIGRATE")
    if (spot or flex) and result["automaticRestart"]:
        raise invalid(f"{field}.automaticRestart", "true", f"With {model} it must be false.")
    if flex and "instanceTerminationAction" not in result:
        raise required(f"{field}.instanceTerminationAction")
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
    local_ssds.need_stop_action(result, local_ssd)
    return result
