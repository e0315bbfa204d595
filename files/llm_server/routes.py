# SPDX-License-Identifier: Apache-2.0
"""The routes that this server adds to vLLM's own app."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

CLIENT_CLOSED_REQUEST = 499


class GenerateRequest(BaseModel):
    """Body of POST /generate."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1)
    max_tokens: int = Field(default=100, ge=1)
    temperature: float = Field(default=0.7, ge=0, le=2, allow_inf_nan=False)
    top_p: float = Field(default=0.9, gt=0, le=1, allow_inf_nan=False)
    stop: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(max_length=16)]
        | None
    ) = None


class GenerateResponse(BaseModel):
    """Answer of POST /generate: the new text only, without the prompt."""

    text: str
    prompt: str
    model: str


class Root(BaseModel):
    """Answer of GET /."""

    message: str
    model: str


class TextGenerator(Protocol):
    """What /generate needs of an engine."""

    async def generate(self, request: GenerateRequest) -> str:
        """The text for one request; being cancelled aborts it in the engine."""


def create_router(model: str, generator: TextGenerator) -> APIRouter:
    """Builds `GET /` and `POST /generate` for one model."""
    router = APIRouter()

    @router.get("/")
    async def root() -> Root:
        """Says what this server is."""
        return Root(message="vLLM serves this model; see /docs for its API.", model=model)

    @router.post("/generate", response_model=GenerateResponse)
    async def generate(body: GenerateRequest, request: Request) -> Response:
        """Continues a prompt."""
        text = await _unless_disconnected(request, generator.generate(body))
        if text is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        return JSONResponse({"text": text, "prompt": body.prompt, "model": model})

    return router


async def _unless_disconnected(request: Request, work: Any) -> str | None:
    """Awaits `work`, but cancels it (and returns None) once the client has gone."""
    task: asyncio.Task[str] = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        for pending in (task, gone):
            pending.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _disconnect(request: Request) -> None:
    # The body has been read: the next message that is not an empty body part is the goodbye.
    while (await request.receive())["type"] != "http.disconnect":
        pass
