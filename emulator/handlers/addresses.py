# SPDX-License-Identifier: Apache-2.0
"""Reserved external addresses, of a region or global."""

from __future__ import annotations

from emulator.errors import Json, already_exists, in_use, invalid
from emulator.request.call import Call, handles
from emulator.rules import resources as rules
from emulator.world.references import link, region_of
from emulator.world.world import base


@handles("addresses.insert", "globalAddresses.insert")
def insert(call: Call) -> Json:
    """Reserves an address."""
    call.check_scope()
    body = call.body
    rules.need(body, "name")
    rules.labels(body.get("labels", {}))
    ref = call.ref("addresses", body["name"])
    if call.world.find(ref):
        raise already_exists(ref.path)
    if body.get("addressType", "EXTERNAL") != "EXTERNAL":
        raise invalid("resource.addressType", body["addressType"], "Only EXTERNAL is emulated.")
    region = call.params.get("region")
    call.world.quotas.check(call.project, region, {"STATIC_ADDRESSES": 1})
    kept = ("description", "labels", "networkTier", "addressType")
    address = base("address", ref) | {
        "addressType": "EXTERNAL",
        "networkTier": "PREMIUM",
        **{field: body[field] for field in kept if field in body},
        "address": _adopt(call, body["address"]) if "address" in body else None,
        "status": "RESERVED",
    }
    address["address"] = address["address"] or call.world.external_address()
    if region:
        address["region"] = link(f"projects/{call.project}/{call.scope}")
    call.world.store.put(ref, address)
    _set_user(call, address["address"])
    return call.begin("insert", ref, address, lambda: None)


def _adopt(call: Call, address: str) -> str:
    """An ephemeral address of an instance in the region may be kept by reserving it."""
    for _, existing in call.world.store.items("addresses"):
        if existing["address"] == address:
            raise invalid("resource.address", address, "It is reserved already.")
    for ref, instance in call.world.store.items("instances", call.project):
        zone = ref.scope.removeprefix("zones/")
        if region_of(zone) == call.params.get("region") and any(
            access.get("natIP") == address
            for interface in instance["networkInterfaces"]
            for access in interface.get("accessConfigs", [])
        ):
            return address
    raise invalid("resource.address", address, "No instance of the region has it.")


def _set_user(call: Call, address: str) -> None:
    mark_users(call, address)


def mark_users(call: Call, address: str) -> None:
    """Writes which instance holds a reserved address; none is RESERVED."""
    store = call.world.store
    users = [
        ref.link
        for ref, instance in store.items("instances", call.project)
        if any(
            access.get("natIP") == address
            for interface in instance["networkInterfaces"]
            for access in interface.get("accessConfigs", [])
        )
    ]
    for ref, body in store.items("addresses", call.project):
        if body["address"] == address:
            body["status"] = "IN_USE" if users else "RESERVED"
            body.pop("users", None)
            if users:
                body["users"] = users
            store.put(ref, body)


@handles("addresses.delete", "globalAddresses.delete")
def delete(call: Call) -> Json:
    """Gives an address back."""
    call.check_scope()
    ref = call.ref("addresses", call.params["address"])
    address = call.world.get(ref)
    if address.get("users"):
        raise in_use(ref.path, address["users"][0])
    return call.begin("delete", ref, address, lambda: call.world.store.delete(ref))
