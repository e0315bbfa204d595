# SPDX-License-Identifier: Apache-2.0
"""Reserved external addresses of a region: looked up, made, released."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any

from ...diff import Change, before_after
from ...errors import ApiError, GceError
from ...suggest import closest, did_you_mean, listed
from .. import naming
from ..client import GceClient
from ..operations import finish, remove


def is_ip(text: str) -> bool:
    """Whether it is an IPv4 address rather than a name."""
    try:
        return bool(ipaddress.IPv4Address(text))
    except ValueError:
        return False


def find(client: GceClient, region: str, wanted: str) -> dict[str, Any] | None:
    """The reserved external address by name or IP; None where the region has none such."""
    collection = f"{client.root}/regions/{region}/addresses"
    what = f"look up the address {wanted} in {region}"
    if is_ip(wanted):
        found = next(iter(client.list(collection, what, filter=f'address = "{wanted}"')), None)
    else:
        found = client.find(f"{collection}/{wanted}", what)
    return found if found and _is_external(found) else None


def is_reserved(client: GceClient, region: str, ip: str) -> bool:
    """Whether an address, of IPv4 or IPv6, outlives the instance that has it."""
    path = f"{client.root}/regions/{region}/addresses"
    found = client.list(path, f"look whether {ip} is reserved", filter=f'address = "{ip}"')
    return next(iter(found), None) is not None


def everywhere(client: GceClient, name: str) -> list[dict[str, Any]]:
    """The reserved external addresses of this name, by region."""
    found = client.named("addresses", name, f"look for the address {name} in all regions")
    own = [one for one in found if "region" in one and _is_external(one)]
    return sorted(own, key=lambda one: str(one["region"]))


def summary(resource: Mapping[str, Any]) -> dict[str, Any]:
    """What matters of an address: name, region, ip, description, users."""
    return {
        "name": resource["name"],
        "region": naming.short(str(resource["region"])),
        "ip": resource.get("address"),
        "description": resource.get("description", ""),
        "users": holders(resource),
    }


def _is_external(resource: Mapping[str, Any]) -> bool:
    return str(resource.get("addressType", "EXTERNAL")) == "EXTERNAL"


def holders(resource: Mapping[str, Any]) -> list[str]:
    """Paths of what uses an address."""
    return [naming.relative(str(user)) for user in resource.get("users") or []]


def refuse_taken(resource: Mapping[str, Any], region: str, instance: str) -> None:
    """Stop where something other than the instance of this name holds the address."""
    others = [one for one in holders(resource) if not one.endswith(f"/instances/{instance}")]
    if others:
        raise GceError(
            f"The address {resource['name']} ({resource.get('address')}) in {region} is in use by "
            f"{listed(others)}, so the instance {instance} can't have it. Nothing was changed.",
            reason="addressInUse",
            remedy="take it away from there, or reserve another (gce_address).",
            details={"users": others},
        )


def unknown(client: GceClient, region: str, wanted: str) -> GceError:
    """The error for an address that is not reserved; names those that are."""
    collection = f"{client.root}/regions/{region}/addresses"
    known = [one for one in client.list(collection, "list the addresses") if _is_external(one)]
    names = sorted(str(one["name"]) for one in known)
    hint = "" if is_ip(wanted) else did_you_mean(wanted, names)
    there = [f"{one['name']} ({one.get('address')})" for one in known]
    return GceError(
        f"Region {region} has no reserved external address {wanted}.{hint} It has {listed(there)}.",
        reason="addressNotFound",
        remedy="correct address, or reserve one first (module gce_address).",
        status=404,
        details={"closest": closest(wanted, names, 5), "allowed": names},
    )


class Address:
    """A reserved address by region and name; `check` only plans."""

    def __init__(self, client: GceClient, region: str, name: str, check: bool = False) -> None:
        self.client, self.region, self.name, self.check = client, region, name, check
        self.collection = f"{client.root}/regions/{region}/addresses"
        self.path = f"{self.collection}/{name}"
        self.where = f"address {name} in {region}"

    def present(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Reserve it; one that is there keeps its IP."""
        wanted = params["address"] or None
        resource = self._fetch()
        before = _view(resource)
        made = [] if resource else [Change("address", None, self.name, "create")]
        if resource is None:
            if not self.check:
                resource = self._reserve(wanted, params["description"] or "")
                self._refuse_different(resource, wanted)
        else:
            self._refuse_different(resource, wanted)
        after = _view(resource) if resource else {"name": self.name, "region": self.region}
        return _result(resource, made, before, after)

    def absent(self) -> dict[str, Any]:
        """Release it, unless something uses it."""
        resource = self._fetch()
        if resource is None:
            return _result(None, [], {}, {})
        self._refuse_different(resource, None)
        users = holders(resource)
        if users or resource.get("status") == "IN_USE":
            raise GceError(
                f"The {self.where} ({resource.get('address')}) is in use by {listed(users)}, so it "
                "was not released.",
                reason="addressInUse",
                remedy="delete that first, or take the address away from it.",
                details={"users": users},
            )
        if not self.check:
            what = f"release the {self.where}"
            remove(self.client, self.path, what)
        gone = [Change("address", self.name, None, "delete")]
        return _result(None, gone, _view(resource), {})

    def _fetch(self) -> dict[str, Any] | None:
        return self.client.find(self.path, f"read the {self.where}")

    def _reserve(self, wanted: str | None, description: str) -> dict[str, Any]:
        what = f"reserve the {self.where}"
        body = {"name": self.name, "addressType": "EXTERNAL"}
        if wanted:
            body["address"] = wanted
        if description:
            body["description"] = description
        try:
            finish(self.client, self.client.post(self.collection, what, body), what)
        except ApiError as error:
            # An earlier run that was interrupted was faster.
            if error.reason != "alreadyExists":
                raise
        return self.client.get(self.path, f"read the {self.where}")

    def _refuse_different(self, resource: Mapping[str, Any], wanted: str | None) -> None:
        if not _is_external(resource):
            problem = "is an internal address"
        elif wanted and resource.get("address") != wanted:
            problem = f"is {resource.get('address')}, not {wanted}"
        else:
            return
        raise GceError(
            f"The {self.where} {problem}, and that can't be changed. It was left alone.",
            reason="differentAddress",
            remedy="choose another name, or leave address out to keep the one that there is.",
        )


def _view(resource: Mapping[str, Any] | None) -> dict[str, Any]:
    if not resource:
        return {}
    region = naming.short(str(resource.get("region", "")))
    return {"name": resource["name"], "region": region}


def _result(
    resource: dict[str, Any] | None,
    changes: list[Change],
    before: dict[str, Any],
    after: dict[str, Any],
) -> dict[str, Any]:
    return {
        "changed": bool(changes),
        "changes": [change.as_dict() for change in changes],
        "diff": before_after(before, after, {**before, **after}),
        "address": resource,
        "ip": (resource or {}).get("address"),
    }
