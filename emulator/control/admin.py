# SPDX-License-Identifier: Apache-2.0
"""The emulator's own controls, for tests: quotas, stock-outs, delay, a view of the state."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.control.faults_api import body_of
from emulator.errors import Json, invalid, required
from emulator.world import catalog
from emulator.world import catalog_data as data
from emulator.world.world import World, key_of


def routes(world: World) -> list[Route]:
    """Routes below /emulator/v1; they need no credentials, being on loopback only."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def state(_request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(_state, world))

    async def quota(request: Request) -> Response:
        values, body = request.path_params, await body_of(request)
        limit = body.get("limit")
        if isinstance(limit, bool) or not isinstance(limit, int | float) or limit < 0:
            raise invalid("limit", limit, "It must be a number from 0 up.")
        region = values.get("region")
        if region is not None and region not in catalog.REGIONS:
            raise invalid("region", region, f"It must be one of {', '.join(catalog.REGIONS)}.")
        project, _ = world.project(values["project"])
        metric = values["metric"]
        family = metric.removeprefix("PREEMPTIBLE_").removesuffix("_GPUS")
        if region is not None and family in data.GPU_FAMILIES.values():
            # Not among a region's own metrics, but it holds: as in Cloud Quotas.
            world.quotas.set_family_limit(project, region, metric.removesuffix("_GPUS"), limit)
        else:
            world.quotas.set_limit(project, region, metric, limit)
        return JSONResponse({"metric": values["metric"], "limit": limit})

    async def stockouts(request: Request) -> Response:
        body = await body_of(request)
        return JSONResponse(await run_in_threadpool(_stockout, world, request.method, body))

    async def delay(request: Request) -> Response:
        seconds = (await body_of(request)).get("seconds")
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
            raise invalid("seconds", seconds, "It must be a number from 0 up.")
        world.operations.delay = seconds
        return JSONResponse({"seconds": seconds})

    async def project(request: Request) -> Response:
        await run_in_threadpool(world.add_project, request.path_params["project"])
        return JSONResponse({"project": request.path_params["project"]})

    async def api(request: Request) -> Response:
        values, enabled = request.path_params, (await body_of(request)).get("enabled")
        if not isinstance(enabled, bool):
            raise invalid("enabled", enabled, "It must be true or false.")
        project = values["project"]
        if project != "-":
            project, _ = world.project(project)
        world.store.put_setting(f"api-off:{project}:{values['api']}", not enabled)
        return JSONResponse({"api": values["api"], "enabled": enabled})

    async def image_family(request: Request) -> Response:
        values, body = request.path_params, await body_of(request)
        world.images.put(
            values["project"], values["family"], body.get("state"), body.get("replacement")
        )
        return JSONResponse({"family": values["family"], "state": body["state"]})

    async def images(_request: Request) -> Response:
        world.images.clear()
        return JSONResponse({})

    base = "/emulator/v1"
    return [
        Route(f"{base}/health", health),
        Route(f"{base}/state", state),
        Route(f"{base}/projects/{{project}}", project, methods=["PUT"]),
        Route(
            f"{base}/projects/{{project}}/regions/{{region}}/quotas/{{metric}}",
            quota,
            methods=["PUT"],
        ),
        Route(f"{base}/projects/{{project}}/global/quotas/{{metric}}", quota, methods=["PUT"]),
        # Cloud Quotas can be off in a project, Cloud Billing for all (`-`); Compute Engine never.
        Route(f"{base}/projects/{{project}}/apis/{{api}}", api, methods=["PUT"]),
        Route(f"{base}/images", images, methods=["DELETE"]),
        Route(f"{base}/images/{{project}}/{{family}}", image_family, methods=["PUT"]),
        Route(f"{base}/stockouts", stockouts, methods=["GET", "PUT", "DELETE"]),
        Route(f"{base}/operation-delay", delay, methods=["PUT"]),
    ]


def _stockout(world: World, method: str, body: Json) -> Json:
    """PUT adds a stock-out (`machine_type` `*` or left out: all), DELETE removes one or all.

    With `details` true it is told by the second of Google's two codes, `…_WITH_DETAILS`.
    """
    with world.store.transaction():
        current = set(world.store.setting("stockouts", []))
        detailed = set(world.store.setting("stockouts_detailed", []))
        if method != "GET" and (body or method == "PUT"):
            zone = body.get("zone")
            if not zone:
                raise required("zone")
            if zone not in data.ZONES:
                raise invalid("zone", zone, f"It must be one of {', '.join(data.ZONES)}.")
            entry = f"{zone}/{body.get('machine_type') or '*'}"
            current = current | {entry} if method == "PUT" else current - {entry}
            told = method == "PUT" and body.get("details") is True
            detailed = detailed | {entry} if told else detailed - {entry}
        elif method == "DELETE":
            current, detailed = set(), set()
        world.store.put_setting("stockouts_detailed", sorted(detailed))
        world.store.put_setting("stockouts", sorted(current))
    return {"stockouts": sorted(current)}


def _state(world: World) -> Json:
    projects = {}
    for name in world.store.settings("project:"):
        projects[name] = {
            collection: [body for _, body in world.store.items(collection, name)]
            for collection in (
                "instances", "disks", "addresses", "firewalls", "networks", "subnetworks",
                "operations",
            )
        }  # fmt: skip
        projects[name]["ingress"] = [
            {
                "instance": ref.path,
                "rules": [
                    {
                        "action": rule.action,
                        "protocol": rule.protocol,
                        "ports": [list(ports) for ports in rule.ports],
                        "sources": list(rule.sources),
                    }
                    for rule in world.ingress(key_of(ref)) or []
                ],
            }
            for ref, _ in world.store.items("instances", name)
        ]
    return {"projects": projects, "stockouts": world.store.setting("stockouts", [])}
