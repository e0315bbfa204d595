# SPDX-License-Identifier: Apache-2.0
"""Refuses changes that need allow_stop or allow_recreate, and those that are never made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import diff
from ...diff import Change
from ...errors import GceError
from ...hardware import local_ssds
from .. import naming
from ..disk import fields as further_disks
from .fields import boot_disk

Params = Mapping[str, Any]


def unallowed(
    where: str, found: list[Change], params: Params, needs_stop: bool, local_ssd: bool = False
) -> None:
    """Stop and recreate need the caller's permission.

    Args:
        needs_stop: it runs and is to go on running, so that a stop would be felt.
        local_ssd: whether a stop loses what is on local SSDs.
    """
    blocked = [
        change for change in found if change.how == "recreate" and not params["allow_recreate"]
    ]
    option = "allow_recreate"
    if not blocked and needs_stop and not params["allow_stop"]:
        recreates = any(change.how == "recreate" for change in found)
        blocked = [] if recreates else [change for change in found if change.how == "stop"]
        option = "allow_stop"
    if not blocked:
        return
    texts = []
    for change in blocked:
        before, after = diff.shown(change.field, change.before, change.after)
        texts.append(f"{change.field} is {_said(before)} and should be {_said(after)}")
    verb = "deleting and recreating it" if option == "allow_recreate" else "stopping it"
    lost = ["its boot disk"] if option == "allow_recreate" else []
    lost += ["its local SSDs"] if local_ssd else []
    cost = f", which loses what is on {' and '.join(lost)}" if lost else ""
    raise GceError(
        f"The {where} differs in what can't change without {verb}: "
        f"{'; '.join(texts)}. Nothing was changed.",
        reason="notAllowed",
        remedy=f"set {option}: true to let this happen{cost}, or set the named fields back.",
        details={
            "changes": [change.as_dict() for change in found],
            "blocked": [change.field for change in blocked],
        },
    )


def protected(where: str, resource: Mapping[str, Any], params: Params, deed: str) -> None:
    """Deletion protection holds unless the caller names it as off."""
    if resource.get("deletionProtection") and params["deletion_protection"] is not False:
        raise GceError(
            f"The {where} has deletion protection, so it was not {deed}.",
            reason="deletionProtection",
            remedy="name deletion_protection: false in the same task if it really should go.",
        )


def recreation(where: str, resource: Mapping[str, Any], params: Params) -> None:
    """What a recreate would lose, or could not do again.

    Further disks are kept and attached again. Local SSDs come with the new machine as they came
    with the old, empty: other ones can't be created again. A boot disk that is to
    stay would hold the name that the new one needs.
    """
    protected(where, resource, params, "recreated")
    local = local_ssds.attached(resource)
    bundled = local_ssds.bundled(naming.short(str(resource.get("machineType", ""))))
    if local and not bundled:
        raise GceError(
            f"The {where} has local SSDs ({', '.join(local)}) that did not come with its machine "
            "type: the new instance would be without. Nothing was changed.",
            reason="furtherDisks",
            remedy="copy what is on them, and delete the instance yourself (state: absent).",
        )
    if local and params.get("discard_local_ssd") is False:
        raise GceError(
            f"The {where} has local SSDs ({', '.join(local)}), whose data would be lost by "
            "recreating it, and discard_local_ssd is false. Nothing was changed.",
            reason="furtherDisks",
            remedy="copy what is on them, and set discard_local_ssd: true or leave it out.",
        )
    boot = boot_disk(resource)
    asked = (params["boot_disk"] or {}).get("auto_delete")
    if boot and not boot.get("autoDelete") and asked is not True:
        raise GceError(
            f"The boot disk of the {where} is kept when the instance is deleted (auto_delete is "
            "false). Recreating would need its name for the new one. Nothing was changed.",
            reason="bootDiskKept",
            remedy="name boot_disk.auto_delete: true to let it go with what is on it.",
        )


def moving_disks(where: str, resource: Mapping[str, Any]) -> None:
    """Disks are of one zone: they can't follow an instance into another."""
    more = further_disks.attached(resource)
    if more:
        raise GceError(
            f"The {where} has further disks ({', '.join(sorted(more))}), which can't follow it "
            "into another zone. Nothing was changed.",
            reason="furtherDisks",
            remedy="detach them (`gcloud compute instances detach-disk`) and run again, or list "
            "placements in this zone only.",
        )


def old_note(where: str, path: str, days: float) -> GceError:
    """A recreation that was interrupted long ago: what is kept of it may be out of date."""
    return GceError(
        f"An earlier run deleted the {where} to recreate it, {days:.0f} days ago, and did not "
        f"come to that. What it had is kept in {path}, which is too old to be used unasked. "
        "Nothing was done.",
        reason="oldNote",
        remedy=f"`touch {path}` to have it recreated with that, or delete the file to have "
        "it made as the task says.",
    )


def down_again(where: str, resource: Mapping[str, Any]) -> GceError:
    """The error for an instance that ran and went down by itself while it was waited for."""
    said = str(resource.get("statusMessage") or "").rstrip(".")
    model = (resource.get("scheduling") or {}).get("provisioningModel") or "STANDARD"
    return GceError(
        f"The {where} was to run, and is {resource.get('status')} again"
        f"{f': {said}' if said else ''}.",
        reason="downAgain",
        remedy=f"it is {model}: Google takes Spot instances back (gce_preemption_info tells), "
        "max_run_duration may be over, or a script on it shuts it down. Run again to start it.",
        details={"instance_status": resource.get("status")},
    )


def taken_disks(
    where: str, name: str, desired: Mapping[str, Any], disks: Mapping[str, Mapping[str, Any]]
) -> None:
    """A disk that another instance has is not for this one, unless all only read it.

    Args:
        name: the instance's name.
        disks: name to resource of the disks that `desired` speaks of.
    """
    for disk, found in disks.items():
        others = [
            str(user)
            for user in found.get("users") or []
            if not str(user).endswith(f"/instances/{name}")
        ]
        if others and desired.get(f"disks.{disk}.mode") != "READ_ONLY":
            users = ", ".join(user.rsplit("/", 1)[-1] for user in others)
            raise GceError(
                f"The disk {disk} for the {where} is attached to {users}. Nothing was changed.",
                reason="diskInUse",
                remedy="detach it there, name another disk, or have all only read it "
                "(mode: READ_ONLY).",
                details={"users": others},
            )


def _said(value: Any) -> str:
    return "not set" if value is None else str(value)
