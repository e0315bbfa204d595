# SPDX-License-Identifier: Apache-2.0
"""One call a kind of change, for an instance that exists; each waits for its operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import convert
from . import instance_fields as fields_of
from .diff import Change, under
from .errors import ApiError
from .gce_client import GceClient
from .operations import finish, remove

# Others may change labels, metadata and tags too: read and try again so often.
FINGERPRINT_TRIES = 4


class InstanceCalls:
    """What the API can do to one instance."""

    def __init__(self, client: GceClient, zone: str, name: str) -> None:
        self.client, self.zone, self.name = client, zone, name
        self.collection = f"{client.root}/zones/{zone}/instances"
        self.path = f"{self.collection}/{name}"
        self.where = f"instance {name} in {zone}"

    def fetch(self) -> dict[str, Any] | None:
        """The instance's resource, None where there is none."""
        return self.client.find(self.path, f"read the {self.where}")

    def fetch_boot_disk(self, resource: Mapping[str, Any]) -> dict[str, Any] | None:
        """The boot disk's resource."""
        source = fields_of.boot_disk(resource).get("source")
        if not source:
            return None
        return self.client.find(convert.relative(source), f"read the boot disk of the {self.where}")

    def insert(self, body: dict[str, Any]) -> None:
        """Create it."""
        self._run(
            f"create the {self.where}", lambda what: self.client.post(self.collection, what, body)
        )

    def delete(self) -> None:
        """Remove it and, by autoDelete, its boot disk."""
        remove(self.client, self.path, f"delete the {self.where}")

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
        if "scheduling" in groups and after.get("accelerators"):
            # First: GPUs are refused as long as the host's maintenance means migration.
            self.call("setScheduling", fields_of.scheduling_body(after))
        if "accelerators" in groups:
            wanted = fields_of.accelerators_body(
                after.get("accelerators") or [], self.zone, self.client.project
            )
            self.call("setMachineResources", {"guestAccelerators": wanted})
        if "machine_type" in groups:
            machine = f"zones/{self.zone}/machineTypes/{after['machine_type']}"
            self.call("setMachineType", {"machineType": machine})
        if "scheduling" in groups and not after.get("accelerators"):
            self.call("setScheduling", fields_of.scheduling_body(after))
        if "service_account" in groups:
            self.call("setServiceAccount", fields_of.service_account_body(after))
        if "shielded" in groups:
            path = f"{self.path}/updateShieldedInstanceConfig"
            self._run(
                f"change the {self.where} (updateShieldedInstanceConfig)",
                lambda what: self.client.patch(path, what, fields_of.shielded_body(after)),
            )
        if "boot_disk.size_gb" in changed:
            self._resize(resource, after["boot_disk.size_gb"])
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
        if "deletion_protection" in changed:
            self.protect(after["deletion_protection"])

    def protect(self, on: bool) -> None:
        """Switch deletion protection."""
        self.call("setDeletionProtection", deletionProtection=str(on).lower())

    def _merge(self, group: str, wanted: Mapping[str, Any], resource: Mapping[str, Any]) -> None:
        """Set some keys, keeping those of others; anew where someone was faster."""
        for attempt in range(1, FINGERPRINT_TRIES + 1):
            verb, body = _merged_body(group, wanted, resource)
            try:
                self.call(verb, body)
                return
            except ApiError as error:
                if error.status != 412 or attempt == FINGERPRINT_TRIES:
                    raise
            resource = self.client.get(self.path, f"read the {self.where}")

    def _resize(self, resource: Mapping[str, Any], size_gb: int) -> None:
        disk = convert.relative(fields_of.boot_disk(resource)["source"])
        self._run(
            f"grow the boot disk of the {self.where} to {size_gb} GB",
            lambda what: self.client.post(f"{disk}/resize", what, {"sizeGb": str(size_gb)}),
        )

    def _external_ip(
        self, resource: Mapping[str, Any], wanted: bool, address: str | None = None
    ) -> None:
        interface = resource["networkInterfaces"][0]
        if wanted:
            body = fields_of.access_config(address)
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


def _merged_body(
    group: str, wanted: Mapping[str, Any], resource: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    """Method and body that set `wanted` (None: remove) among the keys that are there."""
    if group == "tags":
        tags = resource.get("tags") or {}
        items = sorted({*(tags.get("items") or []), *wanted})
        return "setTags", {"items": items, "fingerprint": tags.get("fingerprint", "")}
    if group == "labels":
        both = {**(resource.get("labels") or {}), **wanted}
        labels = {key: value for key, value in both.items() if value is not None}
        return "setLabels", {
            "labels": labels,
            "labelFingerprint": resource.get("labelFingerprint", ""),
        }
    metadata = resource.get("metadata") or {}
    both = {**convert.items_to_dict(metadata.get("items")), **wanted}
    items_left = {key: value for key, value in both.items() if value is not None}
    return "setMetadata", {
        "items": convert.dict_to_items(items_left),
        "fingerprint": metadata.get("fingerprint", ""),
    }
