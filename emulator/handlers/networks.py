# SPDX-License-Identifier: Apache-2.0
"""Networks and subnetworks: insert, change what can be changed, delete."""

from __future__ import annotations

import ipaddress

from emulator.errors import Json, already_exists, in_use, invalid
from emulator.request.call import Call, handles
from emulator.rules import resources as rules
from emulator.world import fingerprints
from emulator.world.references import Ref, parse
from emulator.world.world import make_network, make_subnetwork

_AUTO = ipaddress.IPv4Network("10.128.0.0/9")
_NEVER = [
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "199.36.153.4/30", "199.36.153.8/30",
        "224.0.0.0/4",
    )
]  # fmt: skip


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


@handles("networks.patch")
def patch_network(call: Call) -> Json:
    """Changes the routing mode; nothing else of a network can be changed so."""
    ref = call.ref("networks", call.params["network"])
    network = call.world.get(ref)
    for field in call.body:
        if field != "routingConfig" and call.body[field] != network.get(field):
            raise invalid(f"resource.{field}", call.body[field], "It can't be changed.")
    network["routingConfig"] = network["routingConfig"] | call.body.get("routingConfig", {})
    call.world.store.put(ref, network)
    return call.begin("patch", ref, network, lambda: None)


@handles("networks.switchToCustomMode")
def switch_to_custom_mode(call: Call) -> Json:
    """From auto mode to custom mode; the subnetworks stay. There is no way back."""
    ref = call.ref("networks", call.params["network"])
    network = call.world.get(ref)
    if not network["autoCreateSubnetworks"]:
        raise invalid("network", ref.name, "The network is in custom mode already.")
    network["autoCreateSubnetworks"] = False
    call.world.store.put(ref, network)
    return call.begin("switchToCustomMode", ref, network, lambda: None)


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
    network = find_network(call, body["network"], "resource.network")
    wanted = _range(call, network, body["ipCidrRange"], "resource.ipCidrRange")
    subnet = make_subnetwork(ref, network.link, str(wanted))
    subnet |= {k: body[k] for k in ("description", "privateIpGoogleAccess") if k in body}
    store.put(ref, subnet)
    parent = call.world.get(network)
    parent["subnetworks"].append(ref.link)
    store.put(network, parent)
    return call.begin("insert", ref, subnet, lambda: None)


@handles("subnetworks.setPrivateIpGoogleAccess")
def set_private_access(call: Call) -> Json:
    """Whether machines without an external address reach Google's APIs."""
    call.check_scope()
    ref = call.ref("subnetworks", call.params["subnetwork"])
    subnet = call.world.get(ref)
    subnet["privateIpGoogleAccess"] = call.body.get("privateIpGoogleAccess", False)
    _store_subnetwork(call, ref, subnet)
    return call.begin("setPrivateIpGoogleAccess", ref, subnet, lambda: None)


@handles("subnetworks.expandIpCidrRange")
def expand(call: Call) -> Json:
    """A range may grow around the old one; it never shrinks or moves."""
    call.check_scope()
    rules.need(call.body, "ipCidrRange")
    ref = call.ref("subnetworks", call.params["subnetwork"])
    subnet = call.world.get(ref)
    network = find_network(call, subnet["network"], "resource.network")
    wanted = _range(call, network, call.body["ipCidrRange"], "ipCidrRange", but=ref)
    old = ipaddress.IPv4Network(subnet["ipCidrRange"])
    if not wanted.supernet_of(old) or wanted == old:
        raise invalid("ipCidrRange", str(wanted), f"It must be larger than {old} and hold it.")
    subnet |= {"ipCidrRange": str(wanted), "gatewayAddress": str(wanted[1])}
    _store_subnetwork(call, ref, subnet)
    return call.begin("expandIpCidrRange", ref, subnet, lambda: None)


def _store_subnetwork(call: Call, ref: Ref, subnet: Json) -> None:
    subnet["fingerprint"] = fingerprints.of(
        [ref.path, subnet["ipCidrRange"], subnet["privateIpGoogleAccess"]]
    )
    call.world.store.put(ref, subnet)


def _range(
    call: Call, network: Ref, text: str, field: str, but: Ref | None = None
) -> ipaddress.IPv4Network:
    """The range, if a subnetwork of the network may have it."""
    rules.cidr(text, field)
    wanted = ipaddress.ip_network(text)
    if not isinstance(wanted, ipaddress.IPv4Network) or not 4 <= wanted.prefixlen <= 29:
        raise invalid(field, text, "It must be an IPv4 range between /4 and /29.")
    for bad in _NEVER:
        if wanted.overlaps(bad):
            raise invalid(field, text, f"It overlaps with {bad}, which no subnetwork may have.")
    auto = call.world.get(network)["autoCreateSubnetworks"]
    if auto and wanted.overlaps(_AUTO):
        raise invalid(field, text, f"A network in auto mode keeps {_AUTO} for its own.")
    for other, existing in call.world.store.items("subnetworks", call.project):
        if existing["network"] != network.link or other == but:
            continue
        if wanted.overlaps(ipaddress.IPv4Network(existing["ipCidrRange"])):
            raise invalid(field, str(wanted), f"It overlaps with {other.path}.")
    return wanted


@handles("subnetworks.delete")
def delete_subnetwork(call: Call) -> Json:
    """Removes a subnetwork that no instance uses; those of auto mode stay."""
    call.check_scope()
    ref = call.ref("subnetworks", call.params["subnetwork"])
    subnet = call.world.get(ref)
    network = call.world.get(find_network(call, subnet["network"], "resource.network"))
    if network["autoCreateSubnetworks"] and ipaddress.IPv4Network(subnet["ipCidrRange"]).overlaps(
        _AUTO
    ):
        raise invalid("subnetwork", ref.name, "Auto mode made it, and only that removes it.")
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
