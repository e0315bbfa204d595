# SPDX-License-Identifier: Apache-2.0
"""Disks: insert, update, delete, resize, setLabels."""

from __future__ import annotations

import re

from emulator.errors import Json, already_exists, condition_not_met, in_use, invalid
from emulator.request.call import Call, handles
from emulator.rules import disks
from emulator.rules import resources as rules
from emulator.world import catalog_data as data
from emulator.world import fingerprints
from emulator.world.references import Ref, link, parse
from emulator.world.world import base

# gcloud names the image that it asked for by the URL of the question.
_FAMILY_VIEW = re.compile(r"/zones/[^/]+/imageFamilyViews/([^/]+)$")


@handles("disks.insert")
def insert(call: Call) -> Json:
    """Creates a disk, empty or from an image."""
    call.check_scope()
    body = dict(call.body)
    rules.need(body, "name")
    image_text = call.params.get("sourceImage") or body.get("sourceImage")
    image = find_image(call, image_text, "resource.sourceImage") if image_text else None
    kind = find_disk_type(call, body.get("type") or "pd-standard", "resource.type")
    ref = call.ref("disks", body["name"])
    disk = make_disk(
        call,
        ref,
        kind=kind,
        size=body.get("sizeGb"),
        image=image,
        given=body,
        field="resource.sizeGb",
    )
    rules.labels(body.get("labels", {}))
    disk |= {field: body[field] for field in ("description", "labels") if field in body}
    disk["labelFingerprint"] = fingerprints.of(disk.get("labels", {}))
    call.world.store.put(ref, disk)
    return call.begin("insert", ref, disk, lambda: None)


def find_disk_type(call: Call, text: str, field: str) -> str:
    """The name of the disk type that a request names; 400 when there is none."""
    ref = parse(text, field=field, project=call.project, scope=call.scope, collection="diskTypes")
    if call.world.find(ref) is None or ref.scope != call.scope:
        known = ", ".join(data.DISK_TYPES)
        raise invalid(field, text, f"The zone has no such disk type; it has {known}.")
    return ref.name


def find_image(call: Call, text: str, field: str) -> Json:
    """The image or the newest of the family that a request names; 400 when there is none."""
    text = _FAMILY_VIEW.sub(r"/global/images/family/\1", text)
    ref = parse(text, field=field, project=call.project, scope="global", collection="images")
    if ref.name.startswith("family/"):
        image = call.world.images.family(ref.project, ref.name.removeprefix("family/"))
    else:
        image = call.world.find(ref)
    if image is None:
        raise invalid(field, text, "The referenced image resource cannot be found.")
    return image


def make_disk(
    call: Call,
    ref: Ref,
    *,
    kind: str,
    size: str | None,
    image: Json | None,
    given: Json,
    field: str,
) -> Json:
    """A new disk's resource, checked for name, size, performance and quota.

    Args:
        given: the request's `provisionedIops` and `provisionedThroughput`, where it has them.
    """
    rules.name(ref.name, f"{field.rsplit('.', 1)[0]}.name")
    if call.world.find(ref):
        raise already_exists(ref.path)
    _, default, least, most = data.DISK_TYPES[kind]
    floor = max(least, int(image["diskSizeGb"]) if image else 0)
    size_gb = int(size) if size else (int(image["diskSizeGb"]) if image else default)
    if size_gb < floor:
        why = "the image's size" if image else f"the least for {kind}"
        raise invalid(
            field, str(size_gb), f"Requested disk size cannot be smaller than {why} ({floor} GB)."
        )
    if size_gb > most:
        raise invalid(field, str(size_gb), f"At most {most} GB.")
    fast = disks.performance(kind, size_gb, given, field.rsplit(".", 1)[0])
    call.world.quotas.check_disk(call.project, call.zone, kind, size_gb)
    zone = f"projects/{call.project}/{call.scope}"
    disk = base("disk", ref) | {
        "sizeGb": str(size_gb),
        "type": link(f"{zone}/diskTypes/{kind}"),
        "zone": link(zone),
        "status": "READY",
        "physicalBlockSizeBytes": "4096",
        "labelFingerprint": fingerprints.of({}),
    }
    disk |= fast
    if image:
        disk |= {
            "sourceImage": image["selfLink"],
            "sourceImageId": image["id"],
            "licenses": image["licenses"],
            "guestOsFeatures": image["guestOsFeatures"],
            "architecture": image["architecture"],
        }
    return disk


@handles("disks.delete")
def delete(call: Call) -> Json:
    """Removes a disk that no instance uses."""
    call.check_scope()
    ref = call.ref("disks", call.params["disk"])
    disk = call.world.get(ref)
    if disk.get("users"):
        raise in_use(ref.path, disk["users"][0])
    return call.begin("delete", ref, disk, lambda: call.world.store.delete(ref))


@handles("disks.resize")
def resize(call: Call) -> Json:
    """Makes a disk larger."""
    call.check_scope()
    rules.need(call.body, "sizeGb")
    ref = call.ref("disks", call.params["disk"])
    disk = call.world.get(ref)
    old, new = int(disk["sizeGb"]), int(call.body["sizeGb"])
    if new <= old:
        raise invalid("resource.sizeGb", str(new), f"It must be more than the {old} GB it has.")
    kind = disk["type"].rsplit("/", 1)[-1]
    call.world.quotas.check_disk(call.project, call.zone, kind, new - old)

    def work() -> None:
        with call.world.store.transaction():
            call.world.store.put(ref, call.world.get(ref) | {"sizeGb": str(new)})
            for user, instance in call.world.store.items("instances", ref.project, ref.scope):
                for attached in instance["disks"]:
                    if attached.get("source") == ref.link:
                        attached["diskSizeGb"] = str(new)
                        call.world.store.put(user, instance)

    return call.begin("resizeDisk", ref, disk, work)


_UPDATABLE = ("provisionedIops", "provisionedThroughput")


@handles("disks.update")
def update(call: Call) -> Json:
    """Changes the provisioned performance, also while an instance uses the disk."""
    call.check_scope()
    ref = call.ref("disks", call.params["disk"])
    disk = call.world.get(ref)
    paths = call.params.get("paths") or str(call.params.get("updateMask") or "").split(",")
    paths = [path for path in paths if path]
    for path in paths:
        if path not in _UPDATABLE:
            raise invalid("paths", path, f"It can't be updated; choose {', '.join(_UPDATABLE)}.")
    rules.need(call.body, *paths)
    wanted = {name: disk[name] for name in _UPDATABLE if name in disk}
    wanted |= {name: call.body[name] for name in paths}
    kind = disk["type"].rsplit("/", 1)[-1]
    fast = disks.performance(kind, int(disk["sizeGb"]), wanted, "resource")

    def work() -> None:
        with call.world.store.transaction():
            call.world.store.put(ref, call.world.get(ref) | fast)

    return call.begin("update", ref, disk, work)


@handles("disks.setLabels")
def set_labels(call: Call) -> Json:
    """Replaces a disk's labels."""
    call.check_scope()
    ref = call.ref("disks", call.params["resource"])
    disk = call.world.get(ref)
    labels = call.body.get("labels", {})
    rules.labels(labels)
    if not fingerprints.same(call.body.get("labelFingerprint", ""), disk["labelFingerprint"]):
        raise condition_not_met("Labels fingerprint either invalid or resource labels have changed")

    def work() -> None:
        with call.world.store.transaction():
            changed = {"labels": labels, "labelFingerprint": fingerprints.of(labels)}
            call.world.store.put(ref, call.world.get(ref) | changed)

    return call.begin("setLabels", ref, disk, work)
