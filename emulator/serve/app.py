# SPDX-License-Identifier: Apache-2.0
"""The HTTP application: Compute Engine's paths, the token endpoint, the emulator's own controls."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from emulator.apis import cloudbilling, cloudquotas, iamcredentials, oslogin, secretmanager
from emulator.control import admin, faults_api, guest_api
from emulator.errors import ApiError
from emulator.faults.request_log import RequestLog
from emulator.request.auth import Authority
from emulator.serve import batch
from emulator.serve.dispatch import Dispatcher, api_path
from emulator.serve.gate import Gate
from emulator.world.world import World

_VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_MOST = 10 * 2**20  # bytes of a request


def create_app(world: World, authority: Authority) -> ASGIApp:
    """The application for a world."""
    dispatcher = Dispatcher(world, authority)
    log = RequestLog()

    async def compute(request: Request) -> Response:
        path = api_path(request.url.path)
        if path is None:
            return await not_found(request)
        status, content = await run_in_threadpool(
            dispatcher.answer,
            request.method,
            path,
            request.query_params.multi_items(),
            request.headers,
            await _read(request),
        )
        return JSONResponse(content, status)

    async def batched(request: Request) -> Response:
        kind, content = await run_in_threadpool(
            batch.answer,
            dispatcher,
            request.headers.get("content-type", ""),
            request.headers.get("authorization"),
            await _read(request),
        )
        return Response(content, headers={"content-type": kind})

    async def token(request: Request) -> Response:
        form = dict(parse_qsl((await _read(request)).decode(errors="replace")))
        try:
            answer = await run_in_threadpool(
                authority.token, form.get("grant_type", ""), form.get("assertion", "")
            )
        except ValueError as error:
            return JSONResponse(
                {"error": "invalid_grant", "error_description": str(error)}, status_code=400
            )
        return JSONResponse(answer)

    async def not_found(request: Request) -> Response:
        error = ApiError(404, "notFound", f"Not Found: {request.method} {request.url.path}")
        return JSONResponse(error.body(), error.status)

    async def api_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)  # noqa: S101 (registered for it alone)
        return JSONResponse(error.body(), error.status)

    application = Starlette(
        routes=[
            *admin.routes(world),
            *cloudbilling.routes(world, authority),
            *faults_api.routes(world, authority, log),
            *guest_api.routes(world),
            *iamcredentials.routes(authority),
            *cloudquotas.routes(world, authority),
            *oslogin.routes(world, authority),
            *secretmanager.routes(world, authority),
            Route("/token", token, methods=["POST"]),
            Route("/batch/compute/v1", batched, methods=["POST"]),
            Route("/compute/v1/{rest:path}", compute, methods=_VERBS),
            Route("/{rest:path}", not_found, methods=_VERBS),
        ],
        exception_handlers={ApiError: api_error},
    )
    return Gate(application, world.faults, log, authority.revoke)


async def _read(request: Request) -> bytes:
    body = await request.body()
    if len(body) > _MOST:
        raise ApiError(413, "requestTooLarge", f"A request may have {_MOST} bytes.")
    return body
