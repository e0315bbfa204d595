# SPDX-License-Identifier: Apache-2.0
"""The catalog as API resources: regions, zones, machine, accelerator and disk types, images."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

from emulator.errors import Json
from emulator.world import catalog_data as data
from emulator.world.references import Ref, link, region_of

_CREATED = "1969-12-31T16:00:00.000-08:00"  # what the real API gives for its own resources

REGIONS = sorted({region_of(zone) for zone in data.ZONES})


def zones_of(region: str) -> list[str]:
    """The zones of a region."""
    return [zone for zone in data.ZONES if region_of(zone) == region]


def has_machine_type(zone: str, machine_type: str) -> bool:
    """Whether a zone offers a machine type."""
    machine = data.machine(machine_type)
    if machine is None or zone not in data.ZONES:
        return False
    return machine.gpus is None or machine.gpus[0] in data.ZONES[zone]


def zones_with(machine_type: str) -> list[str]:
    """Zones that offer a machine type."""
    return [zone for zone in data.ZONES if has_machine_type(zone, machine_type)]


def items(collection: str, project: str, scope: str) -> Iterator[Json]:
    """Resources of a collection in a scope as `project` sees them; regions come without quotas."""
    maker = _MAKERS.get(collection)
    if maker is not None:
        yield from maker(project, scope)


def get(ref: Ref) -> Json | None:
    """One resource of the catalog."""
    zone = ref.scope.removeprefix("zones/")
    if ref.collection == "machineTypes" and ref.name not in data.MACHINES:
        # Custom types are in no list, and there for whoever names one.
        there = has_machine_type(zone, ref.name)
        return _machine_type(ref.project, ref.scope, data.canonical(ref.name)) if there else None
    for item in items(ref.collection, ref.project, ref.scope):
        if item["name"] == ref.name:
            return item
    return None


def is_catalog(collection: str) -> bool:
    """Whether a collection is the catalog's, so that nobody can change it."""
    return collection in _MAKERS


def family(project: str, name: str, images: Iterable[Json] | None = None) -> Json | None:
    """The newest image of a family that is not deprecated, of all images or of those given."""
    alive = [
        image
        for image in (items("images", project, "global") if images is None else images)
        if image["family"] == name and "deprecated" not in image
    ]
    return max(alive, key=lambda image: str(image["creationTimestamp"]), default=None)


def _base(kind: str, path: str) -> Json:
    return {
        "kind": f"compute#{kind}",
        "id": str(int.from_bytes(hashlib.sha256(path.encode()).digest()[:7], "big")),
        "creationTimestamp": _CREATED,
        "name": path.rsplit("/", 1)[-1],
        "selfLink": link(path),
    }


def _regions(project: str, _scope: str) -> Iterator[Json]:
    for name in REGIONS:
        yield _base("region", f"projects/{project}/regions/{name}") | {
            "description": name,
            "status": "UP",
            "zones": [link(f"projects/{project}/zones/{zone}") for zone in zones_of(name)],
            "supportsPzs": False,
        }


def _zones(project: str, _scope: str) -> Iterator[Json]:
    for name in data.ZONES:
        yield _base("zone", f"projects/{project}/zones/{name}") | {
            "description": name,
            "status": "UP",
            "region": link(f"projects/{project}/regions/{region_of(name)}"),
            "availableCpuPlatforms": ["Intel Broadwell", "Intel Cascade Lake", "Intel Skylake"],
            "supportsPzs": False,
        }


def _machine_types(project: str, scope: str) -> Iterator[Json]:
    zone = scope.removeprefix("zones/")
    for name in data.MACHINES:
        if has_machine_type(zone, name):
            yield _machine_type(project, scope, name)


def _machine_type(project: str, scope: str, name: str) -> Json:
    machine = data.machine(name)
    assert machine is not None  # noqa: S101 (the catalog lists no other)
    item = _base("machineType", f"projects/{project}/{scope}/machineTypes/{name}") | {
        "description": machine.description,
        "guestCpus": machine.cpus,
        "memoryMb": machine.memory_mb,
        "imageSpaceGb": 0,
        "maximumPersistentDisks": 128,
        "maximumPersistentDisksSizeGb": "263168",
        "isSharedCpu": machine.shared_cpu,
        "architecture": "X86_64",
        "zone": scope.removeprefix("zones/"),
    }
    if machine.gpus:
        kind, count = machine.gpus
        item["accelerators"] = [{"guestAcceleratorType": kind, "guestAcceleratorCount": count}]
    if name in data.LOCAL_SSDS:
        item["bundledLocalSsds"] = {
            "defaultInterface": "NVME",
            "partitionCount": data.LOCAL_SSDS[name],
        }
    return item


def _accelerator_types(project: str, scope: str) -> Iterator[Json]:
    zone = scope.removeprefix("zones/")
    for name in data.ZONES.get(zone, ()):
        accelerator = data.ACCELERATORS[name]
        yield _base("acceleratorType", f"projects/{project}/{scope}/acceleratorTypes/{name}") | {
            "description": accelerator.description,
            "maximumCardsPerInstance": accelerator.most,
            "zone": link(f"projects/{project}/{scope}"),
        }


def _disk_types(project: str, scope: str) -> Iterator[Json]:
    zone = scope.removeprefix("zones/")
    if zone not in data.ZONES:
        return
    for name, (description, default, least, most) in data.DISK_TYPES.items():
        yield _base("diskType", f"projects/{project}/{scope}/diskTypes/{name}") | {
            "description": description,
            "defaultDiskSizeGb": str(default),
            "validDiskSize": f"{least}GB-{most}GB",
            "zone": link(f"projects/{project}/{scope}"),
        }


def _images(project: str, _scope: str) -> Iterator[Json]:
    for image in data.IMAGES:
        if image.project != project:
            continue
        year, month, day = image.stamp[1:5], image.stamp[5:7], image.stamp[7:9]
        item = _base("image", f"projects/{project}/global/images/{image.name}") | {
            "creationTimestamp": f"{year}-{month}-{day}T08:00:00.000-07:00",
            "description": image.description,
            "family": image.family,
            "status": "READY",
            "sourceType": "RAW",
            "diskSizeGb": str(image.size_gb),
            "archiveSizeBytes": str(image.size_gb * 2**28),
            "architecture": "X86_64",
            "licenses": [link(f"projects/{project}/global/licenses/{image.family}")],
            "guestOsFeatures": [{"type": feature} for feature in image.features],
            "labelFingerprint": "42WmSpB8rSM=",
            "storageLocations": ["us"],
        }
        if image.deprecated:
            newest = max(i.name for i in data.IMAGES if i.family == image.family)
            item["deprecated"] = {
                "state": "DEPRECATED",
                "replacement": link(f"projects/{project}/global/images/{newest}"),
            }
        yield item


_MAKERS = {
    "regions": _regions,
    "zones": _zones,
    "machineTypes": _machine_types,
    "acceleratorTypes": _accelerator_types,
    "diskTypes": _disk_types,
    "images": _images,
}
