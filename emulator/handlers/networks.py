# SPDX-License-Identifier: Apache-2.0
"""Networks and subnetworks: insert, delete."""

from __future__ import annotations

import ipaddress

from emulator import rules
from emulator.call import Call, handles
from emulator.errors import Json, already_exists, in_use, invalid
from emulator.references import Ref, parse
from emulator.world import make_network, make_subnetwork


@handles("networks.insert")
def insert_network(call: Call) -> Json:
    """Creates a network; in auto mode with a subnetwork in each region."""
    body = call.body
    rules.need(body, "name")
    ref = call.ref("networks", body["name"])
    if call.world.find(ref):
        raise already_exists(ref.path)
    call.world.quotas.check(call.project, None, {"NETWORKS": 1})
    extra: Json = {k: body[k] for k in ("description", "mtu", "routingConfig") if k in body}
    network = make_network(
        call.world.store,
        call.project,
        ref.name,
        auto=body.get("autoCreateSubnetworks", True),
        extra=extra,
    )
    return call.begin("insert", ref, network, lambda: None)


@handles("networks.delete")
def delete_network(call: Call) -> Json:
    """Removes a network that nothing uses, and its automatic subnetworks."""
    ref = call.ref("networks", call.params["network"])
    network = call.world.get(ref)
    store = call.world.store
    for rule, body in store.items("firewalls", call.project):
        if body["network"] == ref.link:
            raise in_use(ref.path, rule.path)
    subnets = [s for s, b in store.items("subnetworks", call.project) if b["network"] == ref.link]
    for subnet in subnets:
        if not network["autoCreateSubnetworks"]:
            raise in_use(ref.path, subnet.path)
    _check_no_instance(call, "network", ref)

    def work() -> None:
        with store.transaction():
            for subnet in subnets:
                store.delete(subnet)
            store.delete(ref)

    return call.begin("delete", ref, network, work)


@handles("subnetworks.insert")
def insert_subnetwork(call: Call) -> Json:
    """Creates a subnetwork whose range overlaps none of its network."""
    body, store = call.body, call.world.store
    call.check_scope()
    rules.need(body, "name", "network", "ipCidrRange")
    ref = call.ref("subnetworks", body["name"])
    if call.world.find(ref):
        raise already_exists(ref.path)
    rules.cidr(body["ipCidrRange"], "resource.ipCidrRange")
    network = find_network(call, body["network"], "resource.network")
    wanted = ipaddress.ip_network(body["ipCidrRange"])
    for other, existing in store.items("subnetworks", call.project):
        if existing["network"] == network.link and wanted.overlaps(
            ipaddress.ip_network(existing["ipCidrRange"])
        ):
            raise invalid("resource.ipCidrRange", str(wanted), f"It overlaps with {other.path}.")
    subnet = make_subnetwork(ref, network.link, str(wanted))
    subnet |= {k: body[k] for k in ("description", "privateIpGoogleAccess") if k in body}
    store.put(ref, subnet)
    parent = call.world.get(network)
    parent["subnetworks"].append(ref.link)
    store.put(network, parent)
    return call.begin("insert", ref, subnet, lambda: None)


@handles("subnetworks.delete")
def delete_subnetwork(call: Call) -> Json:
    """Removes a subnetwork that no instance uses."""
    call.check_scope()
    ref = call.ref("subnetworks", call.params["subnetwork"])
    subnet = call.world.get(ref)
    _check_no_instance(call, "subnetwork", ref)

    def work() -> None:
        store = call.world.store
        with store.transaction():
            store.delete(ref)
            for network, body in store.items("networks", call.project):
                if ref.link in body["subnetworks"]:
                    body["subnetworks"].remove(ref.link)
                    store.put(network, body)

    return call.begin("delete", ref, subnet, work)


def find_network(call: Call, text: str, field: str) -> Ref:
    """The network that a request names.

    Raises:
        ApiError: 400 when there is none.
    """
    ref = parse(text, field=field, project=call.project, scope="global", collection="networks")
    if call.world.find(ref) is None:
        raise invalid(field, text, "The referenced network resource cannot be found.")
    return ref


def _check_no_instance(call: Call, field: str, ref: Ref) -> None:
    for instance, body in call.world.store.items("instances", call.project):
        if any(interface.get(field) == ref.link for interface in body["networkInterfaces"]):
            raise in_use(ref.path, instance.path)
