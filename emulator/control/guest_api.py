# SPDX-License-Identifier: Apache-2.0
"""The emulator's control for what a process on an instance writes into guest attributes."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.control.faults_api import body_of
from emulator.errors import invalid, not_found
from emulator.world import guest_attributes
from emulator.world.references import Ref
from emulator.world.world import World


def routes(world: World) -> list[Route]:
    """Routes below /emulator/v1."""

    async def attribute(request: Request) -> Response:
        at = request.path_params
        ref = Ref(at["project"], f"zones/{at['zone']}", "instances", at["instance"])
        instance = world.find(ref)
        if instance is None:
            raise not_found(ref.path)
        value = (await body_of(request)).get("value")
        if value is not None and not isinstance(value, str):
            raise invalid("value", value, "It must be a text or null.")
        written = guest_attributes.write(world.store, instance, at["namespace"], at["key"], value)
        return JSONResponse(written)

    path = (
        "/emulator/v1/projects/{project}/zones/{zone}/instances/{instance}"
        "/guest-attributes/{namespace}/{key}"
    )
    return [Route(path, attribute, methods=["PUT"])]
