# SPDX-License-Identifier: Apache-2.0
"""What one body, one grammar or one text can do to a real server: nothing, to the others."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from tests.support.server_fixture import MODEL_NAME, Server

pytestmark = pytest.mark.vllm

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
HI = [{"role": "user", "content": "Hi"}]
#: Compiles for as long as one lets it.
ENDLESS = {"type": "string", "maxLength": 50_000_000}
SCHEMA = {
    "type": "object",
    "properties": {"a": {"enum": ["x", "y"]}},
    "required": ["a"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Iterator[Server]:
    """The shared one, where what is fine compiles on a slow machine too."""
    shared_server.write_access(max_grammar_seconds=30)
    shared_server.reload()
    yield shared_server
    shared_server.write_access()
    shared_server.reload()


@pytest.fixture
def strict(server: Server) -> Iterator[Server]:
    """The same with little time for a grammar, where one is refused in any case."""
    server.write_access(max_grammar_seconds=1)
    server.reload()
    yield server
    server.write_access(max_grammar_seconds=30)
    server.reload()


def ask(server: Server, path: str, **fields: Any) -> httpx.Response:
    """Posts, with what each path needs to be right but for the fields."""
    usual: dict[str, Any] = {"model": MODEL_NAME}
    if path in (CHAT, "/v1/messages"):
        usual |= {"messages": HI, "max_tokens": 8}
    elif path == COMPLETIONS:
        usual |= {"prompt": "a", "max_tokens": 8}
    elif path == RESPONSES:
        usual |= {"input": "Hi", "max_output_tokens": 8}
    elif path == "/generate":
        usual = {"prompt": "a", "max_tokens": 3}
    elif path == "/tokenize":
        usual |= {"prompt": "a"}
    body = json.dumps(usual | fields)
    return server.authorised.post(path, content=body, headers={"content-type": "application/json"})


def error(answer: httpx.Response) -> dict[str, Any]:
    found = answer.json()["error"]
    assert isinstance(found, dict)
    return found


PATHS = (CHAT, COMPLETIONS, RESPONSES, "/v1/messages", "/generate", "/tokenize", "/nothing")
UNSENDABLE = {
    "stop": "\ud800",
    "top_k": 2**70,
    "temperature": float("nan"),
    "logit_bias": {"\udfff": 1},
    "user": ["a", {"b": "\ude00x"}],
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("field", UNSENDABLE)
def test_what_cannot_be_sent_to_the_engine(server: Server, path: str, field: str) -> None:
    answer = ask(server, path, **{field: UNSENDABLE[field]})
    assert answer.status_code == 400, answer.text
    assert error(answer)["param"].startswith(field)


@pytest.mark.parametrize("path", PATHS)
def test_too_many_values(server: Server, path: str) -> None:
    answer = ask(server, path, extra=[{"a": "b"}] * 30_000)
    assert answer.status_code == 400
    assert "max_elements" in error(answer)["message"]


def test_ordinary_requests_work(server: Server) -> None:
    for path in (CHAT, COMPLETIONS, RESPONSES, "/v1/messages", "/generate", "/tokenize"):
        answer = ask(server, path)
        assert answer.status_code == 200, answer.text
        assert "x-ignored-fields" not in answer.headers


def test_fields_that_vllm_does_not_know(server: Server) -> None:
    answer = ask(server, CHAT, store=False, service_tier="auto", tools=[], tool_choice="auto")
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-ignored-fields"] == "store, service_tier"
    answer = ask(server, COMPLETIONS, best_of=3)
    assert (answer.status_code, error(answer)["param"]) == (400, "best_of")
    answer = ask(server, COMPLETIONS, guided_json=SCHEMA)
    assert "structured_outputs" in error(answer)["message"]


def tool(parameters: Any, **more: Any) -> dict[str, Any]:
    function = {"name": "f", "parameters": parameters, **more}
    return {"type": "function", "function": function}


def roads(schema: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """All ways to hold an answer to a schema."""
    shaped = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    plain = {"type": "json_schema", "name": "x", "schema": schema}
    named = {"type": "function", "function": {"name": "f"}}
    return {
        "structured_outputs": (COMPLETIONS, {"structured_outputs": {"json": schema}}),
        "response_format": (CHAT, {"response_format": shaped}),
        "completion": (COMPLETIONS, {"response_format": shaped}),
        "responses": (RESPONSES, {"text": {"format": plain}}),
        "required": (CHAT, {"tools": [tool(schema, strict=True)], "tool_choice": "required"}),
        "named": (CHAT, {"tools": [tool(schema, strict=True)], "tool_choice": named}),
        "batch": (
            CHAT + "/batch",
            {"messages": [HI, HI], "max_tokens": 8, "response_format": shaped},
        ),
    }


@pytest.mark.parametrize("road", roads(SCHEMA))
def test_a_schema_that_is_fine(server: Server, road: str) -> None:
    path, fields = roads(SCHEMA)[road]
    answer = ask(server, path, **fields)
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("road", roads(ENDLESS))
def test_a_schema_that_never_compiles(strict: Server, road: str) -> None:
    path, fields = roads({"type": "object", "properties": {road: ENDLESS}})[road]
    answer = ask(strict, path, **fields)
    assert answer.status_code == 400, answer.text
    assert "max_grammar_seconds" in error(answer)["message"]


MISTAKES: tuple[dict[str, Any], ...] = (
    {"choice": ["x" * 70_000]},
    {"choice": []},
    {"choice": [str(i) for i in range(2000)]},
    {"regex": "|".join(f"word{i}" for i in range(9000))},
    {"regex": "["},
    {"json": {"enum": [str(i) for i in range(2000)]}},
    {"json": {"type": "object", "properties": {f"p{i}": {} for i in range(1500)}}},
    {"json": {"$ref": "#"}},
    {"json": {"$ref": "#/definitions/Foo"}},
    {"json": {"type": "array", "items": {"type": "string", "pattern": "^[a-z]{1,500}$"},
              "minItems": 500, "maxItems": 5000}},
    {"grammar": "root ::= "},
    {"grammar": "root ::= foo"},
    {"grammar": 'root ::= root "a"'},
    {"grammar": "!!!"},
    {"structural_tag": "{}"},
)  # fmt: skip
RIGHT: tuple[dict[str, Any], ...] = (
    {"grammar": 'root ::= "a" root'},
    {"regex": "((((((a{1,50}){1,50}){1,50}){1,50}){1,50}){1,50})"},
    {"choice": ["yes", "no"]},
    {"json": {"type": "integer", "multipleOf": 3}},
    {"json_object": True},
)


@pytest.mark.parametrize("asked", MISTAKES, ids=lambda asked: str(asked)[:40])
def test_a_mistake_is_never_a_500(strict: Server, asked: dict[str, Any]) -> None:
    for stream in (False, True):
        answer = ask(strict, COMPLETIONS, structured_outputs=asked, stream=stream)
        assert answer.status_code == 400, answer.text
        assert "Pattern:" not in answer.text


@pytest.mark.parametrize("asked", RIGHT, ids=lambda asked: str(asked)[:40])
def test_what_looks_odd_and_is_right(server: Server, asked: dict[str, Any]) -> None:
    answer = ask(server, COMPLETIONS, structured_outputs=asked)
    assert answer.status_code == 200, answer.text


def test_a_regex_that_is_refused_is_not_in_the_log(strict: Server) -> None:
    secret = "secretword"
    ask(strict, COMPLETIONS, structured_outputs={"regex": f"({secret}|a)[" * 50})
    ask(strict, COMPLETIONS, structured_outputs={"regex": f"(({secret}){{1,900}}){{1,900}}"})
    assert secret not in strict.log.read_text(errors="replace")


def test_texts_name_what_the_client_wrote_and_our_settings(server: Server) -> None:
    answer = ask(server, COMPLETIONS, structured_outputs={"json": {"$ref": "#/definitions/Foo"}})
    assert "definitions" in error(answer)["message"]
    answer = ask(server, COMPLETIONS, n=200)
    assert "VLLM_MAX_N_SEQUENCES" not in answer.text
    assert "llm_server_limits.max_sequences" in error(answer)["message"]


def test_text_that_is_read_is_bounded_and_charged(server: Server) -> None:
    answer = ask(server, "/tokenize", prompt="hello world " * 20_000)
    assert answer.status_code == 400, answer.text
    assert "1024" in error(answer)["message"]
    assert ask(server, "/detokenize", tokens=[5] * 2000).status_code == 400
    answer = ask(server, "/tokenize", prompt="hello world " * 50)
    assert answer.status_code == 200
    line = next(one for one in reversed(server.requests()) if one["path"] == "/tokenize")
    assert line["tokens_in"] == answer.json()["count"] > 90


def test_packed_bodies(server: Server) -> None:
    answer = server.authorised.post(
        CHAT, content=gzip.compress(b"{}"), headers={"content-encoding": "gzip"}
    )
    assert answer.status_code == 415


def tries_grammars(process: psutil.Process) -> bool:
    """Whether it has a process at work on a grammar; one that has just ended has none."""
    try:
        return process.name() == "llm-grammars" and bool(process.children())
    except psutil.NoSuchProcess:
        return False


def test_one_keys_grammars_hold_up_no_one(strict: Server) -> None:
    """While some are tried out, and after their clients have left."""
    server, stop = strict, threading.Event()

    def send(number: int) -> None:
        # Clients that leave: nothing goes on for them. A busy machine may let one leave too late.
        with httpx.Client(base_url=str(server.authorised.base_url), timeout=0.5) as http:
            while not stop.is_set():
                schema = {"type": "object", "properties": {f"p{number}{time.time()}": ENDLESS}}
                body = {"model": MODEL_NAME, "prompt": "a", "structured_outputs": {"json": schema}}
                headers = dict(server.authorised.headers)
                with contextlib.suppress(httpx.TimeoutException):
                    http.post(COMPLETIONS, json=body, headers=headers)

    senders = [threading.Thread(target=send, args=(i,)) for i in range(3)]
    for one in senders:
        one.start()
    try:
        for _ in range(5):
            assert server.open.get("/health").status_code == 200
            assert ask(server, COMPLETIONS).status_code == 200
            time.sleep(0.2)
    finally:
        stop.set()
        for one in senders:
            one.join()
    deadline = time.monotonic() + 300
    while any(tries_grammars(process) for process in server.processes()):
        assert time.monotonic() < deadline, "some are tried out for nobody"
        time.sleep(0.1)
    server.wait_until_idle()
    regex = ask(server, COMPLETIONS, structured_outputs={"regex": "[0-9]{3}"}).json()
    assert regex["choices"][0]["text"].isdigit()
    assert psutil.Process(server.process.pid).is_running()
