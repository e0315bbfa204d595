# SPDX-License-Identifier: Apache-2.0
"""What is told of a failure: once, with the request's id, and nothing of what was asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from llm_server.asgi.edge import Edge
from llm_server.keys.access import Access, AccessControl
from llm_server.logs.failures import LOG_CONTENT, OfRequests, remember_errors, shown
from llm_server.record import RequestRecord, current
from starlette.testclient import TestClient

SECRET = "xyzzy-plugh"
vllm = logging.getLogger("vllm.entrypoints.test")


class EngineGenerateError(Exception):
    """What vLLM answers with 500, and logs nowhere."""


class EngineDeadError(Exception):
    """Said by each request that ran."""


def app(*, built: bool) -> FastAPI:
    made = FastAPI()

    @made.exception_handler(EngineGenerateError)
    @made.exception_handler(EngineDeadError)
    async def failed(_: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": {"message": str(error), "code": 500}}, 500)

    @made.exception_handler(ValueError)
    async def wrong(_: Request, error: ValueError) -> JSONResponse:
        return JSONResponse({"error": {"message": str(error), "code": 400}}, 400)

    @made.get("/engine")
    async def engine() -> None:
        try:
            "\ud800".encode()
        except UnicodeEncodeError as error:
            raise EngineGenerateError(SECRET) from error

    @made.get("/raw")
    async def raw() -> None:
        raise KeyError(SECRET)

    @made.get("/dead")
    async def dead() -> None:
        raise EngineDeadError("See above.")

    @made.get("/http")
    async def http() -> None:
        raise HTTPException(503, SECRET)

    @made.get("/wrong")
    async def wrong_() -> None:
        try:
            raise ValueError(SECRET)
        except ValueError:
            vllm.exception("Error in create_messages: %s", SECRET)
            raise

    @made.get("/caught")
    async def caught() -> JSONResponse:
        try:
            raise RuntimeError(SECRET)
        except RuntimeError as error:
            vllm.exception("Error in create_messages: %s", error)
            return JSONResponse({"error": {"message": str(error), "code": 500}}, 500)

    @made.get("/no-model")
    async def no_model() -> JSONResponse:
        vllm.error("Error with model %s", SECRET)
        return JSONResponse({"error": {"message": "no such model", "code": 404}}, 404)

    @made.get("/amiss")
    async def amiss() -> str:
        try:
            raise RuntimeError(SECRET)
        except RuntimeError:
            vllm.exception("Error in extracting tool call from response %s", SECRET)
        return "done"

    @made.get("/stream")
    async def stream() -> StreamingResponse:
        async def events() -> Iterator[str]:
            yield "data: 1\n\n"
            try:
                raise RuntimeError(SECRET)
            except RuntimeError:
                vllm.exception("Error in completion stream generator.")
            yield 'data: {"error": {"message": "' + SECRET + '", "code": 500}}\n\n'

        return StreamingResponse(events(), media_type="text/event-stream")  # type: ignore[arg-type]

    @made.get("/warned")
    async def warned() -> None:
        vllm.warning("Chat template rejected the request: %s", ValueError(SECRET))

    if built:  # as something that vLLM loads does
        made.middleware_stack = made.build_middleware_stack()
    remember_errors(made)
    return made


class Kept(logging.Handler):
    """What would be written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[logging.LogRecord] = []
        self.addFilter(OfRequests())

    def emit(self, record: logging.LogRecord) -> None:
        record.text = self.format(record)
        self.lines.append(record)


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kept]:
    monkeypatch.delenv(LOG_CONTENT, raising=False)
    kept = Kept()
    for name in ("vllm", "llm_server.edge"):
        logging.getLogger(name).addHandler(kept)
    yield kept
    for name in ("vllm", "llm_server.edge"):
        logging.getLogger(name).removeHandler(kept)


def ask(path: str, *, built: bool = True) -> int:
    edge = Edge(app(built=built), AccessControl(Access()))
    http = TestClient(edge, raise_server_exceptions=False)
    return http.get(path, headers={"X-Request-Id": "me"}).status_code


@pytest.mark.parametrize(
    ("path", "status", "errors", "says"),
    [
        ("/engine", 500, 1, ["me", "in engine", "EngineGenerateError", "UnicodeEncodeError"]),
        ("/engine", 500, 1, ["surrogates not allowed", "After that:"]),
        ("/raw", 500, 1, ["me", "Traceback", "in raw", "KeyError"]),
        ("/dead", 500, 1, ["me", "EngineDeadError".replace("EngineDeadError", "See above.")]),
        ("/caught", 500, 1, ["me", "Traceback", "in caught", "RuntimeError"]),
        ("/stream", 200, 1, ["me", "Traceback", "in events"]),
        ("/http", 503, 0, []),
        ("/wrong", 400, 0, []),
        ("/no-model", 404, 0, []),
        ("/amiss", 200, 1, ["me", "vllm.entrypoints.test", "Error in extracting", "RuntimeError"]),
        ("/warned", 200, 0, []),
    ],
)
def test_failures_are_told_once(
    path: str, status: int, errors: int, says: list[str], log: Kept
) -> None:
    assert ask(path) == status
    found = [line for line in log.lines if line.levelno >= logging.ERROR]
    assert len(found) == errors, [line.text for line in found]
    for text in says:
        assert text in found[0].text
    for line in log.lines:
        assert SECRET not in line.text
        assert line.text.count("Traceback") <= 2, "of two exceptions at most"


def test_a_dead_engine_has_no_traceback_for_each(log: Kept) -> None:
    ask("/dead")
    assert "Traceback" not in log.lines[-1].text


@pytest.mark.parametrize("path", ["/engine", "/raw", "/caught"])
def test_content_is_told_where_that_was_asked_for(
    path: str, log: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LOG_CONTENT, "1")
    ask(path)
    assert SECRET in log.lines[-1].text


def test_the_process_of_the_engine_says_nothing_of_grammars(log: Kept) -> None:
    assert current.get() is None
    try:
        raise ValueError(f"Regex compilation timed out after 5s. Pattern: {SECRET}")
    except ValueError as error:
        vllm.exception("Failed to compile grammar for request %s", "id-1")
        vllm.exception("Unexpected error pre-processing request %s", "id-1")
        vllm.warning("Request %s failed: %s", "id-1", error)
    assert [line.text for line in log.lines if SECRET in line.text] == []
    assert "id-1" in log.lines[0].text
    assert "ValueError" in log.lines[0].text


def test_what_has_to_do_with_no_request_is_whole(log: Kept) -> None:
    try:
        raise ValueError("bad weights")
    except ValueError:
        vllm.exception("EngineCore failed to start.")
    assert "bad weights" in log.lines[0].text


@pytest.mark.parametrize(
    ("error", "seen"),
    [
        (RuntimeError("CUDA error: out of memory"), True),
        (OSError("No space left"), True),
        (MemoryError("too much"), True),
        (RuntimeError("a prompt"), False),
        (ValueError("a prompt"), False),
        (KeyError("a prompt"), False),
    ],
)
def test_texts_of_the_machine_are_shown(error: Exception, seen: bool) -> None:
    assert (str(error) in shown(error)) is seen
    assert type(error).__name__ in shown(error)


def test_what_is_kept_of_a_request_is_bounded() -> None:
    record = RequestRecord("i", "GET", "/")
    current.set(record)
    rule = OfRequests()
    for _ in range(100):
        made = logging.LogRecord("vllm.x", logging.ERROR, "f", 1, "x", None, None)
        assert not rule.filter(made)
    assert len(record.failures) == 8


@pytest.mark.parametrize("built", [True, False])
def test_an_app_whose_layers_are_built_or_not(built: bool, log: Kept) -> None:
    ask("/engine", built=built)
    assert "UnicodeEncodeError" in log.lines[-1].text
