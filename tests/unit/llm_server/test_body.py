# SPDX-License-Identifier: Apache-2.0
"""What a body may hold, on any path, and what is said of one that holds something else."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest
from llm_server.bodies.body_limits import BodyLimit
from llm_server.bodies.examine import Fine, Wrong, examine
from llm_server.facts import MEDIA_BYTES, TEXT_BYTES, ModelFacts, fields_of
from llm_server.keys.access import Access, AccessControl, Limits
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

CHAT = "/v1/chat/completions"
KNOWN = frozenset({"model", "messages", "max_tokens", "tools", "tool_choice", "stop", "input"})
PATHS = (
    CHAT,
    CHAT + "/batch",
    "/v1/completions",
    "/v1/responses",
    "/v1/messages",
    "/v1/embeddings",
    "/tokenize",
    "/generate",
    "/nothing",
)


def control(**limits: Any) -> AccessControl:
    new = AccessControl(Access(limits=Limits.model_validate(limits)))
    new.model = ModelFacts(context=1000, media=False, fields={CHAT: KNOWN})
    return new


def refused(path: str, body: bytes, **limits: Any) -> Wrong:
    found = examine(path, body, control(**limits))
    assert isinstance(found, Wrong), found
    return found


def client(**limits: Any) -> TestClient:
    async def echo(request: Request) -> JSONResponse:
        length = request.headers.get("content-length")
        body = await request.body()
        assert length is None or int(length) == len(body)
        return JSONResponse({"body": body.decode("latin-1")[:200]})

    app = Starlette(routes=[Route("/{path:path}", echo, methods=["POST"])])
    return TestClient(BodyLimit(app, control(**limits)))


MANY: list[tuple[str, Any]] = [
    ("messages", {"messages": [{"role": "user", "content": "a"}] * 7000}),
    ("parts", {"messages": [{"content": [{"type": "text", "text": "a"}] * 7000}]}),
    ("input", {"input": [{"role": "user", "content": "a"}] * 7000}),
    ("tools", {"tools": [{"type": "function", "function": {"name": "x"}}] * 5000}),
    ("choices", {"structured_outputs": {"choice": ["a"] * 20_001}}),
    ("unknown keys", {f"k{i}": 1 for i in range(20_001)}),
    ("prompts", {"prompt": ["a"] * 20_001}),
    ("numbers", {"x": [1.5] * 20_001}),
    ("lists", {"x": [[1]] * 20_001}),
    ("a list", [{}] * 20_001),
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("data", [data for _, data in MANY], ids=[name for name, _ in MANY])
def test_more_values_than_the_server_takes(path: str, data: Any) -> None:
    found = refused(path, json.dumps(data).encode())
    assert (found.status, found.reason) == (400, "too_many_elements")
    assert "llm_server_limits.max_elements" in found.message


@pytest.mark.parametrize("path", PATHS)
def test_text_is_no_value(path: str) -> None:
    data = {"system": '{"a": [1, 2]}, ' * 20_000}
    assert isinstance(examine(path, json.dumps(data).encode(), control()), Fine)


@pytest.mark.parametrize(("number", "fine"), [(300_000, True), (300_001, False)])
def test_token_ids_are_counted_apart(number: int, fine: bool) -> None:
    body = json.dumps({"prompt": [[1] * (number // 2), [1] * (number - number // 2)]}).encode()
    found = examine("/v1/completions", body, control())
    if fine:
        assert isinstance(found, Fine)
    else:
        assert isinstance(found, Wrong) and found.reason == "too_many_tokens"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("body", "param"),
    [
        (rb'{"stop": "\ud800"}', "stop"),
        (rb'{"top_k": 1180591620717411303424}', "top_k"),
        (rb'{"temperature": NaN}', "temperature"),
        (rb'{"messages": [{"content": "\udc00"}]}', "messages[0].content"),
        (rb'{"\udc00": 1}', None),
        (b'{"stop": "\xed\xa0\xbd"}', "stop"),
    ],
)
def test_what_cannot_be_sent_to_the_engine(path: str, body: bytes, param: str | None) -> None:
    found = refused(path, body)
    assert (found.status, found.param, found.reason) == (400, param, "bad_value")
    assert (param or "The body") in found.message
    found.message.encode()


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_other_encodings(encoding: str) -> None:
    found = refused("/generate", '{"prompt": "a"}'.encode(encoding))
    assert (found.status, found.reason) == (400, "body_encoding")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 15_000, b"not json", b'{"a": 1}x'])
def test_what_is_no_json_is_left_to_vllm(body: bytes) -> None:
    assert examine(CHAT, body, control()) == Fine(body)


def test_an_escaped_name_cannot_hide() -> None:
    body = b'{"\\u0070rompt": [' + b",".join([b'"a"'] * 200) + b"]}"
    assert refused("/v1/completions", body).param == "prompt"


@pytest.mark.parametrize(
    ("data", "param"),
    [
        ({"structured_outputs": {"choice": ["x" * 70_000]}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "x" * 70_000}}, "structured_outputs"),
        ({"response_format": {"json_schema": {"schema": {"x" * 70_000: 1}}}}, "response_format"),
        ({"text": {"format": {"schema": {"x" * 70_000: 1}}}}, "text"),
        ({"tools": [{"x": "x" * 70_000}], "tool_choice": "required"}, "tools"),
        ({"tools": [{"x": "x" * 70_000}], "tool_choice": {"function": {"name": "x"}}}, "tools"),
        ({"tools": [{"function": {"strict": True, "x": "x" * 70_000}}]}, "tools"),
        ({"tools": [{"strict": True, "x": "x" * 70_000}]}, "tools"),
    ],
)
def test_a_grammar_of_many_bytes(data: Any, param: str) -> None:
    found = refused("/v1/x", json.dumps(data).encode())
    assert (found.status, found.param, found.reason) == (400, param, "grammar_too_large")
    assert "llm_server_limits.max_grammar_bytes" in found.message


@pytest.mark.parametrize(
    "data",
    [
        {"prompt": "x" * 70_000, "structured_outputs": {"regex": "x"}},
        {"tools": [{"x": "x" * 70_000}]},
        {"tools": [{"function": {"strict": True, "x": "x" * 70_000}}], "tool_choice": "none"},
        {"text": "x" * 70_000},
    ],
)
def test_what_holds_no_answer(data: Any) -> None:
    assert isinstance(examine("/v1/x", json.dumps(data).encode(), control()), Fine)


@pytest.mark.parametrize(
    ("data", "left"),
    [
        ({"tools": []}, {}),
        ({"tools": [], "tool_choice": "auto"}, {}),
        ({"tools": [], "tool_choice": "none"}, {}),
        ({"tools": [], "tool_choice": "required"}, {"tool_choice": "required"}),
    ],
)
def test_no_tools_are_no_mistake(data: Any, left: Any) -> None:
    answer = client().post(CHAT, json={"model": "é", **data})
    assert json.loads(answer.json()["body"]) == {"model": "é", **left}


def test_fields_that_a_path_does_not_know() -> None:
    answer = client().post(CHAT, json={"model": "m", "store": False, "service_tier": "auto"})
    assert answer.headers["x-ignored-fields"] == "store, service_tier"
    assert "x-ignored-fields" not in client().post(CHAT, json={"model": "m"}).headers
    assert "x-ignored-fields" not in client().post("/nothing", json={"store": 1}).headers
    answer = client().post(CHAT, json={"max_token": 5})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "max_token")
    assert "did you mean max_tokens?" in answer.json()["error"]["message"]


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "gzip, identity"])
def test_packed_bodies(encoding: str) -> None:
    content = gzip.compress(b'{"model": "m"}')
    answer = client().post(CHAT, content=content, headers={"content-encoding": encoding})
    assert answer.status_code == 415
    assert f"Content-Encoding: {encoding.lower()} is not taken" in answer.json()["error"]["message"]
    same = client().post(CHAT, content=b"{}", headers={"content-encoding": "identity"})
    assert same.status_code == 200


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("application/x-www-form-urlencoded", b"a=1&" * 20_001),
        ("multipart/form-data; boundary=x", b"\r\n--x\r\n\r\n" * 20_001),
    ],
)
def test_forms(kind: str, content: bytes) -> None:
    headers = {"content-type": kind}
    answer = client().post("/v1/audio/transcriptions", content=content, headers=headers)
    assert answer.status_code == 400
    few = client().post("/v1/audio/transcriptions", content=content[:100], headers=headers)
    assert few.status_code == 200


@pytest.mark.parametrize(
    ("facts", "limits", "most"),
    [
        (ModelFacts(context=1000, media=False), Limits(), TEXT_BYTES),
        (ModelFacts(context=2**20, media=False), Limits(), 8 * 2**20),
        (ModelFacts(context=1000, media=True), Limits(), MEDIA_BYTES),
        (ModelFacts(media=True), Limits(max_body_bytes=2000), 2000),
    ],
)
def test_how_large_a_body_may_be(facts: ModelFacts, limits: Limits, most: int) -> None:
    new = AccessControl(Access(limits=limits))
    new.model = facts
    assert new.max_body_bytes == most


def test_a_body_counts_until_its_request_has_ended() -> None:
    async def play() -> None:
        go_on = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await receive()
            await go_on.wait()
            raise ValueError

        limit = BodyLimit(app, control())
        scope = {"type": "http", "method": "POST", "path": "/x", "headers": []}

        async def receive() -> Any:
            return {"type": "http.request", "body": b'"' + b"x" * 1000 + b'"'}

        async def send(_: Any) -> None: ...

        calls = [asyncio.ensure_future(limit(dict(scope), receive, send)) for _ in range(3)]
        while limit.held != 3006:
            await asyncio.sleep(0.01)
        calls[0].cancel()
        await asyncio.wait([calls[0]])
        assert limit.held == 2004
        go_on.set()
        await asyncio.gather(*calls, return_exceptions=True)
        assert limit.held == 0

    asyncio.run(asyncio.wait_for(play(), 120))


class One(BaseModel):
    a: int
    b: int = Field(alias="c")


class Two(BaseModel):
    d: int


def test_fields_of_an_app() -> None:
    fastapi = pytest.importorskip("fastapi")
    app = fastapi.FastAPI()

    async def either(body: One | Two, request: Request) -> None: ...

    async def bare(request: Request) -> None: ...

    # Not read from strings: the classes are this module's.
    either.__annotations__ = {"body": One | Two, "request": Request}
    app.post("/either")(either)
    app.post("/bare")(bare)
    assert fields_of(app) == {"/either": frozenset("abcd")}
