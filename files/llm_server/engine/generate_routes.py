# SPDX-License-Identifier: Apache-2.0
"""The routes that this server adds to vLLM's own app."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field

from ..errors import CLIENT_CLOSED_REQUEST, error_body, error_response, is_mistake
from ..logs.failures import keep


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
    #: 64 bits with a sign, as the engine takes it.
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    n: int = Field(default=1, ge=1, le=1024)
    stream: bool = False


class Usage(BaseModel):
    """Tokens of one request."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(BaseModel):
    """One of several answers to a prompt."""

    index: int
    text: str
    finish_reason: str | None


class GenerateResponse(BaseModel):
    """Answer of POST /generate: the new text only, without the prompt."""

    text: str
    prompt: str
    model: str
    #: `stop` or `length`.
    finish_reason: str | None
    usage: Usage
    #: All answers, where `n` asked for more than one; `text` is the first.
    choices: list[Choice] | None = None


class Root(BaseModel):
    """Answer of GET /."""

    message: str
    model: str
    #: What vLLM can do with the model: `generate`, or for pooling `embed`, `classify` and others.
    tasks: list[str]


@dataclass(frozen=True)
class Part:
    """Text of one answer, and why it ended if it has."""

    index: int
    text: str
    finish_reason: str | None


@dataclass(frozen=True)
class Generated:
    """What an engine gave: all of it, or what is new."""

    parts: list[Part]
    prompt_tokens: int
    completion_tokens: int

    def usage(self) -> dict[str, int]:
        """The counts as they are sent."""
        total = self.prompt_tokens + self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": total,
        }


class TextGenerator(Protocol):
    """What /generate needs of an engine."""

    async def generate(self, request: GenerateRequest) -> Generated:
        """All of the text; being cancelled aborts it in the engine."""

    def stream(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """The text piece by piece, after one that is empty; being closed aborts it."""


def create_router(
    model: str, generator: TextGenerator, tasks: Iterable[str] = ("generate",)
) -> APIRouter:
    """Builds `GET /` and `POST /generate` for one model."""
    router = _with_root(model, tasks)

    @router.post(
        "/generate",
        response_model=GenerateResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def generate(body: GenerateRequest, request: Request) -> Response:
        """Continues a prompt; with `stream` as server-sent events, closed by `[DONE]`."""
        if body.stream:
            pieces = generator.stream(body)
            await anext(pieces)  # what is wrong with the request is told before the first event
            return StreamingResponse(
                _events(pieces),
                media_type="text/event-stream",
                headers={"Cache-Control": "no-store"},
            )
        done = await _unless_disconnected(request, generator.generate(body))
        if done is None:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        parts = sorted(done.parts, key=lambda part: part.index)
        answer: dict[str, Any] = {
            "text": parts[0].text,
            "prompt": body.prompt,
            "model": model,
            "finish_reason": parts[0].finish_reason,
            "usage": done.usage(),
        }
        if body.n > 1:
            answer["choices"] = [asdict(part) for part in parts]
        return JSONResponse(answer)

    return router


def without_generate(model: str, tasks: Iterable[str]) -> APIRouter:
    """The same for a model that makes no text: `POST /generate` says so."""
    router = _with_root(model, tasks)
    known = ", ".join(sorted(tasks))

    @router.post("/generate", include_in_schema=False)
    async def generate() -> Response:
        return error_response(
            404, f"The model {model} makes no text; it can {known}. See /docs for its API."
        )

    return router


def _with_root(model: str, tasks: Iterable[str]) -> APIRouter:
    known = sorted(tasks)
    router = APIRouter(route_class=PlainErrors)

    @router.get("/")
    async def root() -> Root:
        """Says what this server is."""
        return Root(
            message="vLLM serves this model; see /docs for its API.", model=model, tasks=known
        )

    @router.get("/v1/models/{name:path}")
    async def one_model(name: str, request: Request) -> Response:
        """Describes one of the models that /v1/models lists."""
        listed = await request.app.state.openai_serving_models.show_available_models()
        found = next((one for one in listed.data if one.id == name), None)
        if found is None:
            return error_response(
                404,
                "There is no such model. GET /v1/models lists those that there are.",
                param="model",
                code="model_not_found",
            )
        return JSONResponse(found.model_dump())

    return router


class PlainErrors(APIRoute):
    """Says what is wrong with a body in a sentence; vLLM would print pydantic's own records."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, with that around it."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                return await inner(request)
            except RequestValidationError as error:
                field, message = _what_is_wrong(error.errors())
                return error_response(400, message, param=field)

        return handler


def _what_is_wrong(errors: Sequence[Any]) -> tuple[str | None, str]:
    """The first field that is wrong, if it is one, and what to say of all that are."""
    fields = ", ".join(GenerateRequest.model_fields)
    said: dict[str, str | None] = {}
    for item in errors:
        # A value that may be one of several kinds has an entry for each, under the same name.
        path = [str(part) for part in item["loc"][1:2] if isinstance(part, str)]
        field = path[0] if path else None
        if item["type"] == "extra_forbidden":
            text = f"{field}: there is no such field; there are {fields}"
        elif field is None:
            text = f"The body is not what /generate takes ({item['msg']}): JSON with {fields}"
        else:
            text = f"{field}: {item['msg']}"
        said.setdefault(text, field)
    return next(iter(said.values())), "; ".join(said) + "."


async def _events(pieces: AsyncGenerator[Generated, None]) -> AsyncGenerator[str, None]:
    last: Generated | None = None
    reason: str | None = None
    try:
        async with aclosing(pieces):
            async for last in pieces:
                for part in last.parts:
                    reason = part.finish_reason or reason
                    if part.text or part.finish_reason:
                        yield _event(asdict(part))
        if last is not None:
            yield _event({"finish_reason": reason, "usage": last.usage()})
    # Of a first event that is an error the edge makes an answer with that status.
    except Exception as error:
        if is_mistake(error):
            yield _event(error_body(400, str(error)))
        else:
            keep(error)
            yield _event(error_body(500, "The server failed."))
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


async def _unless_disconnected(request: Request, work: Any) -> Generated | None:
    """Awaits `work`, but cancels it (and returns None) once the client has gone."""
    task: asyncio.Task[Generated] = asyncio.ensure_future(work)
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
