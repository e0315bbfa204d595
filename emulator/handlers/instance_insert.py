# SPDX-License-Identifier: Apache-2.0
"""instances.insert: from a request to a complete instance, its disks, and a booting machine."""

from __future__ import annotations

import contextlib
import ipaddress

from emulator.errors import ApiError, Json, already_exists, in_use, invalid, required, stockout
from emulator.handlers import machines_sync
from emulator.handlers.addresses import mark_users
from emulator.handlers.disks import find_disk_type, find_image, make_disk
from emulator.handlers.networks import find_network
from emulator.handlers.projects import default_service_account
from emulator.request.call import Call, handles
from emulator.rules import disks as disk_rules
from emulator.rules import instances, local_ssds, resource_policies
from emulator.rules import resources as rules
from emulator.world import catalog, fingerprints
from emulator.world import catalog_data as data
from emulator.world.backend import MachineError
from emulator.world.references import Ref, last, link, parse, region_of
from emulator.world.world import World, base, key_of

_COPIED = (
    "description", "hostname", "minCpuPlatform", "canIpForward", "deletionProtection",
    "shieldedInstanceConfig", "shieldedInstanceIntegrityPolicy", "confidentialInstanceConfig",
    "displayDevice", "advancedMachineFeatures", "instanceEncryptionKey", "localSsdEncryptionMode",
    "networkPerformanceConfig", "keyRevocationActionType", "privateIpv6GoogleAccess",
    "workloadIdentityConfig",
)  # fmt: skip
# Of an interface, likewise: what compute v1's NetworkInterface takes and nothing here works by.
_COPIED_OF_INTERFACE = (
    "nicType", "aliasIpRanges", "aliasIpv6Ranges", "enableVpcScopedDns", "igmpQuery",
    "internalIpv6PrefixLength", "ipv6AccessConfigs", "ipv6Address", "queueCount", "vlan",
)  # fmt: skip
_COPIED_OF_NEW_DISK = (
    "description", "enableConfidentialCompute", "resourcePolicies", "storagePool",
)  # fmt: skip


@handles("instances.insert")
def insert(call: Call) -> Json:
    """Creates an instance; its machine boots in the operation."""
    call.check_scope()
    body, world = call.body, call.world
    rules.need(body, "name", "machineType", "disks", "networkInterfaces")
    ref = call.ref("instances", body["name"])
    if world.find(ref):
        raise already_exists(ref.path)
    instance = _instance(call, ref)
    disks, image = _disks(call, ref, instance)
    failure = capacity_failure(world, ref, instance)
    if failure is None:
        for disk_ref, disk in disks:
            world.store.put(disk_ref, disk)
        world.store.put(ref, instance)
        world.store.put_setting(f"boot:{instance['id']}", image)
        for interface in instance["networkInterfaces"]:
            for access in interface.get("accessConfigs", []):
                if "natIP" in access:
                    mark_users(call, access["natIP"])

    def work() -> None:
        if failure is not None:
            raise failure
        try:
            machines_sync.create(world, key_of(ref))
        except MachineError:
            with contextlib.suppress(MachineError):
                world.backend.delete(key_of(ref))
            with world.store.transaction():
                world.store.delete(ref)
                for disk_ref, _ in disks:
                    world.store.delete(disk_ref)
            raise

    return call.begin("insert", ref, instance, work)


def capacity_failure(world: World, ref: Ref, instance: Json) -> ApiError | None:
    """Why the zone or the quota can't give this instance now; None when they can."""
    zone, name = last(ref.scope), last(instance["machineType"])
    dry = set(world.store.setting("stockouts", []))
    for candidate in (name, "*"):
        if f"{zone}/{candidate}" in dry:
            others = [z for z in catalog.zones_with(name) if f"{z}/{candidate}" not in dry]
            region = region_of(zone)
            near = [z for z in others if region_of(z) == region]
            detailed = f"{zone}/{candidate}" in world.store.setting("stockouts_detailed", [])
            return stockout(ref.project, zone, name, near or others, with_details=detailed)
    try:
        world.quotas.check_instance(ref.project, zone, instance)
    except ApiError as error:
        return error
    return None


def _instance(call: Call, ref: Ref) -> Json:
    body, world = call.body, call.world
    zone_path = f"projects/{call.project}/{call.scope}"
    name = instances.machine_type(
        body["machineType"], call.project, call.zone, "resource.machineType"
    )
    gpus = instances.accelerators(body.get("guestAccelerators", []), name, call.project, call.zone)
    labels = body.get("labels", {})
    rules.labels(labels)
    tags = sorted(set(body.get("tags", {}).get("items", [])))
    rules.tags(tags)
    metadata = body.get("metadata", {}).get("items", [])
    rules.metadata(metadata)
    instance = base("instance", ref) | {
        "zone": link(zone_path),
        "status": "PROVISIONING",
        "machineType": link(f"{zone_path}/machineTypes/{name}"),
        "cpuPlatform": "Intel Cascade Lake",
        "labelFingerprint": fingerprints.of(labels),
        "tags": tag_resource(tags),
        "metadata": metadata_resource(metadata),
        "networkInterfaces": _interfaces(call),
        "scheduling": instances.scheduling(
            body.get("scheduling", {}),
            name,
            gpus,
            local_ssd=name in data.LOCAL_SSDS or bool(_scratch(body)),
        ),
        "canIpForward": False,
        "startRestricted": False,
        "deletionProtection": False,
        "shieldedInstanceConfig": {
            "enableSecureBoot": False,
            "enableVtpm": True,
            "enableIntegrityMonitoring": True,
        },
        "shieldedInstanceIntegrityPolicy": {"updateAutoLearnPolicy": True},
        "fingerprint": fingerprints.of([ref.path, name]),
    }
    if labels:
        instance["labels"] = labels
    if gpus:
        instance["guestAccelerators"] = gpus
    for field in _COPIED:
        if field in body:
            old = instance.get(field)
            instance[field] = old | body[field] if isinstance(old, dict) else body[field]
    instance["reservationAffinity"] = instances.reservation_affinity(
        body.get("reservationAffinity"), instance["scheduling"]["provisioningModel"]
    )
    policies = resource_policies.links(
        world, call.project, call.zone, body.get("resourcePolicies", [])
    )
    resource_policies.refuse_second(policies)
    if policies:
        instance["resourcePolicies"] = policies
    accounts = service_accounts(world, call.project, body.get("serviceAccounts", []))
    if accounts:
        instance["serviceAccounts"] = accounts
    return instance


def tag_resource(items: list[str]) -> Json:
    """Tags as an instance shows them."""
    return {"fingerprint": fingerprints.of(items)} | ({"items": items} if items else {})


def metadata_resource(items: list[Json]) -> Json:
    """Metadata as an instance shows it."""
    metadata: Json = {"kind": "compute#metadata", "fingerprint": fingerprints.of(items)}
    return metadata | ({"items": items} if items else {})


def service_accounts(world: World, project: str, given: list[Json]) -> list[Json]:
    """Service accounts with `default` resolved."""
    if len(given) > 1:
        raise invalid("resource.serviceAccounts", f"{len(given)} accounts", "At most one.")
    result = []
    for account in given:
        email = account.get("email") or "default"
        if email == "default":
            email = default_service_account(world, project)
        elif "@" not in email:
            raise invalid("resource.serviceAccounts[0].email", email, "It is not an address.")
        if email:
            result.append({"email": email, "scopes": account.get("scopes", [])})
    return result


def _interfaces(call: Call) -> list[Json]:
    result: list[Json] = []
    for position, given in enumerate(call.body["networkInterfaces"]):
        field = f"resource.networkInterfaces[{position}]"
        network, subnet_ref, subnet = _place(call, given, field)
        taken = {i["networkIP"] for i in result}
        interface: Json = {
            "kind": "compute#networkInterface",
            "name": f"nic{position}",
            "network": network,
            "subnetwork": subnet_ref.link,
            "networkIP": _internal_address(
                call,
                subnet_ref,
                subnet,
                wanted=given.get("networkIP"),
                taken=taken,
                field=f"{field}.networkIP",
            ),
            "stackType": given.get("stackType", "IPV4_ONLY"),
        }
        interface |= {field: given[field] for field in _COPIED_OF_INTERFACE if field in given}
        configs = given.get("accessConfigs", [])
        if len(configs) > 1:
            raise invalid(f"{field}.accessConfigs", f"{len(configs)} items", "At most one.")
        if configs:
            interface["accessConfigs"] = [access_config(call, configs[0], field)]
        interface["fingerprint"] = fingerprints.of(interface)
        result.append(interface)
    return result


def access_config(call: Call, given: Json, field: str) -> Json:
    """An access config; its natIP is there only where the request names a reserved one."""
    access: Json = {
        "kind": "compute#accessConfig",
        "type": given.get("type", "ONE_TO_ONE_NAT"),
        "name": given.get("name", "External NAT"),
        "networkTier": given.get("networkTier", "PREMIUM"),
    }
    for name in ("publicPtrDomainName", "setPublicPtr", "securityPolicy"):
        if name in given:
            access[name] = given[name]
    wanted = given.get("natIP")
    if wanted:
        where = f"{field}.accessConfigs[0].natIP"
        scope = f"regions/{region_of(call.zone)}"
        for ref, address in call.world.store.items("addresses", call.project, scope):
            if address["address"] == wanted:
                if address.get("users"):
                    raise in_use(ref.path, address["users"][0])
                access["natIP"] = wanted
                return access
        raise invalid(where, wanted, f"No address of {scope} that is reserved.")
    return access


def _place(call: Call, given: Json, field: str) -> tuple[str, Ref, Json]:
    """The network and subnetwork of an interface."""
    region = f"regions/{region_of(call.zone)}"
    if given.get("subnetwork"):
        where = f"{field}.subnetwork"
        ref = parse(
            given["subnetwork"], field=where, project=call.project, scope=region,
            collection="subnetworks",
        )  # fmt: skip
        subnet = call.world.find(ref)
        if subnet is None:
            raise invalid(
                where, given["subnetwork"], "The referenced subnetwork resource cannot be found."
            )
        if ref.scope != region:
            raise invalid(where, given["subnetwork"], f"It must be in {region}.")
        if given.get("network"):
            network = find_network(call, given["network"], f"{field}.network")
            if network.link != subnet["network"]:
                raise invalid(where, given["subnetwork"], f"It is not part of {network.path}.")
        return subnet["network"], ref, subnet
    network = find_network(
        call, given.get("network") or "global/networks/default", f"{field}.network"
    )
    for ref, subnet in call.world.store.items("subnetworks", call.project, region):
        if subnet["network"] == network.link:
            if not call.world.get(network)["autoCreateSubnetworks"]:
                break
            return network.link, ref, subnet
    raise required(f"{field}.subnetwork")


def _internal_address(
    call: Call, ref: Ref, subnet: Json, *, wanted: str | None, taken: set[str], field: str
) -> str:
    for _, instance in call.world.store.items("instances", call.project):
        for interface in instance["networkInterfaces"]:
            if interface["subnetwork"] == ref.link:
                taken.add(interface["networkIP"])
    network = ipaddress.ip_network(subnet["ipCidrRange"])
    reserved = {str(network[0]), str(network[1]), str(network[-2]), str(network[-1])}
    if wanted:
        try:
            inside = ipaddress.ip_address(wanted) in network
        except ValueError as error:
            raise invalid(field, wanted, "It is not an address.") from error
        if not inside or wanted in reserved:
            raise invalid(field, wanted, f"It is not free for use in {network}.")
        if wanted in taken:
            raise invalid(field, wanted, "Another instance has it.")
        return wanted
    for address in network.hosts():
        if str(address) not in taken | reserved:
            return str(address)
    raise ApiError(
        403, "ipSpaceExhausted", f"IP space of '{ref.path}' is exhausted.",
        code="IP_SPACE_EXHAUSTED",
    )  # fmt: skip


def _disks(call: Call, ref: Ref, instance: Json) -> tuple[list[tuple[Ref, Json]], str]:
    """New and changed disks by reference, and the boot image; fills in the instance's own list."""
    attached: list[Json] = []
    written: list[tuple[Ref, Json]] = []
    image_name = ""
    for index, given in enumerate(call.body["disks"]):
        if given.get("type") == "SCRATCH":
            continue
        field = f"resource.disks[{index}]"
        boot = given.get("boot", False)
        if boot != (index == 0):
            raise invalid(f"{field}.boot", boot, "Exactly the first disk must be the boot disk.")
        if given.get("source"):
            disk_ref, disk = _existing_disk(call, given["source"], f"{field}.source")
            if not boot:
                machine = last(instance["machineType"])
                disk_rules.fits_machine(last(disk["type"]), machine, f"{field}.source")
        else:
            disk_ref, disk = _new_disk(call, ref, given, index, instance)
        disk["users"] = [ref.link]
        written.append((disk_ref, disk))
        if boot:
            if "sourceImage" not in disk:
                raise invalid(f"{field}.source", disk_ref.path, "The boot disk holds no image.")
            parts = disk["sourceImage"].split("/projects/")[1].split("/")
            image_name = f"{parts[0]}/{parts[-1]}"
        if disk_ref in [ref for ref, _ in written[:-1]]:
            raise invalid(f"{field}.source", disk_ref.path, "The disk is named twice.")
        attached.append(attached_disk(given, disk_ref, disk, index))
    machine = last(instance["machineType"])
    attached += local_ssds.attached(_scratch(call.body), machine, len(attached))
    devices = [one["deviceName"] for one in attached]
    for index, device in enumerate(devices):
        if device in devices[:index]:
            raise invalid(
                f"resource.disks[{index}].deviceName", device, "Another disk has this name."
            )
    instance["disks"] = attached
    return written, image_name


def _scratch(body: Json) -> list[Json]:
    return [disk for disk in body["disks"] if disk.get("type") == "SCRATCH"]


def _existing_disk(call: Call, text: str, field: str) -> tuple[Ref, Json]:
    ref = parse(text, field=field, project=call.project, scope=call.scope, collection="disks")
    disk = call.world.find(ref)
    if disk is None:
        raise invalid(field, text, "The referenced disk resource cannot be found.")
    if disk.get("users"):
        raise in_use(ref.path, disk["users"][0])
    return ref, disk


def _new_disk(call: Call, ref: Ref, given: Json, index: int, instance: Json) -> tuple[Ref, Json]:
    field = f"resource.disks[{index}].initializeParams"
    params = given.get("initializeParams")
    if params is None:
        raise required(field)
    name = params.get("diskName") or (ref.name if index == 0 else f"{ref.name}-{index}")
    rules.name(name, f"{field}.diskName")
    machine = last(instance["machineType"])
    usable = data.boot_disk_types(machine)
    kind = find_disk_type(call, params.get("diskType") or usable[0], f"{field}.diskType")
    if index == 0 and kind not in usable:
        raise invalid(
            f"{field}.diskType", kind, f"{machine} can't boot from it; choose {', '.join(usable)}."
        )
    if index:
        disk_rules.fits_machine(kind, machine, f"{field}.diskType")
    image = None
    if params.get("sourceImage"):
        image = find_image(call, params["sourceImage"], f"{field}.sourceImage")
    elif index == 0:
        raise required(f"{field}.sourceImage")
    disk_ref = call.ref("disks", name)
    copied = {field: params[field] for field in _COPIED_OF_NEW_DISK if field in params}
    if given.get("diskEncryptionKey"):
        copied["diskEncryptionKey"] = _key_in_use(given["diskEncryptionKey"])
    size = params.get("diskSizeGb") or given.get("diskSizeGb")
    disk = make_disk(
        call, disk_ref, kind=kind, size=size, image=image, given=params, field=f"{field}.diskSizeGb"
    )
    disk |= copied
    rules.labels(params.get("labels", {}), f"{field}.labels")
    if params.get("labels"):
        disk["labels"] = params["labels"]
        disk["labelFingerprint"] = fingerprints.of(params["labels"])
    return disk_ref, disk


def _key_in_use(key: Json) -> Json:
    """A key as answers name it: with its version (CustomerEncryptionKey.kmsKeyName)."""
    if "kmsKeyName" not in key:
        return {"sha256": fingerprints.of(key)}  # a key of the caller's own is never shown again
    return {**key, "kmsKeyName": f"{key['kmsKeyName']}/cryptoKeyVersions/1"}


def attached_disk(given: Json, ref: Ref, disk: Json, index: int) -> Json:
    """A disk as the instance that has it shows it; `given` is what the request says of it."""
    attached: Json = {
        "kind": "compute#attachedDisk",
        "type": "PERSISTENT",
        "mode": given.get("mode", "READ_WRITE"),
        "source": ref.link,
        "deviceName": given.get("deviceName") or f"persistent-disk-{index}",
        "index": index,
        "boot": bool(given.get("boot", False)),
        "autoDelete": given.get("autoDelete", False),
        "interface": given.get("interface", "SCSI"),
        "diskSizeGb": disk["sizeGb"],
    }
    for field in ("licenses", "guestOsFeatures", "architecture", "diskEncryptionKey"):
        if field in disk:
            attached[field] = disk[field]
    return attached
