# SPDX-License-Identifier: Apache-2.0
"""Networks and subnetworks of a project: made, changed where that can be, deleted when unused."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from typing import Any

from ...diff import Change, How, before_after, changes, merged
from ...errors import ApiError, GceError
from ...suggest import listed
from .. import naming
from ..client import GceClient
from ..operations import finish, remove
from . import ranges

Resource = dict[str, Any]


def users_of(client: GceClient, link: str, ignored: Iterable[str]) -> list[str]:
    """Paths (`zones/Z/instances/I`, `global/firewalls/F`) of what lies in a network or subnetwork.

    Args:
        link: `projects/P/global/networks/N` or `projects/P/regions/R/subnetworks/S`.
        ignored: ends of paths that don't count, as `instances/llm-server`.
    """
    what = f"look what uses {naming.short(link)}"
    root, found = client.root, []
    for instance in client.aggregated(f"{root}/aggregated/instances", "instances", what):
        nics = instance.get("networkInterfaces") or []
        if any(link in _links(nic, ("network", "subnetwork")) for nic in nics):
            found.append(naming.relative(str(instance["selfLink"])))
    if "/networks/" in link:
        for subnet in client.aggregated(f"{root}/aggregated/subnetworks", "subnetworks", what):
            if link in _links(subnet, ("network",)):
                found.append(naming.relative(str(subnet["selfLink"])))
        for rule in client.list(f"{root}/global/firewalls", what):
            if link in _links(rule, ("network",)):
                found.append(naming.relative(str(rule["selfLink"])))
    ends = tuple("/" + one.strip("/") for one in ignored)
    paths = [one.removeprefix(f"{root}/") for one in found]
    return sorted(one for one in paths if not ("/" + one).endswith(ends))


def _links(resource: Mapping[str, Any], fields: tuple[str, ...]) -> set[str]:
    return {naming.relative(str(resource[field])) for field in fields if resource.get(field)}


class _KeptError(Exception):
    """It stays, and this is why."""


class _Base:
    """What networks and subnetworks share."""

    kind = ""
    client: GceClient
    check: bool
    name: str
    path: str
    where: str

    def absent(self, params: Mapping[str, Any]) -> Resource:
        """Delete it, if it is ours to delete and nothing uses it."""
        resource = self._fetch()
        if resource is None:
            return self._result(None, [], {}, {})
        try:
            self._refuse_foreign(resource, params["description"])
            self._delete(params)
        except _KeptError as reason:
            view = self._view(resource)
            return {**self._result(resource, [], view, view), "kept": str(reason)}
        except GceError as error:
            if error.reason != "resourceInUseByAnotherResource" or not params["keep_used"]:
                raise
            view = self._view(resource)
            return {**self._result(resource, [], view, view), "kept": error.message}
        gone = [Change(self.kind, self.name, None, "delete")]
        return self._result(None, gone, self._view(resource), {})

    def _refuse_foreign(self, resource: Mapping[str, Any], description: str | None) -> None:
        found = resource.get("description") or ""
        if description is not None and found != description:
            text = f"its description is '{found}'" if found else "it has no description"
            raise _KeptError(
                f"The {self.where} stays: {text}, so it was not made by this deployment."
            )

    def _delete(self, params: Mapping[str, Any]) -> None:
        users = users_of(self.client, self.path, params["ignore_users"])
        if users:
            raise GceError(
                f"The {self.where} is in use by {listed(users)}, so it was not deleted.",
                reason="resourceInUseByAnotherResource",
                remedy="delete those first, or leave it.",
                details={"users": users},
            )
        if not self.check:
            what = f"delete the {self.where}"
            remove(self.client, self.path, what)

    def _fetch(self) -> Resource | None:
        return self.client.find(self.path, f"read the {self.where}")

    def _view(self, resource: Mapping[str, Any]) -> Resource:
        raise NotImplementedError

    def _post(self, verb: str, body: Resource | None) -> None:
        what = f"change the {self.where} ({verb})"
        finish(self.client, self.client.post(f"{self.path}/{verb}", what, body), what)

    def _create(self, body: Resource) -> Resource:
        what = f"create the {self.where}"
        collection = self.path.rsplit("/", 1)[0]
        try:
            finish(self.client, self.client.post(collection, what, body), what)
        except ApiError as error:
            # An earlier run that was interrupted was faster.
            if error.reason != "alreadyExists":
                raise
        return self.client.get(self.path, f"read the {self.where}")

    def _result(
        self, resource: Resource | None, found: list[Change], before: Resource, after: Resource
    ) -> Resource:
        return {
            "changed": bool(found),
            "changes": [change.as_dict() for change in found],
            "diff": before_after(before, after, {**before, **after}),
            "kept": None,
            self.kind: resource,
        }


class Network(_Base):
    """A VPC network."""

    kind = "network"

    def __init__(self, client: GceClient, name: str, check: bool) -> None:
        self.client, self.name, self.check = client, name, check
        self.path = f"{client.root}/global/networks/{name}"
        self.where = f"network {name} of project {client.project}"

    def present(self, params: Mapping[str, Any]) -> Resource:
        """Make it, or change what differs."""
        desired = {
            field: params[field]
            for field in ("auto_create_subnetworks", "routing_mode")
            if params[field] is not None
        }
        resource = self._fetch()
        if resource is None:
            made = {"auto_create_subnetworks": False, "routing_mode": "REGIONAL", **desired}
            if params["description"]:
                made["description"] = params["description"]
            if not self.check:
                resource = self._create(
                    {
                        "name": self.name,
                        "autoCreateSubnetworks": made["auto_create_subnetworks"],
                        "routingConfig": {"routingMode": made["routing_mode"]},
                        **({"description": made["description"]} if "description" in made else {}),
                    }
                )
            created = [Change("network", None, self.name, "create")]
            return self._result(resource, created, {}, {"name": self.name, **made})
        current = self._view(resource)
        found = changes(current, desired, lambda *_: "live")
        if any(one.field == "auto_create_subnetworks" and one.after for one in found):
            raise GceError(
                f"The {self.where} is in custom mode, and Google has no way back to auto mode.",
                reason="cannotChange",
                remedy="leave auto_create_subnetworks out, or choose another name.",
            )
        after = merged(current, desired)
        if found and not self.check:
            for one in found:
                if one.field == "routing_mode":
                    what = f"change the routing mode of the {self.where}"
                    body = {"routingConfig": {"routingMode": one.after}}
                    finish(self.client, self.client.patch(self.path, what, body), what)
                else:
                    self._post("switchToCustomMode", None)
            resource = self._fetch()
            after = self._view(resource or {})
        return self._result(resource, found, current, after)

    def _view(self, resource: Mapping[str, Any]) -> Resource:
        view = {
            "name": self.name,
            "auto_create_subnetworks": bool(resource.get("autoCreateSubnetworks")),
            "routing_mode": (resource.get("routingConfig") or {}).get("routingMode", "REGIONAL"),
        }
        if resource.get("description"):
            view["description"] = resource["description"]
        return view


class Subnetwork(_Base):
    """A subnetwork of one region."""

    kind = "subnetwork"

    def __init__(self, client: GceClient, region: str, name: str, check: bool) -> None:
        self.client, self.region, self.name, self.check = client, region, name, check
        self.path = f"{client.root}/regions/{region}/subnetworks/{name}"
        self.where = f"subnetwork {name} in {region}"

    def present(self, params: Mapping[str, Any]) -> Resource:
        """Make it, or change what differs; a range only ever grows."""
        network = naming.reference(params["network"], self.client.project)
        desired: Resource = {"network": network}
        if params["range"] is not None:
            desired["range"] = self._checked_range(params["range"])
        if params["private_google_access"] is not None:
            desired["private_google_access"] = params["private_google_access"]
        resource = self._fetch()
        if resource is None:
            return self._make(params, desired)
        current = self._view(resource)
        if params["prefer_range"]:
            desired.pop("range", None)
        found = changes(current, desired, self._how)
        after = merged(current, desired)
        if found and not self.check:
            for one in found:
                if one.field == "range":
                    self._post("expandIpCidrRange", {"ipCidrRange": one.after})
                else:
                    self._post("setPrivateIpGoogleAccess", {"privateIpGoogleAccess": one.after})
            resource = self._fetch()
            after = self._view(resource or {})
        return self._result(resource, found, current, after)

    def _make(self, params: Mapping[str, Any], desired: Resource) -> Resource:
        if "range" not in desired:
            raise GceError(
                f"There is no {self.where}, and range does not say which addresses it should have.",
                reason="noRange",
                remedy="give a range, for example 10.96.0.0/20.",
            )
        made = {"private_google_access": False, **desired}
        if params["prefer_range"]:
            made["range"] = self._free(desired["range"], desired["network"])
        if params["description"]:
            made["description"] = params["description"]
        resource = None
        if not self.check:
            body = {
                "name": self.name,
                "network": self._network_path(made["network"]),
                "ipCidrRange": made["range"],
                "privateIpGoogleAccess": made["private_google_access"],
            }
            if "description" in made:
                body["description"] = made["description"]
            resource = self._create(body)
        created = [Change("subnetwork", None, self.name, "create")]
        after = {"name": self.name, "region": self.region, **made}
        return self._result(resource, created, {}, after)

    def _free(self, wanted: str, network: str) -> str:
        link = self._network_path(network)
        collection = f"{self.client.root}/aggregated/subnetworks"
        what = f"list the subnetworks of the network {network}"
        taken = [
            str(one["ipCidrRange"])
            for one in self.client.aggregated(collection, "subnetworks", what)
            if link in _links(one, ("network",))
        ]
        free = ranges.next_free(wanted, taken)
        if free is None:
            raise GceError(
                f"No range of the size of {wanted} is free above it in the network {network}.",
                reason="noRange",
                remedy="name a lower or smaller range.",
            )
        return free

    def _network_path(self, network: str) -> str:
        return network if "/" in network else f"{self.client.root}/global/networks/{network}"

    def _how(self, field: str, before: Any, after: Any) -> How:
        if field == "range":
            grows = ipaddress.ip_network(after).supernet_of(ipaddress.ip_network(before))  # type: ignore[arg-type]
            if not grows:
                self._refuse(
                    f"has the range {before}; it can only grow, and {after} does not hold it"
                )
        elif field == "network":
            self._refuse(f"belongs to the network {before}, not to {after}")
        return "live"

    def _refuse(self, problem: str) -> None:
        raise GceError(
            f"The {self.where} {problem}. It was left alone.",
            reason="cannotChange",
            remedy="choose another name, or delete it first (state: absent).",
        )

    def _checked_range(self, text: str) -> str:
        wanted = ranges.normal_range(text, "range")
        network = ipaddress.ip_network(wanted)
        if network.version != 4 or not 4 <= network.prefixlen <= 29:
            raise GceError(
                f"range is '{text}'; a subnetwork's is IPv4 and between a /4 and a /29.",
                reason="badRange",
                remedy="write it as 10.96.0.0/20.",
            )
        return wanted

    def _view(self, resource: Mapping[str, Any]) -> Resource:
        view = {
            "name": self.name,
            "region": self.region,
            "network": naming.reference(str(resource.get("network", "")), self.client.project),
            "range": resource.get("ipCidrRange"),
            "private_google_access": bool(resource.get("privateIpGoogleAccess")),
        }
        if resource.get("description"):
            view["description"] = resource["description"]
        return view
