# SPDX-License-Identifier: Apache-2.0
"""The project itself: quotas, default service account, common metadata."""

from __future__ import annotations

from emulator.errors import Json, condition_not_met
from emulator.handlers.machines_sync import apply_project_metadata
from emulator.request.call import Call, handles
from emulator.rules import resources as rules
from emulator.world import fingerprints
from emulator.world.references import link
from emulator.world.world import World


@handles("projects.get")
def get(call: Call) -> Json:
    """The project's resource."""
    name, record = call.world.project(call.project)
    return {
        "kind": "compute#project",
        "id": record["id"],
        "creationTimestamp": record["created"],
        "name": name,
        "selfLink": link(f"projects/{name}"),
        "commonInstanceMetadata": _metadata(record),
        "quotas": call.world.quotas.listing(name, None),
        "defaultServiceAccount": default_service_account(call.world, name),
        "defaultNetworkTier": "PREMIUM",
        "xpnProjectStatus": "UNSPECIFIED_XPN_PROJECT_STATUS",
        "vmDnsSetting": "ZONAL_ONLY",
    }


def default_service_account(world: World, project: str) -> str:
    """The address of the account that instances get when none is named."""
    _, record = world.project(project)
    return f"{record['number']}-compute@developer.gserviceaccount.com"


def _metadata(record: Json) -> Json:
    items = record["metadata"]
    metadata: Json = {"kind": "compute#metadata", "fingerprint": fingerprints.of(items)}
    return metadata | ({"items": items} if items else {})


@handles("projects.setCommonInstanceMetadata")
def set_common_instance_metadata(call: Call) -> Json:
    """Replaces the metadata that all instances share."""
    name, record = call.world.project(call.project)
    items = call.body.get("items", [])
    rules.metadata(items, "resource.items")
    current = fingerprints.of(record["metadata"])
    given = call.body.get("fingerprint")
    if not fingerprints.same(given or "", current) and (given or record["metadata"]):
        raise condition_not_met("Supplied fingerprint does not match current metadata fingerprint.")

    def work() -> None:
        with call.world.store.transaction():
            _, now = call.world.project(name)
            call.world.store.put_setting(f"project:{name}", now | {"metadata": items})
        apply_project_metadata(call.world, name)

    return call.world.operations.begin(
        "setCommonInstanceMetadata",
        f"projects/{name}",
        project=name,
        scope="global",
        user=call.user,
        work=work,
        target_id=record["id"],
    )
