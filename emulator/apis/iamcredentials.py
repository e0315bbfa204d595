# SPDX-License-Identifier: Apache-2.0
"""Service Account Credentials API: generateAccessToken, by which one account acts as another."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from emulator.errors import ApiError, Json, invalid, required
from emulator.request.auth import LIFETIME, Authority

_FIELDS = ("delegates", "lifetime", "scope")
_DURATION = re.compile(r"(\d+)(\.\d+)?s")


def routes(authority: Authority) -> list[Route]:
    """Routes of iamcredentials.googleapis.com, which share the port with Compute Engine."""

    async def generate(request: Request) -> Response:
        try:
            body = await _read(request)
            await run_in_threadpool(authority.check, request.headers.get("authorization"))
            email = request.path_params["email"]
            if not isinstance(body.get("scope"), list) or not body["scope"]:
                raise required("scope")
            token, expires = await run_in_threadpool(
                authority.impersonate, email, _seconds(body.get("lifetime"))
            )
        except ApiError as error:
            return JSONResponse(error.body(), error.status)
        until = datetime.fromtimestamp(expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return JSONResponse({"accessToken": token, "expireTime": until})

    path = "/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    return [Route(path, generate, methods=["POST"])]


async def _read(request: Request) -> Json:
    try:
        body = await request.json()
    except ValueError as error:
        raise ApiError(400, "parseError", f"The body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid("body", body, "It must be an object.")
    for name in body:
        if name not in _FIELDS:
            raise invalid(name, body[name], f"The request may have {', '.join(_FIELDS)}.")
    return body


def _seconds(said: object) -> float:
    if said is None:
        return LIFETIME
    match = _DURATION.fullmatch(said) if isinstance(said, str) else None
    if match is None or not 0 < int(match[1]) <= LIFETIME:
        raise invalid("lifetime", said, f"It must be a duration of up to {LIFETIME}s.")
    return float(match[1])
