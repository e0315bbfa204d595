# SPDX-License-Identifier: Apache-2.0
"""Refuses an impossible desired state, before any request to Google. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...diff import Flat, under
from ...errors import GceError
from ...hardware import machine_types, provisioning
from ..disk import fields as further_disks
from ..naming import NAME

_LABEL_KEY = re.compile(r"[^\W\dA-Z_][\w-]{0,62}")
_METADATA_KEY = re.compile(r"[\w-]{1,128}", re.ASCII)
# Seconds. Flex-start: ten minutes to seven days; else 30 seconds to 120 days.
_FLEX_SECONDS, _LIMITED_SECONDS = (600, 604_800), (30, 10_368_000)
# Disk types whose performance is bought by itself.
_WITH_IOPS = ("hyperdisk-balanced", "hyperdisk-extreme", "pd-extreme")
_WITH_THROUGHPUT = ("hyperdisk-balanced", "hyperdisk-throughput", "hyperdisk-ml")

Problem = tuple[str, str]  # what is wrong, what to do
NONE: Problem = ("", "")


def refuse_bad(name: str, fields: Flat) -> None:
    """Check flat fields, whole or only what a task names of them.

    Raises:
        GceError: the first problem.
    """
    for check in _CHECKS:
        what, remedy = check(name, fields)
        if what:
            raise GceError(
                f"The instance {name} can't be made so: {what}. Nothing was done.",
                reason="badCombination",
                remedy=remedy,
            )


def refuse_unsold(name: str, fields: Flat) -> None:
    """Check all fields of an instance that is to be made: whether Google sells its machine so.

    Raises:
        GceError: it doesn't.
    """
    machine = str(fields["machine_type"])
    model = str(fields["scheduling.provisioning_model"])
    problem = provisioning.not_sold(machine, model)
    if problem:
        models = provisioning.sold_as(machine)
        raise GceError(
            f"The instance {name} can't be made so: {problem}. Nothing was done.",
            reason="notSold",
            remedy=f"set provisioning_model to {' or '.join(models)}, or take another machine "
            "type.",
            details={"allowed": list(models)},
        )


def _names(name: str, fields: Flat) -> Problem:
    rule = "lower case letters, digits and '-', a letter first, no '-' last, at most 63"
    for what, text in [
        ("its name", name),
        *((f"the name of the disk '{disk}'", disk) for disk in further_disks.names(fields)),
        *((f"the tag '{tag}'", tag) for tag in under(fields, "tags")),
        *((f"the resource policy '{one}'", one) for one in fields.get("resource_policies") or []),
    ]:
        if not NAME.fullmatch(text):
            return f"{what} is not one that Google takes", f"use {rule}."
    return NONE


def _keys(_name: str, fields: Flat) -> Problem:
    for key, value in under(fields, "labels").items():
        if value is None:
            continue
        if not _LABEL_KEY.fullmatch(key) or key != key.lower():
            return (
                f"the label '{key}' is not one that Google takes",
                "use lower case letters, digits, '_' and '-', a letter first, at most 63.",
            )
        if not re.fullmatch(r"[\w-]{0,63}", value) or value != value.lower():
            return (
                f"the value '{value}' of the label {key} is not one that Google takes",
                "use lower case letters, digits, '_' and '-', at most 63.",
            )
    for key in under(fields, "metadata"):
        if not _METADATA_KEY.fullmatch(key):
            return (
                f"the metadata key '{key}' is not one that Google takes",
                "use letters, digits, '_' and '-', at most 128.",
            )
    return NONE


def _model(_name: str, fields: Flat) -> Problem:
    group = under(fields, "scheduling")
    model = group.get("provisioning_model")
    if model in ("SPOT", "FLEX_START") and group.get("automatic_restart"):
        return (
            f"with provisioning_model {model} automatic_restart can't be true",
            "set automatic_restart to false or leave it out.",
        )
    if model == "FLEX_START" and not group.get("max_run_duration"):
        return (
            "provisioning_model FLEX_START needs max_run_duration",
            f"set it to {_FLEX_SECONDS[0]} to {_FLEX_SECONDS[1]} seconds.",
        )
    seconds = group.get("max_run_duration")
    low, high = _FLEX_SECONDS if model == "FLEX_START" else _LIMITED_SECONDS
    if seconds is not None and not low <= seconds <= high:
        kind = "with FLEX_START " if model == "FLEX_START" else ""
        return (
            f"{kind}max_run_duration can't be {seconds} seconds",
            f"set it to {low} to {high}{'' if kind else ', or to 0 for no limit'}.",
        )
    if model == "STANDARD" and group.get("instance_termination_action") and not seconds:
        return (
            "instance_termination_action says what becomes of an instance that is Spot or has a "
            "max_run_duration, and this one is STANDARD and has none",
            "leave it out, set max_run_duration, or set provisioning_model to SPOT or FLEX_START.",
        )
    return NONE


def _maintenance(_name: str, fields: Flat) -> Problem:
    if fields.get("scheduling.on_host_maintenance") != "MIGRATE":
        return NONE
    machine = str(fields.get("machine_type", ""))
    model = fields.get("scheduling.provisioning_model")
    if fields.get("accelerators") or machine_types.bundles_gpus(machine):
        reason = "instances with GPUs can't migrate"
    elif model in ("SPOT", "FLEX_START", "RESERVATION_BOUND"):
        reason = f"instances of provisioning_model {model} can't migrate"
    else:
        return NONE
    return (
        f"on_host_maintenance is MIGRATE, and {reason}",
        "set on_host_maintenance to TERMINATE or leave it out.",
    )


def _reservations(_name: str, fields: Flat) -> Problem:
    asked = fields.get("reservation_affinity")
    model = fields.get("scheduling.provisioning_model")
    if not asked and model == "RESERVATION_BOUND" and "shielded.vtpm" in fields:
        # All fields are here, so that none is to come.
        return (
            "provisioning_model RESERVATION_BOUND needs reservation_affinity",
            "set its type to specific, and name the reservation in reservations.",
        )
    if not asked:
        return NONE
    if asked["type"] == "specific" and not asked["reservations"]:
        return "reservation_affinity is specific, and names no reservation", "name one, or any."
    if asked["type"] != "specific" and asked["reservations"]:
        return (
            f"reservation_affinity is {asked['type']}, and names reservations",
            "set its type to specific, or leave reservations out.",
        )
    if model == "RESERVATION_BOUND" and asked["type"] != "specific":
        return (
            f"with provisioning_model RESERVATION_BOUND reservation_affinity can't be "
            f"{asked['type']}",
            "set its type to specific, and name the reservation in reservations.",
        )
    if model == "FLEX_START" and asked["type"] != "none":
        return (
            f"with provisioning_model FLEX_START reservation_affinity can't be {asked['type']}",
            "set its type to none or leave it out.",
        )
    if model == "SPOT" and asked["type"] == "specific":
        return (
            "with provisioning_model SPOT reservation_affinity can't be specific",
            "set its type to any or none, or leave it out.",
        )
    return NONE


def _disks(name: str, fields: Flat) -> Problem:
    devices: dict[str, str] = {}
    for disk in further_disks.names(fields):
        if disk == name:
            return (
                f"the disk {disk} in disks has the name of the boot disk",
                "give it another name; what concerns the boot disk goes into boot_disk.",
            )
        if fields.get(f"disks.{disk}.attached", True) is None:
            continue
        device = str(fields.get(f"disks.{disk}.device_name") or disk)
        if device in devices:
            return (
                f"the disks {devices[device]} and {disk} have the same device name {device}",
                "give each its own device_name.",
            )
        devices[device] = disk
    for start in ("boot_disk", *(f"disks.{disk}" for disk in further_disks.names(fields))):
        problem = _one_disk(start, fields)
        if problem[0]:
            return problem
    return NONE


def _one_disk(start: str, fields: Flat) -> Problem:
    one = under(fields, start)
    for option in ("size_gb", *further_disks.PERFORMANCE):
        if one.get(option) is not None and one[option] < 1:
            return f"{start}.{option} is {one[option]}", "set it to a number above 0."
    kind, machine = one.get("type"), str(fields.get("machine_type") or "")
    if not kind:
        return NONE
    fits = "hyperdisk-balanced" if start == "boot_disk" else "hyperdisk-"
    if machine_types.hyperdisk_only(machine) and not str(kind).startswith(fits):
        return (
            f"{start}.type is {kind}, and {machine} takes no Persistent Disks",
            "set it to hyperdisk-balanced.",
        )
    for option, able in (
        ("provisioned_iops", _WITH_IOPS),
        ("provisioned_throughput", _WITH_THROUGHPUT),
    ):
        if one.get(option) and kind not in able:
            return (
                f"{start}.{option} is set, and disks of type {kind} have none to set",
                f"leave it out, or set the type to one of {', '.join(able)}.",
            )
    return NONE


_CHECKS: tuple[Callable[[str, Mapping[str, Any]], Problem], ...] = (
    _names,
    _keys,
    _model,
    _maintenance,
    _reservations,
    _disks,
)
