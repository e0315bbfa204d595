# SPDX-License-Identifier: Apache-2.0
"""get, list and aggregatedList of every collection."""

from __future__ import annotations

from emulator.errors import Json, not_found
from emulator.request.call import Call, handles
from emulator.request.listing import aggregated, flat
from emulator.world.references import link

# Collection to (kind, the path parameter that names one).
COLLECTIONS = {
    "regions": ("region", "region"),
    "zones": ("zone", "zone"),
    "machineTypes": ("machineType", "machineType"),
    "acceleratorTypes": ("acceleratorType", "acceleratorType"),
    "diskTypes": ("diskType", "diskType"),
    "images": ("image", "image"),
    "networks": ("network", "network"),
    "subnetworks": ("subnetwork", "subnetwork"),
    "firewalls": ("firewall", "firewall"),
    "addresses": ("address", "address"),
    "globalAddresses": ("address", "address"),
    "disks": ("disk", "disk"),
    "instances": ("instance", "instance"),
    "resourcePolicies": ("resourcePolicy", "resourcePolicy"),
}
_PARAMETERS_AS_NAMES = {"regions", "zones"}


def _stored_as(collection: str) -> str:
    return "addresses" if collection == "globalAddresses" else collection


def _with_quotas(call: Call, item: Json) -> Json:
    if item["kind"] == "compute#region":
        item["quotas"] = call.world.quotas.listing(call.project, item["name"])
    return item


@handles(*(f"{collection}.get" for collection in COLLECTIONS))
def get(call: Call) -> Json:
    """One resource."""
    collection = call.method.split(".")[1]
    parameter = COLLECTIONS[collection][1]
    name = call.params[parameter]
    if collection in _PARAMETERS_AS_NAMES:  # the parameter is the name, not the scope
        call.params = {k: v for k, v in call.params.items() if k != parameter}
        item = call.world.find(call.ref(collection, name))
        if item is None:
            raise not_found(f"projects/{call.project}/{collection}/{name}")
        return _with_quotas(call, item)
    call.check_scope()
    return call.world.get(call.ref(_stored_as(collection), name))


@handles(*(f"{collection}.list" for collection in COLLECTIONS))
def list_(call: Call) -> Json:
    """One scope's resources."""
    collection = call.method.split(".")[1]
    call.check_scope()
    scope, stored = call.scope, _stored_as(collection)
    middle = "" if collection in _PARAMETERS_AS_NAMES else f"/{scope}"
    found = call.world.items(stored, call.project, scope)
    return flat(
        COLLECTIONS[collection][0],
        link(f"projects/{call.project}{middle}/{stored}"),
        [_with_quotas(call, item) for item in found],
        call.params,
    )


@handles(
    *(
        f"{collection}.aggregatedList"
        for collection in COLLECTIONS
        if collection not in {"regions", "zones", "images", "networks", "firewalls"}
        and collection != "globalAddresses"
    )
)
def aggregated_list(call: Call) -> Json:
    """All scopes' resources."""
    collection = call.method.split(".")[1]
    kinds = {
        "subnetworks": ["regions"],
        "addresses": ["global", "regions"],
        "resourcePolicies": ["regions"],
    }
    scopes = [s for kind in kinds.get(collection, ["zones"]) for s in call.world.scopes(kind)]
    return aggregated(
        COLLECTIONS[collection][0],
        collection,
        link(f"projects/{call.project}/aggregated/{collection}"),
        scopes=scopes,
        items=[(s, item) for s in scopes for item in call.world.items(collection, call.project, s)],
        params=call.params,
    )


@handles("images.getFromFamily")
def image_from_family(call: Call) -> Json:
    """The newest image of a family."""
    return _family(call)


@handles("imageFamilyViews.get")
def image_family_view(call: Call) -> Json:
    """The same, as a zone sees it."""
    return {"image": _family(call)}


def _family(call: Call) -> Json:
    name = call.params["family"]
    image = call.world.images.family(call.project, name)
    if image is None:
        raise not_found(f"projects/{call.project}/global/images/family/{name}")
    return image
