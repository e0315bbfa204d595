# SPDX-License-Identifier: Apache-2.0
"""What a new instance will be, field by field, with all checked that can be known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ... import diff
from ...errors import GceError
from ...hardware import local_ssds, machine_types
from ...hardware.provisioning import RESERVATION_BOUND, STANDARD
from .. import images, lookups, naming
from ..client import GceClient
from ..disk import fields as further_disks
from ..network import addresses
from . import body as instance_body
from . import carry, image_record
from . import fields as fields_of
from . import refusals as instance_refusals
from . import validation as instance_checks
from .change_table import how
from .reader import InstanceReader

# Metadata key in which the role notes the tags that it gave.
_OWN_TAGS = "metadata.gce-vllm-tags"
_BOOT_SIZE = "boot_disk.size_gb"
_RECORDS = [f"metadata.{key}" for key in image_record.RECORDS]


class InstancePlan:
    """Plans for one instance by zone and name.

    Attributes:
        warnings: what a real run needs and was not found in check mode.
    """

    def __init__(self, client: GceClient, reader: InstanceReader, name: str, check: bool) -> None:
        self.client, self.reader, self.name, self.check = client, reader, name, check
        self.zone, self.where = reader.calls.zone, reader.calls.where
        self.warnings: list[str] = []

    def desired(
        self, params: Mapping[str, Any], resource: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Flat fields that the options name, an address by name resolved to its IP.

        Args:
            resource: the instance as it is, whose record may tell that IP.
        """
        desired = fields_of.desired(params, self.client.project)
        instance_checks.refuse_bad(self.name, desired)
        if desired.get("address") and not addresses.is_ip(desired["address"]):
            name, ip = desired["address"], fields_of.addresses(resource)["external"]
            known = image_record.recorded_address(resource, name, ip)
            desired["address"] = ip if known else self.reserved(name)
            desired |= image_record.address_record(name, desired["address"])
        return desired

    def reserved(self, desired: str) -> str:
        """IP of an address, by name or IP; it is reserved, and nobody else has it."""
        region = naming.region_of(self.zone)
        found = addresses.find(self.client, region, desired)
        if found:
            addresses.refuse_taken(found, region, self.name)
            return str(found["address"])
        error = addresses.unknown(self.client, region, desired)
        if not self.check or addresses.is_ip(desired):
            raise error
        # An earlier task of the same play would have reserved it.
        self.warnings.append(f"{error.message} The real run needs it.")
        return f"{desired} (not reserved yet)"

    def new(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """Every field of a new instance where none was."""
        desired = further_disks.without_detached(desired, desired)
        return self._complete(self._with_disks_there(desired))

    def recreated(self, carried: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of the instance that takes the place of another; what is not named is kept."""
        carried = carry.adapted(self.where, carried, desired)
        stale = ["status"]
        if {"boot_disk.image", "boot_disk.image_family"} & set(desired):
            # The desired state decides; a record of the old image would contradict it.
            stale += ["boot_disk.image", "boot_disk.image_family", *_RECORDS]
        if desired.get("machine_type", carried["machine_type"]) != carried["machine_type"]:
            stale += ["accelerators", "scheduling.on_host_maintenance"]
        if desired.get("boot_disk.type", carried.get("boot_disk.type")) != carried.get(
            "boot_disk.type"
        ):
            stale += [f"boot_disk.{option}" for option in further_disks.PERFORMANCE]
        if "network" in desired and desired["network"] != carried.get("network"):
            stale.append("subnetwork")
        if desired.get("external_ip") is False:
            stale.append("address")
        model = "scheduling.provisioning_model"
        if desired.get(model, carried.get(model)) != carried.get(model):
            stale += [field for field in carried if field.startswith("scheduling.")]
            stale.append("reservation_affinity")
        kept = {field: value for field, value in carried.items() if field not in stale}
        both = further_disks.without_detached(diff.merged(kept, desired), desired)
        return self._complete(both)

    def moved(self, carried: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
        """As `recreated`, of an instance that was elsewhere or is gone already."""
        there = self._there(further_disks.without_detached(desired, desired))
        carried = {**_without_former_tags(carried, desired), **there}
        return self.recreated(carried, _following(_without_origins(desired, there), carried))

    def _with_disks_there(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """`desired`, with those of its disks that exist already."""
        there = self._there(desired)
        return {**there, **_without_origins(desired, there)}

    def _there(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of those desired disks that exist without an instance.

        Raises:
            GceError: one can't be as desired, or one has the name that the boot disk will have.
        """
        names = further_disks.names(desired)
        found = self.reader.unattached([self.name, *names])
        self._refuse_boot_disk(found.pop(self.name, None))
        instance_refusals.taken_disks(self.where, self.name, desired, found)
        there = further_disks.view({}, found, self.client.project)
        self.refuse_fixed(_without_origins(desired, there), there)
        return there

    def refuse_fixed(self, desired: Mapping[str, Any], there: Mapping[str, Any]) -> None:
        """Raise for a disk that exists and can't become what is desired."""
        for field, value in desired.items():
            before = there.get(field)
            if field.startswith("disks.") and before is not None and before != value:
                diff.changes(there, {field: value}, how)

    def _refuse_boot_disk(self, disk: Mapping[str, Any] | None) -> None:
        if not disk:
            return
        if any(str(u).endswith(f"/instances/{self.name}") for u in disk.get("users") or []):
            return  # of the instance that is about to go, or that another run is making
        raise GceError(
            f"The {self.where} can't be made: there is a disk {self.name} in {self.zone}, and its "
            "boot disk would have that name. Nothing was changed.",
            reason="bootDiskExists",
            remedy="it may hold data of an earlier instance: keep that by a snapshot, delete the "
            f"disk (`gcloud compute disks delete {self.name} --zone {self.zone}`), or choose "
            "another name.",
        )

    def _complete(self, desired: Mapping[str, Any]) -> dict[str, Any]:
        """Every field of a new instance, its image resolved to one by name."""
        self._refuse_missing(desired)
        kept = {field: value for field, value in desired.items() if value is not None}
        final = instance_body.with_creation_defaults(kept)
        final = _without_local_ssd(final, final)
        instance_checks.refuse_bad(self.name, final)
        instance_checks.refuse_unsold(self.name, final)
        # All that can be known to be wrong is found out now: later there may be no old one left.
        desired_gpus = final.get("accelerators") or []
        lookups.machine_with(self.client, self.zone, final["machine_type"], desired_gpus)
        if final.get("network"):
            self._look_for_network(final["network"], bool(final.get("subnetwork")))
        if addresses.is_ip(final.get("address") or ""):
            self.reserved(final["address"])
        for disk in further_disks.names(final):
            if final.get(f"disks.{disk}.image") and not final.get(f"disks.{disk}.source"):
                images.by_name(self.client, *final[f"disks.{disk}.image"].split("/", 1))
        self._pin(final)
        return final

    def _look_for_network(self, name: str, has_subnetwork: bool) -> None:
        try:
            lookups.network(self.client, name)
        except GceError as error:
            if error.reason == "forbidden":
                # Rights on a shared subnetwork alone let one use it, and not read its network.
                self.warnings.append(lookups.unseen(f"network {name}", error))
                return
            # An earlier task of the same play would have made it, with its subnetwork.
            if error.reason != "networkNotFound" or not (self.check and has_subnetwork):
                raise
            self.warnings.append(f"{error.message} The real run needs it.")

    def _refuse_missing(self, desired: Mapping[str, Any]) -> None:
        for field, names in (
            ("machine_type", ("machine_type",)),
            (
                "boot_disk.image or boot_disk.image_family",
                ("boot_disk.image", "boot_disk.image_family"),
            ),
        ):
            if not any(desired.get(name) for name in names):
                raise GceError(
                    f"The {self.where} does not exist, and {field}, without which none "
                    "can be made, is not given.",
                    reason="missingOption",
                    remedy=f"give {field}, or correct name and zone if it should be there.",
                )
        self.refuse_sizeless(desired)

    def refuse_sizeless(self, desired: Mapping[str, Any]) -> None:
        """A disk that has to be made needs a size, or an image that has one."""
        for disk in further_disks.names(desired):
            start = f"disks.{disk}"
            if any(desired.get(f"{start}.{o}") for o in ("source", "size_gb", "image")):
                continue
            raise GceError(
                f"The disk {disk} for the {self.where} does not exist, and size_gb, without which "
                "none can be made, is not given. Nothing was changed.",
                reason="missingOption",
                remedy=f"give size_gb or image for {disk} in disks, or correct its name if it "
                "should be there.",
            )

    def _pin(self, final: dict[str, Any]) -> None:
        """Resolve the image, and write into the metadata what it is."""
        family = str(final.get("boot_disk.image_family"))
        if final.get("boot_disk.image"):
            project, name = final["boot_disk.image"].split("/", 1)
            image = images.by_name(self.client, project, name)
        else:
            project, name = family.split("/", 1)
            image = images.from_family(self.client, project, name)
            final["boot_disk.image"] = f"{project}/{image['name']}"
        if not final.get("address"):
            final.pop(f"metadata.{image_record.ADDRESS}", None)  # of the one that it had
        final.update(image_record.records(image, project))
        final.pop(f"metadata.{image_record.DISK}", None)  # of the disk that was
        final.update(image_record.disk_record(self.name, final.get("boot_disk.type")))
        if f"metadata.{image_record.FAMILY}" in final:
            final["boot_disk.image_family"] = final[f"metadata.{image_record.FAMILY}"]

    def comparable(self, desired: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
        """`desired` for an instance that exists: without what can't be compared, and with what
        follows from it.
        """
        if "boot_disk.image_family" in desired and "boot_disk.image_family" not in current:
            self.warnings.append(
                f"The image that the {self.where} was made from no longer exists, so its "
                "family was not compared."
            )
            desired = {
                field: v for field, v in desired.items() if field != "boot_disk.image_family"
            }
        if self._is_larger(desired, current):
            self.warnings.append(
                f"The boot disk of the {self.where} has {current[_BOOT_SIZE]} GB, and "
                f"{desired[_BOOT_SIZE]} GB were asked for. It was left so: a disk "
                "can't shrink, and the instance is not recreated for a smaller one."
            )
        if desired.get("address") == current.get("address"):
            # One that was attached otherwise needs no record to be right.
            desired = {k: v for k, v in desired.items() if k != f"metadata.{image_record.ADDRESS}"}
        desired = self._as_reserved(desired, current)
        desired = self._with_attachments(_without_origins(desired, current), current)
        return _following(desired, current)

    @staticmethod
    def _is_larger(desired: Mapping[str, Any], current: Mapping[str, Any]) -> bool:
        """Whether the boot disk has more than is asked for: grown by hand, mostly."""
        return bool(desired.get(_BOOT_SIZE)) and current.get(_BOOT_SIZE, 0) > desired[_BOOT_SIZE]

    def _as_reserved(self, desired: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
        """One that a reservation holds stays so where STANDARD is desired, which is the default: it
        has a machine that is paid for, and the recreated one might get none.
        """
        model = "scheduling.provisioning_model"
        if current.get(model) != RESERVATION_BOUND or desired.get(model) != STANDARD:
            return desired
        self.warnings.append(
            f"The {self.where} is {RESERVATION_BOUND}, and was left so though {STANDARD} is "
            f"desired. Set provisioning_model: {RESERVATION_BOUND} to say so, or delete it (state: "
            "absent) for another."
        )
        return {field: value for field, value in desired.items() if field != model}

    def _with_attachments(
        self, desired: dict[str, Any], current: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What is chosen for disks that are to be attached, as for those of a new instance."""
        coming = {
            field: value
            for field, value in {**current, **desired}.items()
            if field.startswith("disks.")
            and not current.get(f"disks.{field.split('.')[1]}.attached")
            and desired.get(f"disks.{field.split('.')[1]}.attached")
        }
        if not coming:
            return desired
        self.refuse_sizeless(coming)
        machine = desired.get("machine_type", current["machine_type"])
        chosen = further_disks.with_creation_defaults({"machine_type": machine, **coming})
        return {
            **{
                field: value
                for field, value in chosen.items()
                if field.startswith("disks.") and field not in current
            },
            **desired,
        }


def _following(desired: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """`desired`, with what follows from it for an instance as `current`."""
    machine = desired.get("machine_type", current["machine_type"])
    if machine_types.bundles_gpus(machine):
        desired = {field: value for field, value in desired.items() if field != "accelerators"}
    desired = _with_termination(desired, current)
    desired = _without_local_ssd(desired, current)
    if desired.get(_BOOT_SIZE) and current.get(_BOOT_SIZE, 0) > desired[_BOOT_SIZE]:
        # What filled the old one may fill the new one too.
        desired = {**desired, _BOOT_SIZE: current[_BOOT_SIZE]}
    if desired.get("accelerators"):
        # With GPUs there is no live migration, whether or not the caller thought of that.
        desired = {"scheduling.on_host_maintenance": "TERMINATE", **desired}
    return fields_of.keep_other_keys(desired, current)


def _without_origins(desired: Mapping[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """A disk that exists is what it is: from which image it was made doesn't matter any more."""
    return {
        field: value
        for field, value in desired.items()
        if not (
            field.startswith("disks.")
            and field.endswith(".image")
            and current.get(f"{field.rsplit('.', 1)[0]}.source")
        )
    }


def _with_termination(desired: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """The termination action comes and goes with the limit of a standard instance's run time."""
    limit, action = "scheduling.max_run_duration", "scheduling.instance_termination_action"
    model = desired.get(
        "scheduling.provisioning_model", current.get("scheduling.provisioning_model")
    )
    if limit not in desired or model != "STANDARD" or action in desired:
        return desired
    return {**desired, action: (current.get(action) or "STOP") if desired[limit] else None}


def _without_local_ssd(desired: dict[str, Any], current: Mapping[str, Any]) -> dict[str, Any]:
    """What becomes of local SSDs at the end of the run time is said where there are some and the
    instance is stopped then; else that option is about stops by this module alone.
    """
    both = {**current, **desired}
    if (
        local_ssds.bundled(str(both["machine_type"]))
        and both.get("scheduling.max_run_duration")
        and instance_body.stops_at_the_limit(both)
    ):
        return desired
    return {k: v for k, v in desired.items() if k != "discard_local_ssd"}


def _without_former_tags(carried: Mapping[str, Any], desired: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of an instance that is gone, without the tags that the role gave it and gives no more.

    The caller can't name them as absent: it read what there is, and there is none.
    """
    former = str(carried.get(_OWN_TAGS) or "").split(",") if _OWN_TAGS in desired else []
    going = {f"tags.{tag}" for tag in former} - set(desired)
    return {field: value for field, value in carried.items() if field not in going}
