# SPDX-License-Identifier: Apache-2.0
"""The emulator's controls for what goes wrong: fault rules, preemption, tokens; and the log."""

from __future__ import annotations

from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.control.power_off import power_off
from emulator.control.preemption import preempt
from emulator.errors import ApiError, Json, invalid, required
from emulator.faults.request_log import RequestLog
from emulator.faults.rules import parse
from emulator.request.auth import LIFETIME, Authority
from emulator.world.world import World


def routes(world: World, authority: Authority, log: RequestLog) -> list[Route]:
    """Routes below /emulator/v1."""

    async def faults(request: Request) -> Response:
        if request.method == "DELETE":
            world.faults.set([], 0)
        elif request.method == "PUT":
            _set_faults(world, await body_of(request))
        return JSONResponse({"rules": world.faults.shown()})

    async def preemption(request: Request) -> Response:
        body = await body_of(request)
        names = [_text(body, name) for name in ("project", "zone", "instance")]
        return JSONResponse(await run_in_threadpool(preempt, world, *names))

    async def powering_off(request: Request) -> Response:
        body = await body_of(request)
        names = [_text(body, name) for name in ("project", "zone", "instance")]
        return JSONResponse(await run_in_threadpool(power_off, world, *names))

    async def requests(request: Request) -> Response:
        if request.method == "DELETE":
            log.clear()
        return JSONResponse(log.shown(request.query_params.get("project")))

    async def tokens(request: Request) -> Response:
        if request.method == "DELETE":
            await run_in_threadpool(authority.revoke)
        else:
            authority.lifetime = _lifetime((await body_of(request)).get("lifetime"))
        return JSONResponse({"lifetime": authority.lifetime})

    async def service_account(request: Request) -> Response:
        email = request.path_params["email"]
        await run_in_threadpool(authority.lend, email, request.method == "PUT")
        return JSONResponse({"email": email})

    base = "/emulator/v1"
    return [
        Route(f"{base}/faults", faults, methods=["GET", "PUT", "DELETE"]),
        Route(f"{base}/preempt", preemption, methods=["POST"]),
        Route(f"{base}/power-off", powering_off, methods=["POST"]),
        Route(f"{base}/requests", requests, methods=["GET", "DELETE"]),
        Route(f"{base}/tokens", tokens, methods=["PUT", "DELETE"]),
        Route(f"{base}/service-accounts/{{email}}", service_account, methods=["PUT", "DELETE"]),
    ]


async def body_of(request: Request) -> Json:
    """A request's JSON object; `{}` for an empty body."""
    raw = await request.body()
    try:
        value = await request.json() if raw else {}
    except ValueError as error:
        raise ApiError(400, "parseError", f"The body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid("body", value, "It must be an object.")
    return value


def _set_faults(world: World, body: Json) -> None:
    for name in body:
        if name not in ("rules", "seed"):
            raise invalid(name, body[name], "The body may have rules and seed.")
    rules, seed = body.get("rules"), body.get("seed", 0)
    if not isinstance(rules, list):
        raise invalid("rules", rules, "It must be a list of rules.")
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise invalid("seed", seed, "It must be a whole number.")
    world.faults.set([parse(rule, f"rules[{n}]") for n, rule in enumerate(rules)], seed)


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if value is None:
        raise required(name)
    if not isinstance(value, str) or not value:
        raise invalid(name, value, "It must be a name.")
    return value


def _lifetime(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LIFETIME:
        raise invalid("lifetime", value, f"It must be seconds, more than 0 and up to {LIFETIME}.")
    return float(value)
