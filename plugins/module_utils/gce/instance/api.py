# SPDX-License-Identifier: Apache-2.0
"""One call a kind of change, for an instance that exists; each waits for its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ...diff import Change, under
from ...errors import ApiError
from ...hardware import local_ssds
from .. import naming
from ..client import GceClient
from ..disk.api import DiskCalls, changed_fields
from ..operations import finish, remove
from . import body as body_of
from .fields import boot_disk, with_lines

# Others may change labels, metadata and tags too: read and try again so often.
FINGERPRINT_TRIES = 4
SSH_KEYS = "ssh-keys"


class InstanceCalls:
    """What the API can do to one instance.

    Attributes:
        discard_local_ssd: what becomes of the data on local SSDs when it is stopped.
    """

    def __init__(self, client: GceClient, zone: str, name: str) -> None:
        self.client, self.zone, self.name = client, zone, name
        self.collection = f"{client.root}/zones/{zone}/instances"
        self.path = f"{self.collection}/{name}"
        self.where = f"instance {name} in {zone}"
        self.disks = DiskCalls(client, zone, self.where, self.call)
        self.discard_local_ssd = True

    def fetch(self) -> dict[str, Any] | None:
        """The instance's resource, None where there is none."""
        return self.client.find(self.path, f"read the {self.where}")

    def insert(self, body: dict[str, Any]) -> None:
        """Create it."""
        self._run(
            f"create the {self.where}", lambda what: self.client.post(self.collection, what, body)
        )

    def delete(self) -> None:
        """Remove it and, by autoDelete, its boot disk."""
        remove(self.client, self.path, f"delete the {self.where}")

    def stop(self, resource: Mapping[str, Any]) -> None:
        """Stop it; Google demands a word about its local SSDs, where it has some."""
        self.call("stop", **self._about_local_ssds(resource))

    def _about_local_ssds(self, resource: Mapping[str, Any]) -> dict[str, Any]:
        if not local_ssds.attached(resource):
            return {}
        return {"discardLocalSsd": str(self.discard_local_ssd).lower()}

    def call(self, verb: str, body: dict[str, Any] | None = None, **query: Any) -> None:
        """POST one of the instance's own methods (`start`, `setLabels`, …)."""
        what = (
            f"{verb} the {self.where}"
            if verb in ("start", "stop", "resume")
            else (f"change the {self.where} ({verb})")
        )
        self._run(what, lambda what: self.client.post(f"{self.path}/{verb}", what, body, **query))

    def apply(
        self, found: list[Change], resource: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """Send the changes that neither start, stop nor recreate.

        Args:
            after: all flat fields as they should be in the end.
        """
        changed = {change.field for change in found}
        groups = {field.split(".", 1)[0] for field in changed}
        self._machine(groups, resource, after)
        self._boot_disk(changed, resource, after)
        if "disks" in groups:
            self.disks.know(resource)
            self.disks.apply(changed_fields(found), after)
        if "address" in changed:
            # An interface has one external address: the old one goes first.
            self._external_ip(resource, False)
            self._external_ip(resource, True, after["address"])
        elif "external_ip" in changed:
            self._external_ip(resource, after["external_ip"])
        for group in ("tags", "labels", "metadata"):
            if group in groups:
                wanted_keys = {
                    one.field: one.after for one in found if one.field.startswith(f"{group}.")
                }
                self._merge(group, under(wanted_keys, group), resource)
        if "resource_policies" in changed:
            self._policies(resource, after["resource_policies"])
        if "deletion_protection" in changed:
            self.protect(after["deletion_protection"])

    def _machine(
        self, groups: set[str], resource: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        """What only a stopped instance can change."""
        if "discard_local_ssd" in groups:
            groups = {*groups, "scheduling"}  # a part of it, in the API
        if "scheduling" in groups:
            scheduling = body_of.scheduling_change(after, resource)
        if "scheduling" in groups and after.get("accelerators"):
            # First: GPUs are refused as long as the host's maintenance means migration.
            self.call("setScheduling", scheduling)
        if "accelerators" in groups:
            desired = body_of.accelerators_body(
                after.get("accelerators") or [], self.zone, self.client.project
            )
            self.call("setMachineResources", {"guestAccelerators": desired})
        if "machine_type" in groups:
            machine = f"zones/{self.zone}/machineTypes/{after['machine_type']}"
            self.call("setMachineType", {"machineType": machine})
        if "scheduling" in groups and not after.get("accelerators"):
            self.call("setScheduling", scheduling)
        if "service_account" in groups:
            self.call("setServiceAccount", body_of.service_account_body(after))
        if "shielded" in groups:
            path = f"{self.path}/updateShieldedInstanceConfig"
            self._run(
                f"change the {self.where} (updateShieldedInstanceConfig)",
                lambda what: self.client.patch(path, what, body_of.shielded_body(after)),
            )
        if "reservation_affinity" in groups:
            self._reservations(body_of.affinity_body(after["reservation_affinity"]))

    def _reservations(self, desired: dict[str, Any]) -> None:
        # The method takes the whole instance, as it is at this moment.
        what = f"change the {self.where} (reservationAffinity)"
        whole = {**self.client.get(self.path, f"read the {self.where}")}
        whole["reservationAffinity"] = desired
        query = self._about_local_ssds(whole)
        self._run(what, lambda what: self.client.put(self.path, what, whole, **query))

    def _boot_disk(
        self, changed: set[str], resource: Mapping[str, Any], after: Mapping[str, Any]
    ) -> None:
        options = set(under(dict.fromkeys(changed), "boot_disk"))
        if not options:
            return
        boot = boot_disk(resource)
        path = naming.relative(str(boot["source"]))
        self.disks.grow_and_tune("boot_disk", path, options, after)
        if "auto_delete" in options:
            self.disks.auto_delete(str(boot["deviceName"]), after["boot_disk.auto_delete"])

    def _policies(self, resource: Mapping[str, Any], desired: list[str]) -> None:
        """Make the list of resource policies this one; the old go first, as one is the most."""
        there = {naming.short(str(one)) for one in resource.get("resourcePolicies") or []}
        for verb, names in (
            ("removeResourcePolicies", there - set(desired)),
            ("addResourcePolicies", set(desired) - there),
        ):
            if names:
                paths = [
                    body_of.policy_path(name, self.zone, self.client.project)
                    for name in sorted(names)
                ]
                self.call(verb, {"resourcePolicies": paths})

    def protect(self, on: bool) -> None:
        """Switch deletion protection."""
        self.call("setDeletionProtection", deletionProtection=str(on).lower())

    def _merge(self, group: str, desired: Mapping[str, Any], resource: Mapping[str, Any]) -> None:
        """Set some keys, keeping those of others; retried where someone was faster."""
        before = resource
        for attempt in range(1, FINGERPRINT_TRIES + 1):
            sent = _with_later_keys(desired, before, resource) if group == "metadata" else desired
            verb, body = _merged_body(group, sent, resource)
            try:
                self.call(verb, body)
                return
            except ApiError as error:
                if error.reason != "changedMeanwhile" or attempt == FINGERPRINT_TRIES:
                    raise
            resource = self.client.get(self.path, f"read the {self.where}")

    def _external_ip(
        self, resource: Mapping[str, Any], desired: bool, address: str | None = None
    ) -> None:
        interface = resource["networkInterfaces"][0]
        if desired:
            body = body_of.access_config(address)
            self.call("addAccessConfig", body, networkInterface=interface["name"])
            return
        for access in interface.get("accessConfigs") or []:
            self.call(
                "deleteAccessConfig",
                None,
                networkInterface=interface["name"],
                accessConfig=access["name"],
            )

    def _run(self, what: str, send: Callable[[str], dict[str, Any]]) -> None:
        finish(self.client, send(what), what)


def _with_later_keys(
    desired: Mapping[str, Any], before: Mapping[str, Any], now: Mapping[str, Any]
) -> Mapping[str, Any]:
    """`desired`, with the lines of ssh-keys that others added or removed meanwhile.

    Args:
        before: the instance that `desired` was compared with.
    """
    if not desired.get(SSH_KEYS) or now is before:
        return desired
    old, new = (
        str(naming.items_to_dict((one.get("metadata") or {}).get("items")).get(SSH_KEYS) or "")
        for one in (before, now)
    )
    kept = old.splitlines()
    added = [line for line in str(desired[SSH_KEYS]).splitlines() if line not in kept]
    return {**desired, SSH_KEYS: with_lines(new, "\n".join(added))}


def _merged_body(
    group: str, desired: Mapping[str, Any], resource: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Method and body that set `desired` (None: remove) among the keys that are there."""
    if group == "tags":
        tags = resource.get("tags") or {}
        both = {**dict.fromkeys(tags.get("items") or [], True), **desired}
        items = sorted(tag for tag, there in both.items() if there)
        return "setTags", {"items": items, "fingerprint": tags.get("fingerprint", "")}
    if group == "labels":
        both = {**(resource.get("labels") or {}), **desired}
        labels = {key: value for key, value in both.items() if value is not None}
        return "setLabels", {
            "labels": labels,
            "labelFingerprint": resource.get("labelFingerprint", ""),
        }
    metadata = resource.get("metadata") or {}
    both = {**naming.items_to_dict(metadata.get("items")), **desired}
    items_left = {key: value for key, value in both.items() if value is not None}
    return "setMetadata", {
        "items": naming.dict_to_items(items_left),
        "fingerprint": metadata.get("fingerprint", ""),
    }
