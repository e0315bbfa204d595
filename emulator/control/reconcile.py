# SPDX-License-Identifier: Apache-2.0
"""After a restart: brings machines and records together again and ends what was interrupted."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

from emulator.errors import ApiError, Json
from emulator.handlers import machines_sync
from emulator.handlers.instance_power import halt, mark_terminated
from emulator.world.backend import MachineError
from emulator.world.operations import target_name
from emulator.world.references import Ref
from emulator.world.world import World, key_of

_log = logging.getLogger(__name__)


def reconcile(world: World) -> None:
    """Boots machines whose instances should run, finishes stops and deletes, ends operations."""
    interrupted = world.operations.interrupted()
    deleting = {
        (ref.project, ref.scope, target_name(body))
        for ref, body in interrupted
        if body["operationType"] == "delete"
    }
    with ThreadPoolExecutor(4) as pool:
        for ref, instance in world.store.items("instances"):
            being_deleted = (ref.project, ref.scope, ref.name) in deleting
            pool.submit(_instance, world, ref, instance, being_deleted)
    for ref, body in interrupted:
        world.operations.finish(ref, _outcome(world, ref, body))


def _instance(world: World, ref: Ref, instance: Json, being_deleted: bool) -> None:
    try:
        _settle(world, ref, instance["status"], being_deleted)
    except MachineError as error:
        _log.warning("%s: %s", ref.path, error)
        mark_terminated(world, ref, str(error))
    except Exception:
        _log.exception("%s can't be reconciled", ref.path)
        mark_terminated(world, ref, "The emulator could not bring it up after a restart.")


def _settle(world: World, ref: Ref, status: str, being_deleted: bool) -> None:
    key = key_of(ref)
    if status in {"STOPPING", "SUSPENDING"}:
        halt(world, ref, "TERMINATED" if status == "STOPPING" else "SUSPENDED")
    elif status in {"PROVISIONING", "STAGING"}:
        machines_sync.create(world, key)
    elif status == "RUNNING":
        if world.backend.running(key):
            machines_sync.refresh(world, key)
        else:
            machines_sync.start(world, key)
    if being_deleted:
        _log.warning("%s: its deletion was interrupted; ask again", ref.path)


def _outcome(world: World, ref: Ref, operation: Json) -> ApiError | None:
    """Success where the target is as the operation wanted it, else an error that says so."""
    target = Ref(ref.project, ref.scope, "instances", target_name(operation))
    instance = world.store.get(target)
    wanted = {
        "insert": instance is not None and instance["status"] == "RUNNING",
        "start": instance is not None and instance["status"] == "RUNNING",
        "resume": instance is not None and instance["status"] == "RUNNING",
        "suspend": instance is not None and instance["status"] == "SUSPENDED",
        "stop": instance is not None and instance["status"] == "TERMINATED",
        "delete": instance is None,
    }
    if "/instances/" in operation["targetLink"] and wanted.get(operation["operationType"]):
        return None
    return ApiError(
        500,
        "internalError",
        "The emulator was restarted before this operation was done; ask again.",
        code="INTERNAL_ERROR",
    )
