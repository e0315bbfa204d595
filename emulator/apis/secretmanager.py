# SPDX-License-Identifier: Apache-2.0
"""The Secret Manager API v1: reading a version of a secret. Tests put secrets in by admin calls."""

from __future__ import annotations

import base64
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.control.faults_api import body_of
from emulator.errors import ApiError, Json, api_disabled, invalid
from emulator.request import validation
from emulator.request.auth import Authority
from emulator.request.discovery import secretmanager_v1
from emulator.world.world import World

API = "secretmanager.googleapis.com"
STATES = ("ENABLED", "DISABLED", "DESTROYED")
_METHOD = "secretmanager.projects.secrets.versions.access"


def put(world: World, project: str, name: str, body: Json) -> Json:
    """Adds a version; `data` is its text, `state` its state, `denied` whether nobody may read."""
    state = body.get("state", "ENABLED")
    if state not in STATES:
        raise invalid("state", state, f"It must be one of {', '.join(STATES)}.")
    project, _ = world.project(project)
    with world.store.transaction():
        record = world.store.setting(_place(project, name), {"versions": []})
        if "data" in body:
            data = base64.b64encode(str(body["data"]).encode()).decode()
            record["versions"].append({"data": data, "state": state})
        record["denied"] = bool(body.get("denied"))
        world.store.put_setting(_place(project, name), record)
    return {"versions": len(record["versions"])}


def access(world: World, given: str, name: str, version: str) -> Json:
    """What a version holds."""
    project, details = world.project(given)
    if world.store.setting(f"api-off:{project}:{API}"):
        raise api_disabled(details["number"], API)
    path = f"projects/{details['number']}/secrets/{name}"
    record = world.store.setting(_place(project, name), {"versions": []})
    if record.get("denied"):
        raise ApiError(
            403,
            "forbidden",
            f"Permission 'secretmanager.versions.access' denied for resource "
            f"'{path}/versions/{version}' (or it may not exist).",
        )
    versions = record["versions"]
    if not versions:
        raise ApiError(404, "notFound", f"Secret [{path}] not found or has no versions.")
    number = len(versions) if version == "latest" else _number(version)
    if not 1 <= number <= len(versions):
        raise ApiError(404, "notFound", f"Secret Version [{path}/versions/{version}] not found.")
    found = versions[number - 1]
    if found["state"] != "ENABLED":
        raise ApiError(
            400,
            "failedPrecondition",
            f"Secret Version [{path}/versions/{number}] is in {found['state']} state.",
        )
    return {"name": f"{path}/versions/{number}", "payload": {"data": found["data"]}}


def _number(version: str) -> int:
    return int(version) if version.isdecimal() else 0


def _place(project: str, name: str) -> str:
    return f"secret:{project}:{name}"


def routes(world: World, authority: Authority) -> list[Route]:
    """Routes of secretmanager.googleapis.com, which share the port with Compute Engine."""

    def answered(request: Request) -> Json:
        authority.check(request.headers.get("authorization"))
        values: dict[str, Any] = request.path_params
        path = "projects/{project}/secrets/{secret}/versions/{version}".format(**values)
        described = secretmanager_v1().methods[_METHOD]
        query = request.query_params.multi_items()
        validation.parameters(secretmanager_v1(), described, {"name": path}, query)
        return access(world, values["project"], values["secret"], values["version"])

    async def endpoint(request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(answered, request))

    async def admin(request: Request) -> Response:
        values, body = request.path_params, await body_of(request)
        return JSONResponse(
            await run_in_threadpool(put, world, values["project"], values["secret"], body)
        )

    return [
        Route(
            "/v1/projects/{project}/secrets/{secret}/versions/{version}:access",
            endpoint,
            methods=["GET"],
        ),
        Route("/emulator/v1/projects/{project}/secrets/{secret}", admin, methods=["PUT"]),
    ]
