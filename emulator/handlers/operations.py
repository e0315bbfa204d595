# SPDX-License-Identifier: Apache-2.0
"""Operations of zones, regions and the project: get, list, wait."""

from __future__ import annotations

from emulator.errors import Json, not_found
from emulator.request.call import Call, handles
from emulator.request.listing import aggregated, flat
from emulator.world.references import link

_WAIT_SECONDS = 110.0  # the real one answers within two minutes
_KINDS = ("zoneOperations", "regionOperations", "globalOperations")


@handles(*(f"{kind}.get" for kind in _KINDS))
def get(call: Call) -> Json:
    """An operation as it is."""
    return call.world.get(call.ref("operations", call.params["operation"]))


@handles(*(f"{kind}.wait" for kind in _KINDS))
def wait(call: Call) -> Json:
    """An operation once it is DONE, or after a while."""
    ref = call.ref("operations", call.params["operation"])
    operation = call.world.operations.wait(ref, _WAIT_SECONDS)
    if operation is None:
        raise not_found(ref.path)
    return operation


@handles(*(f"{kind}.list" for kind in _KINDS))
def list_(call: Call) -> Json:
    """One scope's operations."""
    call.check_scope()
    path = link(f"projects/{call.project}/{call.scope}/operations")
    items = call.world.items("operations", call.project, call.scope)
    return flat("operation", path, items, call.params)


@handles("globalOperations.aggregatedList")
def aggregated_list(call: Call) -> Json:
    """All scopes' operations."""
    scopes = [s for kind in ("global", "regions", "zones") for s in call.world.scopes(kind)]
    path = link(f"projects/{call.project}/aggregated/operations")
    items = [(s, i) for s in scopes for i in call.world.items("operations", call.project, s)]
    return aggregated(
        "operation", "operations", path, scopes=scopes, items=items, params=call.params
    )
