# SPDX-License-Identifier: Apache-2.0
"""What a boot disk is and was made from, written down, and whether there is something newer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import ApiError
from .. import images, naming
from ..client import GceClient

# Metadata keys, written at creation: a newer image in the same family is told of, and is not
# mistaken for a change.
FAMILY = "gce-vllm-image-family"
IMAGE = "gce-vllm-image"
IMAGE_ID = "gce-vllm-image-id"
RECORDS = (FAMILY, IMAGE, IMAGE_ID)
# `NAME:TYPE` of the boot disk, so that a run that finds the desired type need not read the disk.
DISK = "gce-vllm-boot-disk"
# `NAME:IP` of the reserved address that it was given by name, so that a run that finds that IP need
# not look the name up: an address can't be released, or be another, as long as it is in use.
ADDRESS = "gce-vllm-address"
_FIELDS = "items(id,name,family,creationTimestamp,deprecated),nextPageToken"

Json = dict[str, Any]


def records(image: Mapping[str, Any], project: str) -> dict[str, str]:
    """Metadata fields that pin an image of a project."""
    found = {
        f"metadata.{IMAGE}": f"{project}/{image['name']}",
        f"metadata.{IMAGE_ID}": str(image.get("id", "")),
    }
    if image.get("family"):
        found[f"metadata.{FAMILY}"] = f"{project}/{image['family']}"
    return found


def disk_record(name: str, kind: Any) -> dict[str, str]:
    """Metadata field of a new boot disk; {} where Google chooses its type."""
    return {f"metadata.{DISK}": f"{name}:{kind}"} if kind else {}


def recorded_type(metadata: Mapping[str, Any], source: str) -> str:
    """Type of the attached boot disk as recorded; '' where the record is of none or another.

    Args:
        metadata: the instance's, key to value.
        source: URL of the disk.
    """
    name, _, kind = str(metadata.get(DISK, "")).partition(":")
    return kind if name and name == naming.short(source) else ""


def address_record(name: str, ip: str) -> dict[str, str]:
    """Metadata field of an address that was asked for by name."""
    return {f"metadata.{ADDRESS}": f"{name}:{ip}"}


def recorded_address(resource: Mapping[str, Any] | None, name: str, ip: str | None) -> bool:
    """Whether an instance, whose external address is `ip`, has got that as the address `name`."""
    items = ((resource or {}).get("metadata") or {}).get("items")
    return bool(ip) and naming.items_to_dict(items).get(ADDRESS) == f"{name}:{ip}"


def family_and_newest(
    client: GceClient, disk: Mapping[str, Any] | None, desired: str
) -> tuple[str, Json | None]:
    """For an instance without records: the family of its image, and the newest of the desired
    one.

    One request, as both come from one list, where the image is of the desired family's project.

    Args:
        disk: the boot disk's resource.
        desired: `PROJECT/FAMILY`.

    Returns:
        `PROJECT/FAMILY`, '' where the image is gone; and the newest image, None where unknown.
    """
    path = naming.relative(str((disk or {}).get("sourceImage", "")))
    if not path:
        return "", None
    project, name = path.split("/")[1], naming.short(path)
    its_project, family = desired.split("/", 1)
    if project != its_project:
        image = client.find(path, f"look up the image {name} of project {project}")
        found = f"{project}/{image['family']}" if image and image.get("family") else ""
        return found, None
    listed = list(
        client.list(
            f"projects/{project}/global/images",
            f"look up the image {name} and its family in project {project}",
            filter=f'(name = "{name}") OR (family = "{family}")',
            fields=_FIELDS,
        )
    )
    own = next((one for one in listed if one["name"] == name), None)
    if own is None or not own.get("family"):
        return "", None
    usable = [one for one in listed if one.get("family") == family and not one.get("deprecated")]
    newest = max(usable, key=lambda one: str(one.get("creationTimestamp", "")), default=None)
    return f"{project}/{own['family']}", newest


def newest_of(client: GceClient, family: str) -> tuple[Json | None, str]:
    """The newest image of `PROJECT/FAMILY`, and a warning where Google no longer tells."""
    project, name = family.split("/", 1)
    path = f"projects/{project}/global/images/family/{name}"
    try:
        return client.get(path, f"look up the image family {name} in project {project}"), ""
    except ApiError as error:
        if error.status not in (403, 404):
            raise
        told = (
            "gce_image_info names its successors."
            if error.status == 403
            else images.gone(client, project, name, error).message
        )
        return None, (
            f"The image family {name} of project {project}, from which the boot disk was made, is "
            "no longer there or may not be read: whether there is a newer image is not known. "
            f"{told}"
        )


def newer(family: str, current: str, current_id: str, newest: Mapping[str, Any]) -> Json | None:
    """What to tell where `newest` is another image; None where it is the current one.

    Args:
        current: `PROJECT/IMAGE`.
        current_id: its id, '' where not known.
    """
    project = family.split("/", 1)[0]
    name = f"{project}/{newest['name']}"
    same = current_id == str(newest.get("id")) if current_id else current == name
    return None if same else {"family": family, "current": current, "newest": name}
