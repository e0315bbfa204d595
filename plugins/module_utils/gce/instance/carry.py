# SPDX-License-Identifier: Apache-2.0
"""Fields without an option of this module, from an old instance into the request for its successor.

They travel beside the flat fields, each as one field `as_is.PART` whose value is the API's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ...diff import under
from ...errors import GceError
from ...hardware import machine_types
from .. import naming
from . import carry_table as table
from .fields import boot_disk

Json = dict[str, Any]
GROUP = "as_is"
_VERSION = re.compile(r"/cryptoKeyVersions/[^/]+$")
_KEYS = ("diskEncryptionKey", "instanceEncryptionKey")
_ADDRESSES = ("natIP", "externalIpv6")


def fields(
    where: str,
    resource: Mapping[str, Any],
    disk: Mapping[str, Any] | None,
    reserved: Callable[[str], bool],
) -> Json:
    """`as_is.*` of an instance that is to be recreated.

    Args:
        disk: its boot disk's own resource.
        reserved: whether an external address stays reserved when the instance goes.

    Raises:
        GceError: it has something that can't be said in a request; names it. Nothing was done.
    """
    lost: list[str] = []
    nics = [dict(one) for one in resource.get("networkInterfaces") or [{}]]
    first = _access(nics[0].get("accessConfigs"), "networkInterfaces[0]", lost, reserved)
    attached, params = boot_disk(resource), dict(disk or {})
    parts: dict[str, Any] = {
        "instance": _copied(resource, table.INSTANCE, "", lost),
        "scheduling": _copied(
            resource.get("scheduling") or {}, table.SCHEDULING, "scheduling.", lost
        ),
        "interface": _interface(nics[0], "networkInterfaces[0]", lost, reserved),
        "access": {
            key: value for key, value in (first or [{}])[0].items() if key not in _SAID_ANYWAY
        },
        "interfaces": [
            _further(nic, f"networkInterfaces[{place}]", lost, reserved)
            for place, nic in enumerate(nics[1:], 1)
        ],
        "boot_disk": _copied(attached, table.ATTACHED, "boot disk: ", lost),
        "boot_params": _copied(params, table.DISK, "boot disk: ", lost),
    }
    parts["policies"] = parts["boot_params"].pop("resourcePolicies", [])
    if lost:
        raise not_carried(where, lost)
    return {f"{GROUP}.{part}": value for part, value in parts.items() if value}


# Of the first interface's access config: the flat fields say so.
_SAID_ANYWAY = ("name", "natIP", "type")


def _copied(
    source: Mapping[str, Any], rows: Mapping[str, table.Deed], start: str, lost: list[str]
) -> Json:
    """What of a part goes into a request; what can't go there joins `lost`."""
    found: Json = {}
    for name, value in source.items():
        deed = rows.get(name, "refuse")
        kept = _pruned(name, value)
        if kept is None or deed in ("ours", "output"):
            continue
        if deed == "refuse":
            lost.append(f"{start}{name}")
        elif name in _KEYS:
            found[name] = _key(kept, f"{start}{name}", lost)
        else:
            found[name] = kept
    return found


def _pruned(name: str, value: Any) -> Any:
    """A value without what is empty or Google's default; None where nothing is left."""
    if isinstance(value, Mapping):
        inner = {key: _pruned(key, one) for key, one in value.items()}
        return {key: one for key, one in inner.items() if one is not None} or None
    if value in (None, False, "", 0, "0") or value == []:
        return None
    return None if value in table.DEFAULTS.get(name, ()) else value


def _key(key: Json, where: str, lost: list[str]) -> Json:
    """A customer-managed key by its name: the answer names the version that is in use, too."""
    lost += [
        f"{where}.{name}" for name in key if table.KEY.get(name, "refuse") == "refuse"
        if "kmsKeyName" not in key
    ]  # fmt: skip
    found = {name: value for name, value in key.items() if table.KEY.get(name) == "copy"}
    if "kmsKeyName" in found:
        found["kmsKeyName"] = _VERSION.sub("", str(found["kmsKeyName"]))
    return found


def _access(
    entries: Any, start: str, lost: list[str], reserved: Callable[[str], bool]
) -> list[Json]:
    """Access configs; an address that isn't reserved goes with the instance."""
    found = []
    for entry in entries or []:
        kept = _copied(entry, table.ACCESS, f"{start}.", lost)
        for name in _ADDRESSES:
            if name in kept and not reserved(str(kept[name])):
                del kept[name]
                kept.pop(f"{name}PrefixLength", None)
        found.append(kept)
    return found


def _interface(
    nic: Mapping[str, Any], start: str, lost: list[str], reserved: Callable[[str], bool]
) -> Json:
    kept = _copied(nic, table.INTERFACE, f"{start}.", lost)
    if "ipv6AccessConfigs" in kept:
        kept["ipv6AccessConfigs"] = _access(kept["ipv6AccessConfigs"], start, lost, reserved)
    return kept


def _further(
    nic: Mapping[str, Any], start: str, lost: list[str], reserved: Callable[[str], bool]
) -> Json:
    kept = _interface(nic, start, lost, reserved)
    for name in ("network", "subnetwork"):
        if nic.get(name):
            kept[name] = naming.relative(str(nic[name]))
    if nic.get("accessConfigs"):
        kept["accessConfigs"] = _access(nic["accessConfigs"], start, lost, reserved)
    return kept


def into(body: Json, flat: Mapping[str, Any]) -> Json:
    """The request with what is carried; what the flat fields say has the last word."""
    parts = under(flat, GROUP)
    body = {**parts.get("instance", {}), **body}
    body["scheduling"] = {**parts.get("scheduling", {}), **body["scheduling"]}
    first = {**parts.get("interface", {}), **body["networkInterfaces"][0]}
    if first.get("accessConfigs"):
        first["accessConfigs"] = [{**parts.get("access", {}), **first["accessConfigs"][0]}]
    body["networkInterfaces"] = [first, *parts.get("interfaces", [])]
    boot = {**parts.get("boot_disk", {}), **body["disks"][0]}
    more = dict(parts.get("boot_params", {}))
    if parts.get("policies"):
        more["resourcePolicies"] = parts["policies"]
    own = boot["initializeParams"]
    labels = {**more.pop("labels", {}), **own.get("labels", {})}
    boot["initializeParams"] = {**more, **own, **({"labels": labels} if labels else {})}
    body["disks"] = [boot, *body["disks"][1:]]
    return body


def adapted(where: str, kept: Mapping[str, Any], desired: Mapping[str, Any]) -> Json:
    """What is carried into an instance that differs from the old one in what is desired.

    Raises:
        GceError: what is carried belongs to the old series or network.
    """
    result = dict(kept)
    lost: list[str] = []
    old, new = str(kept["machine_type"]), str(desired.get("machine_type", kept["machine_type"]))
    if machine_types.series(old) != machine_types.series(new):
        named = [*kept.get(f"{GROUP}.instance", {})]
        named += [f"scheduling.{name}" for name in kept.get(f"{GROUP}.scheduling", {})]
        lost += [name for name in named if name in table.OF_SERIES]
    moves = any(
        field in desired and desired[field] != kept.get(field)
        for field in ("network", "subnetwork")
    )
    if moves:
        first = without_address(kept.get(f"{GROUP}.interface", {}))
        lost += [f"networkInterfaces[0].{name}" for name in first if name not in _OF_NO_NETWORK]
        lost += ["networkInterfaces[1]"] if kept.get(f"{GROUP}.interfaces") else []
        result[f"{GROUP}.interface"] = first
    if lost:
        raise not_carried(where, lost)
    return result


_OF_NO_NETWORK = ("nicType", "queueCount")


def without_address(interface: Mapping[str, Any]) -> Json:
    """The first interface without its internal address, which is of its subnetwork."""
    return {name: value for name, value in interface.items() if name != "networkIP"}


def address_taken(error: GceError) -> bool:
    """Whether a creation failed as an internal address is somebody else's."""
    return error.reason == "IP_IN_USE_BY_ANOTHER_RESOURCE" or "networkIP" in error.message


def stays_in_zone(flat: Mapping[str, Any]) -> list[str]:
    """Names of what is carried and is of one zone."""
    params = flat.get(f"{GROUP}.boot_params", {})
    return ["boot disk: storagePool"] if params.get("storagePool") else []


def stays_in_region(flat: Mapping[str, Any]) -> list[str]:
    """Names of what is carried and is of one region; the first internal address is not."""
    found = [
        f"networkInterfaces[0].{name}"
        for name in without_address(flat.get(f"{GROUP}.interface", {}))
        if name not in _OF_NO_NETWORK
    ]
    found += ["networkInterfaces[1]"] if flat.get(f"{GROUP}.interfaces") else []
    found += ["boot disk: resourcePolicies"] if flat.get(f"{GROUP}.policies") else []
    for part in ("instance", "boot_disk"):
        for name, key in flat.get(f"{GROUP}.{part}", {}).items():
            if name in _KEYS and "/locations/global/" not in str(key.get("kmsKeyName")):
                found.append(name)
    return found


def not_carried(where: str, lost: list[str]) -> GceError:
    names = list(dict.fromkeys(lost))
    return GceError(
        f"The {where} has what its successor could not have: {', '.join(names)}. It was not "
        "recreated, and nothing was changed.",
        reason="notCarried",
        remedy="make the new instance yourself (`gcloud compute instances create`), or remove "
        "these from the old one. Or keep the settings whose change needs the recreate.",
        details={"fields": names},
    )
