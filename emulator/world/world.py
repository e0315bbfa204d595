# SPDX-License-Identifier: Apache-2.0
"""Everything that exists: projects, their resources, and the machines behind the instances."""

from __future__ import annotations

import ipaddress
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from emulator.errors import ApiError, Json, not_found
from emulator.faults.faults import Faults
from emulator.world import catalog, effective_firewall
from emulator.world import catalog_data as data
from emulator.world.backend import Backend, IngressRule, MachineKey
from emulator.world.fingerprints import of
from emulator.world.image_states import ImageStates
from emulator.world.operations import Operations, new_id, now
from emulator.world.quotas import Quotas
from emulator.world.references import Ref, last, link
from emulator.world.storage import Store

NAT_RANGE = ipaddress.ip_network("203.0.113.0/24")  # TEST-NET-3: routed nowhere


class World:
    """The state and what acts on it.

    A request changes state inside `store.transaction()`; calls to the backend happen outside of it.
    """

    def __init__(self, store: Store, backend: Backend, delay: float = 0) -> None:
        self.store = store
        self.backend = backend
        self.operations = Operations(store, delay)
        self.quotas = Quotas(store)
        self.faults = Faults()
        self.images = ImageStates(store)
        self._machine_locks: dict[MachineKey, threading.RLock] = {}
        self._locks_lock = threading.Lock()
        self._applied: dict[MachineKey, list[IngressRule]] = {}

    # Projects

    def add_project(self, name: str) -> None:
        """Creates a project with Google's default network; one that exists stays as it is."""
        with self.store.transaction():
            if self.store.setting(f"project:{name}") is not None:
                return
            number = str(secrets.randbelow(9 * 10**11) + 10**11)
            self.store.put_setting(
                f"project:{name}",
                {"number": number, "id": new_id(), "created": now(), "metadata": []},
            )
            make_network(self.store, name, "default", auto=True)
            _default_firewalls(self.store, name)

    def project(self, name: str) -> tuple[str, Json]:
        """A project by id or number.

        Raises:
            ApiError: 404 when there is none.
        """
        record = self.store.setting(f"project:{name}")
        if record is not None:
            return name, record
        for other, record in self.store.settings("project:").items():
            if record["number"] == name:
                return other, record
        raise not_found(f"projects/{name}")

    # Resources

    def find(self, ref: Ref) -> Json | None:
        """A resource of the catalog or of the store."""
        if ref.collection == "images":
            found = catalog.get(ref)
            return found and self.images.seen(ref.project, found)
        if catalog.is_catalog(ref.collection):
            return catalog.get(ref)
        return self.store.get(ref)

    def get(self, ref: Ref) -> Json:
        """A resource.

        Raises:
            ApiError: 404 when there is none.
        """
        found = self.find(ref)
        if found is None:
            raise not_found(ref.path)
        return found

    def scopes(self, kind: str) -> list[str]:
        """All scopes of a kind: `zones`, `regions` or `global`."""
        if kind == "global":
            return ["global"]
        names = data.ZONES if kind == "zones" else catalog.REGIONS
        return [f"{kind}/{name}" for name in names]

    def items(self, collection: str, project: str, scope: str) -> list[Json]:
        """Resources of a collection in a scope."""
        if collection == "images":
            return self.images.all(project)
        if catalog.is_catalog(collection):
            return list(catalog.items(collection, project, scope))
        return [body for _, body in self.store.items(collection, project, scope)]

    # Addresses

    def external_address(self) -> str:
        """An unused address; a different one each time, as a stop and start shows."""
        taken = {a["address"] for _, a in self.store.items("addresses")}
        for _, instance in self.store.items("instances"):
            taken.update(nat_addresses(instance))
        cursor = int(self.store.setting("nat_cursor", 0))
        for step in range(1, 254):
            offset = (cursor + step - 1) % 254 + 1
            address = str(NAT_RANGE[offset])
            if address not in taken:
                self.store.put_setting("nat_cursor", offset)
                return address
        raise ApiError(
            503,
            "backendError",
            f"All addresses of {NAT_RANGE} are in use",
            code="IP_SPACE_EXHAUSTED",
        )

    # Machines

    @contextmanager
    def machine(self, key: MachineKey) -> Iterator[None]:
        """One backend call at a time for a machine."""
        with self._locks_lock:
            lock = self._machine_locks.setdefault(key, threading.RLock())
        with lock:
            yield

    def metadata(self, instance: Json, project: str) -> dict[str, str]:
        """The instance's metadata over the project's."""
        _, record = self.project(project)
        merged = {item["key"]: item.get("value", "") for item in record["metadata"]}
        own = instance.get("metadata", {}).get("items", [])
        return merged | {item["key"]: item.get("value", "") for item in own}

    def sync_firewalls(self, project: str) -> None:
        """Hands every machine of a project its rules where they changed."""
        for ref, instance in self.store.items("instances", project):
            if instance["status"] == "RUNNING":
                self.sync_firewall(key_of(ref))

    def sync_firewall(self, key: MachineKey, *, force: bool = False) -> None:
        """Hands one machine its rules if they changed since the last time, or in any case."""
        with self.machine(key):
            rules = self.ingress(key)
            if rules is None or (not force and self._applied.get(key) == rules):
                return
            self.backend.apply_firewall(key, rules)
            self._applied[key] = rules

    def ingress(self, key: MachineKey) -> list[IngressRule] | None:
        """The effective rules of an instance; None when there is no such instance."""
        with self.store.transaction():
            instance = self.store.get(instance_ref(key))
            if instance is None:
                return None
            rules = [rule for _, rule in self.store.items("firewalls", key.project)]
            others: Sequence[Json] = [i for _, i in self.store.items("instances", key.project)]
        return effective_firewall.effective(instance, rules, others)

    def forget_machine(self, key: MachineKey) -> None:
        """Drops what is remembered of a machine that is gone."""
        self._applied.pop(key, None)


def key_of(ref: Ref) -> MachineKey:
    """The machine behind an instance."""
    return MachineKey(ref.project, last(ref.scope), ref.name)


def instance_ref(key: MachineKey) -> Ref:
    """The instance in front of a machine."""
    return Ref(key.project, f"zones/{key.zone}", "instances", key.name)


def nat_addresses(instance: Json) -> list[str]:
    """External addresses of an instance."""
    return [
        access["natIP"]
        for interface in instance["networkInterfaces"]
        for access in interface.get("accessConfigs", [])
        if "natIP" in access
    ]


def base(kind: str, ref: Ref) -> Json:
    """The fields that every new resource has."""
    return {
        "kind": f"compute#{kind}",
        "id": new_id(),
        "creationTimestamp": now(),
        "name": ref.name,
        "selfLink": ref.link,
    }


def make_network(
    store: Store, project: str, name: str, *, auto: bool, extra: Json | None = None
) -> Json:
    """Writes a network and, in auto mode, its subnetworks."""
    ref = Ref(project, "global", "networks", name)
    network = base("network", ref) | {
        "autoCreateSubnetworks": auto,
        "routingConfig": {"routingMode": "REGIONAL"},
        "networkFirewallPolicyEnforcementOrder": "AFTER_CLASSIC_FIREWALL",
        "subnetworks": [],
    }
    network |= extra or {}
    network["selfLinkWithId"] = link(f"projects/{project}/global/networks/{network['id']}")
    if auto:
        for region, cidr in data.SUBNET_RANGES.items():
            subnet = Ref(project, f"regions/{region}", "subnetworks", name)
            store.put(subnet, make_subnetwork(subnet, ref.link, cidr))
            network["subnetworks"].append(subnet.link)
    store.put(ref, network)
    return network


def make_subnetwork(ref: Ref, network: str, cidr: str) -> Json:
    """A subnetwork's resource."""
    gateway = str(ipaddress.ip_network(cidr)[1])
    return base("subnetwork", ref) | {
        "network": network,
        "ipCidrRange": cidr,
        "gatewayAddress": gateway,
        "region": link(f"projects/{ref.project}/{ref.scope}"),
        "privateIpGoogleAccess": False,
        "fingerprint": of([ref.path, cidr]),
        "purpose": "PRIVATE",
        "stackType": "IPV4_ONLY",
    }


def _default_firewalls(store: Store, project: str) -> None:
    everything = [{"IPProtocol": p, "ports": ["0-65535"]} for p in ("tcp", "udp")]
    rules: dict[str, tuple[list[Json], str]] = {
        "internal": ([*everything, {"IPProtocol": "icmp"}], "10.128.0.0/9"),
        "ssh": ([{"IPProtocol": "tcp", "ports": ["22"]}], "0.0.0.0/0"),
        "rdp": ([{"IPProtocol": "tcp", "ports": ["3389"]}], "0.0.0.0/0"),
        "icmp": ([{"IPProtocol": "icmp"}], "0.0.0.0/0"),
    }
    for suffix, (allowed, source) in rules.items():
        ref = Ref(project, "global", "firewalls", f"default-allow-{suffix}")
        store.put(
            ref,
            base("firewall", ref)
            | {
                "description": f"Default rule: {suffix}",
                "network": link(f"projects/{project}/global/networks/default"),
                "priority": 65534,
                "direction": "INGRESS",
                "sourceRanges": [source],
                "allowed": allowed,
                "disabled": False,
                "logConfig": {"enable": False},
            },
        )
