# SPDX-License-Identifier: Apache-2.0
"""The server with a real vLLM and a real model, from its first second to its last."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from llm_server.keys.rights import INFERENCE

from tests.support.mixed_load import all_at_once
from tests.support.module_runs import run_module
from tests.support.programs import output_of
from tests.support.server_fixture import (
    ARGS,
    KEY,
    MODEL_NAME,
    STALL_S,
    Server,
    all_gone,
    run_in_vllm,
)

pytestmark = pytest.mark.vllm

QUESTION = {
    "model": MODEL_NAME,
    "messages": [{"role": "user", "content": "What is the capital of France?"}],
    "temperature": 0,
    "max_tokens": 20,
}

#: What keys of the scope `inference` do not open, or by a beginning that several paths share.
ADMINISTRATION = {
    "/health",
    "/inference/v1/abort_requests",
    "/is_scaling_elastic_ep",
    "/kv_event_sources",
    "/load",
    "/metrics",
    "/scale_elastic_ep",
    "/static",
    "/v1/responses/{response_id}",
    "/v1/responses/{response_id}/cancel",
}

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")

CLIENT_CHECKS = (
    "models",
    "chat",
    "chat_streamed",
    "completion",
    "responses",
    "background_refused",
    "structured_output",
    "embeddings_refused",
    "wrong_key",
    "unknown_model",
    "too_long",
    "anthropic_message",
    "anthropic_streamed",
    "anthropic_wrong_key",
)

LIST_ROUTES = """
import asyncio, json, sys
from types import SimpleNamespace
import httpx
from pathlib import Path
from llm_server.vllm_api import compat as vllm_compat
from llm_server.logs.failures import remember_errors
from llm_server.record import RequestRecord, current
from llm_server.settings import load_settings
from vllm import tasks
from vllm.v1.engine.exceptions import EngineGenerateError
args = vllm_compat.parse(load_settings(Path(sys.argv[1])))
every_task = (*tasks.GENERATION_TASKS, *tasks.POOLING_TASKS, "render")
app = vllm_compat.get("build_app")(args, every_task, None)
routes = [route.path for route in app.routes]
remember_errors(app)
async def fails():
    raise EngineGenerateError()
app.add_api_route("/fails", fails)
app.state.server = app.state.engine_client = SimpleNamespace(errored=False, is_running=True)
record = RequestRecord("id", "GET", "/fails")
current.set(record)
async def ask():
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        return (await http.get("/fails")).status_code
status = asyncio.run(ask())
print(json.dumps([status, [type(failure.error).__name__ for failure in record.failures]]))
print(json.dumps(routes))
"""


def setting(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        pytest.skip(f"{name} is not set: tests/server sets it")
    return value


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Makes servers that are not started yet, and ends them all."""
    python, model = setting("GCE_VLLM_TEST_PYTHON"), setting("GCE_VLLM_TEST_MODEL")
    root = tmp_path_factory.mktemp("llm-server")
    made: list[Server] = []

    def new(model_path: str = model, **settings: Any) -> Server:
        made.append(Server(root / str(len(made)), python, model_path, settings))
        return made[-1]

    yield new
    for server in made:
        if hasattr(server, "process"):
            server.close()


@pytest.fixture(scope="module")
def server(make: Callable[..., Server]) -> Iterator[Server]:
    """One that is ready; what it said while it loaded is in `samples` and `early`.

    A step of its engine may take seconds on a busy machine, which is not yet a stall.
    """
    new = make(stall_timeout=STALL_S, shutdown_timeout=120)
    new.start()
    new.wait_for("loading")
    # Idle, and held all the time: what is left to the collector fails another test.
    with socket.create_connection(("127.0.0.1", new.port)):
        new.early = [  # type: ignore[attr-defined]
            new.open.get("/v1/models"),
            new.open.post("/generate", json={"prompt": "x"}),
            new.authorised.post("/generate", json={"prompt": "x"}),
            new.open.get("/docs"),
        ]
        new.early_metrics = new.families()  # type: ignore[attr-defined]
        new.wait_for("healthy")
        yield new


def test_health_answers_while_the_model_loads(server: Server) -> None:
    first = server.samples[0]
    assert first.status == 503
    assert (first.body["status"], first.body["model_loaded"]) == ("loading", False)
    assert first.body["detail"] == "importing vLLM", "it listens before that"
    loading = [s for s in server.samples if s.body["status"] == "loading"]
    assert len(loading) > 20
    assert {s.status for s in loading} == {503}
    steps = list(dict.fromkeys(s.body["detail"] for s in loading))
    assert len(steps) >= 3, steps
    took = sorted(s.took for s in loading)
    # Where the import or the weights held it up, it would be for a large part of all the time.
    assert took[len(took) * 95 // 100] < max(0.5, loading[-1].at / 30)


def test_requests_while_the_model_loads(server: Server) -> None:
    models, no_key, early, docs = server.early  # type: ignore[attr-defined]
    assert [r.status_code for r in (models, no_key, docs)] == [401, 401, 401]
    assert early.status_code == 503
    assert int(early.headers["retry-after"]) > 0


def test_metrics_while_the_model_loads(server: Server) -> None:
    early = server.early_metrics  # type: ignore[attr-defined]
    assert early["llm_state"]["loading",] == 1
    assert early["llm_refused"]["usual", "loading"] == 1
    assert early["llm_refused"]["none", "no_key"] == 3
    assert ("begin",) in early["llm_start_phase_seconds"]
    assert "vllm:num_requests_running" not in early


def test_health_answers_while_the_model_takes_over(server: Server) -> None:
    around = server.samples[-15:]
    assert [s.body["status"] for s in around][-2:] == ["loading", "healthy"]
    # Of a machine on which the start takes long, an answer may take long too.
    assert max(s.took for s in around[-4:]) < max(0.8, around[-1].at / 30), (
        "a connection was idle, which held this up by 1 s"
    )


def test_systemd_hears_of_readiness_when_the_model_can_answer(server: Server) -> None:
    ready = [n for n in server.notices if "READY=1" in n]
    assert len(ready) == 1
    after = server.notices[server.notices.index(ready[0]) + 1 :]
    assert set(after) <= {"WATCHDOG=1"}, "nothing but progress is told before"
    assert server.metric("vllm:generation_tokens_total") >= 1
    assert server.samples[-1].body["model_loaded"] is True


def test_warmed_up_before_ready(server: Server) -> None:
    log = server.log.read_text()
    assert 0 < log.find("Warmed up in ") < log.find("Ready after ")
    assert "Warm-up" not in log  # which is how failures begin


def test_root(server: Server) -> None:
    body = server.authorised.get("/").json()
    assert body["model"] == MODEL_NAME
    assert body["message"]


def test_the_probe_passes(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}"

    def failed(key: str) -> set[str]:
        probes = run_module("llm_endpoint_info", {"url": url, "api_key": key})["probes"]
        return {name for name, one in probes.items() if not one["ok"]}

    assert failed(KEY) == set()
    assert {"completion"} <= failed("another-key") <= {"root", "completion"}


def test_golden_answer(server: Server) -> None:
    answer = server.authorised.post("/v1/chat/completions", json=QUESTION)
    assert "Paris" in answer.json()["choices"][0]["message"]["content"]


def test_generate(server: Server) -> None:
    body = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 12}
    first = server.authorised.post("/generate", json=body).json()
    assert set(first) == {"text", "prompt", "model", "finish_reason", "usage"}
    assert first["finish_reason"] == "length"
    assert first["usage"]["completion_tokens"] == 12
    assert "Paris" in first["text"]
    assert (first["prompt"], first["model"]) == (body["prompt"], MODEL_NAME)
    plain = server.authorised.post("/v1/completions", json=body | {"model": MODEL_NAME}).json()
    assert first["text"] == plain["choices"][0]["text"]
    stopped = server.authorised.post("/generate", json=body | {"stop": ["Paris"]}).json()
    assert "Paris" not in stopped["text"]


def test_streaming(server: Server) -> None:
    with server.authorised.stream(
        "POST", "/v1/chat/completions", json=QUESTION | {"stream": True}
    ) as answer:
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    deltas = [json.loads(line)["choices"][0]["delta"].get("content") or "" for line in lines[:-1]]
    assert len(deltas) > 3
    assert "Paris" in "".join(deltas)


def test_every_route_needs_a_key(server: Server) -> None:
    listed = run_in_vllm(LIST_ROUTES, str(server.config))
    assert listed.returncode == 0, listed.stderr
    *_, failed, routed = map(json.loads, listed.stdout.splitlines()[-2:])
    assert failed == [500, ["EngineGenerateError"]], "what is behind a 500 is known to the log"
    # A route that a new vLLM has is for one of the two: see `rights`.
    assert set(routed) - INFERENCE == ADMINISTRATION
    schema = server.authorised.get("/openapi.json").json()["paths"]
    paths = {path.replace("{", "").replace("}", "") for path in (*routed, *schema)}
    assert {"/metrics", "/invocations", "/generate", "/v1/realtime"} <= paths
    assert len(paths) > 20
    routes = {(method, path) for method in METHODS for path in paths}
    routes -= {("GET", "/health"), ("HEAD", "/health")}
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    with httpx.Client(base_url=str(server.open.base_url), timeout=300) as http:
        answers = {route: http.request(*route).status_code for route in sorted(routes)}
        sockets = {path: http.get(path, headers=upgrade).status_code for path in sorted(paths)}
        wrong = http.get("/metrics", headers={"Authorization": f"Bearer {KEY}x"})
    assert {route: code for route, code in answers.items() if code != 401} == {}
    assert {path: code for path, code in sockets.items() if code not in (401, 403)} == {}
    assert wrong.status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 400, "prompt"),
        ({"prompt": "x", "max_tokens": 0}, 400, "max_tokens"),
        ({"prompt": "x", "max_tokens": 5000}, 400, "context of 1024 tokens"),
        ({"prompt": "word " * 3000}, 400, "1024"),
        ({"prompt": "x", "temperature": "hot"}, 400, "temperature"),
        ({"prompt": "x", "nonsense": 1}, 400, "nonsense"),
    ],
)
def test_bad_bodies(server: Server, body: dict[str, Any], status: int, says: str) -> None:
    answer = server.authorised.post("/generate", json=body)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code", "request_id"}
    assert says in error["message"]
    assert "Traceback" not in answer.text
    assert "/site-packages/" not in answer.text


def test_unknown_model(server: Server) -> None:
    answer = server.authorised.post("/v1/chat/completions", json=QUESTION | {"model": "other"})
    assert answer.status_code == 404
    assert set(answer.json()["error"]) == {"message", "type", "param", "code", "request_id"}


@pytest.fixture(scope="module")
def clients(server: Server) -> dict[str, str | None]:
    """What the official clients found: for each check None, or why it failed."""
    url = str(server.open.base_url).rstrip("/")
    key = {"API_KEY": KEY}
    said = output_of(server.python, "server_clients.py", url, MODEL_NAME, environment=key)
    found: dict[str, str | None] = json.loads(said)
    return found


@pytest.mark.parametrize("check", CLIENT_CHECKS)
def test_official_clients(clients: dict[str, str | None], check: str) -> None:
    assert set(clients) == set(CLIENT_CHECKS)
    assert clients[check] is None, clients[check]


def raw(server: Server, path: str, body: dict[str, Any], request_id: str) -> bytes:
    """A request for a socket that does with it what no proper client would."""
    content = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nX-Request-Id: {request_id}\r\n"
        f"Content-Length: {len(content)}\r\n\r\n"
    )
    return head.encode() + content


def until_generated(server: Server, more: int, before: float) -> None:
    """Waits until the engine has made so many tokens more."""
    deadline = time.monotonic() + 1200
    while server.metric("vllm:generation_tokens_total") < before + more:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.1)


@pytest.mark.parametrize("path", ["/generate", "/v1/completions"])
def test_a_client_that_leaves_frees_its_slot(server: Server, path: str) -> None:
    server.wait_for("healthy")
    body = {"prompt": "Count: 1, 2, 3,", "max_tokens": 1000, "temperature": 1.5, "top_p": 1}
    model = {} if path == "/generate" else {"model": MODEL_NAME, "ignore_eos": True}
    request_id = f"leaves{path.replace('/', '-')}"
    before = server.metric("vllm:generation_tokens_total")
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(raw(server, path, body | model, request_id))
        until_generated(server, 3, before)
    server.wait_until_idle()
    deadline = time.monotonic() + 120
    while not (lines := [r for r in server.requests() if r["request_id"] == request_id]):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    (line,) = lines
    assert line["status"] == 499
    assert line["tokens_in"] > 1
    assert line["tokens_out"] >= 3, "what was generated until then is counted"
    assert "Traceback" not in server.log.read_text()


def test_a_client_that_reads_nothing_is_no_stuck_engine(server: Server) -> None:
    server.wait_for("healthy")
    # More than the 2.8 MB that the kernel takes for a client that reads nothing.
    body = {"model": MODEL_NAME, "prompt": "Count", "max_tokens": 150, "ignore_eos": True, "n": 32}
    before = server.metric("vllm:generation_tokens_total")
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", server.port))
        more = {"stream": True, "logprobs": 20}
        client.sendall(raw(server, "/v1/completions", body | more, "reads-nothing"))
        until_generated(server, 32 * 150, before)
        server.wait_for("healthy")
        until = time.monotonic() + 1.5 * STALL_S
        while time.monotonic() < until:
            assert server.open.get("/health").status_code == 200
            time.sleep(0.2)
        ended = [line for line in server.requests() if line["request_id"] == "reads-nothing"]
        assert ended == [], "its answer is not sent yet"


@pytest.mark.parametrize("stream", [False, True])
def test_a_batch_that_is_far_too_large(server: Server, stream: bool) -> None:
    batch = {"model": MODEL_NAME, "prompt": ["a"] * 100_000, "stream": stream, "max_tokens": 1}
    server.wait_for("healthy")
    answers: list[httpx.Response] = []
    worker = threading.Thread(
        target=lambda: answers.append(server.authorised.post("/v1/completions", json=batch))
    )
    worker.start()
    while worker.is_alive():
        assert server.open.get("/health").status_code == 200
    worker.join()
    assert answers[0].status_code == 400
    assert "llm_server_limits.max_elements" in answers[0].json()["error"]["message"]


def test_docs_for_a_browser(server: Server) -> None:
    asked = server.open.get("/docs")
    assert asked.headers["www-authenticate"].startswith("Basic")
    page = server.open.get("/docs", auth=("anyone", KEY))
    assert page.status_code == 200
    assert "/static/swagger-ui-bundle.js" in page.text, "from here, not from elsewhere"
    for path in ("/static/swagger-ui-bundle.js", "/static/swagger-ui.css", "/openapi.json"):
        assert server.open.get(path, auth=("anyone", KEY)).status_code == 200
        assert server.open.get(path).status_code == 401
    assert server.open.get("/metrics", auth=("anyone", KEY)).status_code == 401


def test_generate_streams(server: Server) -> None:
    body = {"prompt": "The capital of France is", "temperature": 0, "max_tokens": 12, "n": 1}
    whole = server.authorised.post("/generate", json=body).json()
    with server.authorised.stream("POST", "/generate", json=body | {"stream": True}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line[6:] for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    events = [json.loads(line) for line in lines[:-1]]
    assert len(events) > 3
    assert "".join(e.get("text", "") for e in events) == whole["text"]
    assert (events[-1]["usage"], events[-1]["finish_reason"]) == (whole["usage"], "length")
    long = server.authorised.post("/generate", json=body | {"stream": True, "max_tokens": 5000})
    assert long.status_code == 400, "what cannot fit is told before the stream begins"


def test_generate_several_with_a_seed(server: Server) -> None:
    body = {"prompt": "Once", "temperature": 1, "max_tokens": 8, "n": 2, "seed": 5}
    first, second = (server.authorised.post("/generate", json=body).json() for _ in range(2))
    assert [c["index"] for c in first["choices"]] == [0, 1]
    assert first["choices"] == second["choices"]


def test_requests_are_logged_with_tokens_and_without_content(server: Server) -> None:
    sent = {"X-Request-Id": "my-own-id"}
    answer = server.authorised.post(
        "/v1/completions",
        json={"model": MODEL_NAME, "prompt": "xyzzy plugh", "max_tokens": 5, "ignore_eos": True},
        headers=sent,
    )
    assert answer.headers["x-request-id"] == "my-own-id"
    (line,) = [line for line in server.requests() if line["request_id"] == "my-own-id"]
    assert (line["key"], line["status"], line["path"]) == ("usual", 200, "/v1/completions")
    assert (line["tokens_in"], line["tokens_out"]) == (
        answer.json()["usage"]["prompt_tokens"],
        5,
    )
    assert line["total_s"] > 0
    assert (line["client"], line["model"], line["stream"]) == ("127.0.0.1", MODEL_NAME, False)
    assert line["finish_reason"] == "length"
    assert line["queue_s"] >= 0
    assert line["agent"].startswith("python-httpx/")
    assert "xyzzy" not in server.log.read_text()
    assert KEY not in server.log.read_text()


MISTAKES: list[tuple[str, dict[str, Any]]] = [
    ("/v1/completions", {"model": "no-such-model", "prompt": "xyzzy"}),
    ("/v1/chat/completions", {"model": "no-such-model", "messages": [{"role": "xyzzy"}]}),
    ("/v1/completions", {"prompt": "xyzzy", "structured_outputs": {"regex": "(xyzzy"}}),
    ("/v1/completions", {"prompt": "xyzzy", "structured_outputs": {"grammar": "root ::= xyzzy"}}),
    ("/v1/completions", {"prompt": "xyzzy " * 2000}),
    ("/v1/completions", {"prompt": ["xyzzy"] * 100, "n": 2}),
    ("/v1/messages", {"model": MODEL_NAME, "max_tokens": 4, "messages": [{"role": "xyzzy"}]}),
    ("/v1/responses", {"input": [{"role": "xyzzy", "content": 5}]}),
    ("/tokenize", {"prompt": {"xyzzy": 1}}),
]


def test_mistakes_of_clients_are_no_errors_in_the_log(server: Server) -> None:
    before = len(server.log.read_text())
    codes = [server.authorised.post(path, json=body).status_code for path, body in MISTAKES]
    assert [code for code in codes if not 400 <= code < 500] == []
    server.authorised.get("/v1/models", headers={"X-Request-Id": "after-mistakes"})
    while "after-mistakes" not in (said := server.log.read_text()[before:]):
        time.sleep(0.05)
    assert "xyzzy" not in said
    assert [line for line in said.splitlines() if line.startswith(("ERROR", "  Tr"))] == []


def test_metrics_of_its_own_beside_those_of_vllm(server: Server) -> None:
    before = server.families().get("llm_requests", {})
    server.authorised.post("/generate", json={"prompt": "Hi", "max_tokens": 3})
    server.open.post("/generate", json={"prompt": "Hi", "max_tokens": 3})
    server.open.get("/nowhere")
    now = server.families()
    gained = {
        labels: number - before.get(labels, 0)
        for labels, number in now["llm_requests"].items()
        if number != before.get(labels, 0) and "/metrics" not in labels
    }
    assert gained == {
        ("usual", "/generate", "ok"): 1,
        ("none", "/generate", "refused"): 1,
        ("none", "other", "refused"): 1,
    }
    assert now["llm_tokens"]["usual", "generation"] >= 3
    assert now["llm_refused"]["none", "no_key"] >= 2
    assert now["llm_state"]["healthy",] == 1
    assert sum(now["llm_state"].values()) == 1
    assert now["llm_last_served_timestamp_seconds"][()] > 0
    steps = {step for (step,) in now["llm_start_phase_seconds"]}
    assert steps == {
        "begin",
        "import",
        "configuration",
        "engine",
        "api",
        "first_token",
        "warm_up",
    }
    (release,) = now["llm_release_info"]
    assert MODEL_NAME in release
    # What alerts need of vLLM.
    assert {
        "vllm:kv_cache_usage_perc",
        "vllm:num_requests_running",
        "vllm:num_requests_waiting",
        "vllm:time_to_first_token_seconds",
    } <= set(now)
    assert [name for name in now if name.endswith("_created")] == []


def test_keys_open_what_their_scope_says(server: Server) -> None:
    keys = {scope: f"{scope}-key-0123456789" for scope in ("metrics", "inference")}
    more = [
        {"name": scope, "scope": scope, "sha256": hashlib.sha256(key.encode()).hexdigest()}
        for scope, key in keys.items()
    ]
    old = hashlib.sha256(b"expired-key-0123456789").hexdigest()
    server.write_access(*more, {"name": "old", "sha256": old, "expires": "2020-01-31"})
    server.reload()
    paths = ["/metrics", "/v1/models", "/load", "/kv_event_sources", "/version", "/docs"]

    def codes(key: str) -> list[int]:
        headers = {"Authorization": f"Bearer {key}"}
        return [server.open.get(path, headers=headers).status_code for path in paths]

    assert codes(KEY) == [200] * 6
    assert codes(keys["metrics"]) == [200, 403, 403, 403, 403, 403]
    assert codes(keys["inference"]) == [403, 200, 403, 403, 200, 200]
    assert codes("expired-key-0123456789") == [401] * 6
    assert "WARNING llm_server: The key old expired on 2020-01-31" in server.log.read_text()
    server.write_access()
    server.reload()


def test_keys_come_and_go_without_a_restart(server: Server) -> None:
    other = {"Authorization": "Bearer another-key-0123456789"}
    digest = hashlib.sha256(b"another-key-0123456789").hexdigest()
    assert server.open.get("/v1/models", headers=other).status_code == 401
    server.write_access({"name": "other", "sha256": digest, "requests_per_minute": 2})
    server.reload()
    wanted = {"prompt": "a", "max_tokens": 1}
    codes = [
        server.open.post("/generate", headers=other, json=wanted).status_code for _ in range(3)
    ]
    assert codes == [200, 200, 429]
    assert server.open.get("/v1/models", headers=other).status_code == 200, "that is not counted"
    server.write_access()
    server.reload()
    assert server.open.get("/v1/models", headers=other).status_code == 401
    assert server.authorised.get("/v1/models").status_code == 200


def test_limits_of_size(server: Server) -> None:
    server.write_access(max_body_bytes=2000, max_sequences=4)
    server.reload()
    try:
        chunks = (b"x" * 1000 for _ in range(5))
        assert server.authorised.post("/generate", content=chunks).status_code == 413
        assert server.authorised.post("/generate", content=b"x" * 3000).status_code == 413
        many = server.authorised.post("/generate", json={"prompt": "x", "n": 5})
        assert (many.status_code, "5" in many.text, "4" in many.text) == (400, True, True)
        batch = {"model": MODEL_NAME, "prompt": ["a"] * 5, "max_tokens": 2}
        assert server.authorised.post("/v1/completions", json=batch).status_code == 400
    finally:
        server.write_access()
        server.reload()


def test_limits_of_time_and_number(server: Server) -> None:
    """So many seconds that on a busy machine too all four ask, and a stream begins, before."""
    server.write_access(max_request_seconds=5, max_requests=2)
    server.reload()
    try:
        long = {"prompt": "Count", "max_tokens": 1000, "temperature": 1.5, "top_p": 1}
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(
                target=lambda: answers.append(server.authorised.post("/generate", json=long))
            )
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(300)
        assert sorted(a.status_code for a in answers) == [429, 429, 504, 504]
        streamed = {"model": MODEL_NAME, "stream": True, "ignore_eos": True}
        for path, more in (("/generate", {"stream": True}), ("/v1/completions", streamed)):
            text = server.authorised.post(path, json=long | more).text
            error = json.loads(text[text.index('{"error"') :].splitlines()[0])["error"]
            assert (error["code"], "request_id" in error) == (504, True), text[-500:]
            assert text.endswith("data: [DONE]\n\n")
        assert {a.headers.get("retry-after") for a in answers if a.status_code == 429} == {"2"}
        server.wait_until_idle()  # the engine dropped them
    finally:
        server.write_access()
        server.reload()


def test_a_browser_gets_a_page(server: Server) -> None:
    wanted = {"Accept": "text/html"}
    page = server.open.get("/", headers=wanted)
    assert page.status_code == 200, "the page asks for the key itself"
    assert "<form" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert server.authorised.get("/", headers=wanted).status_code == 200
    assert server.authorised.get("/").json()["tasks"] == ["generate"]


def test_idle_connections_hold_up_nobody(server: Server) -> None:
    address = ("127.0.0.1", server.port)
    idle = [socket.create_connection(address) for _ in range(1000)]
    try:
        assert server.open.get("/health").status_code == 200
        assert server.authorised.post(
            "/generate", json={"prompt": "Hi", "max_tokens": 2}
        ).is_success
    finally:
        for one in idle:
            one.close()


def test_an_engine_that_hangs_is_stuck_until_it_goes_on(server: Server) -> None:
    engine = server.engine()
    body = {"prompt": "Hi", "max_tokens": 4}
    answers: list[httpx.Response] = []
    engine.send_signal(signal.SIGSTOP)
    try:
        worker = threading.Thread(
            target=lambda: answers.append(server.authorised.post("/generate", json=body))
        )
        worker.start()
        assert server.wait_for("stuck").status == 503
        assert server.open.get("/health/live").status_code == 503
        assert server.families()["llm_state"]["stuck",] == 1
        server.notices.clear()
        time.sleep(2)
        server.health()
        assert not any("WATCHDOG=1" in notice for notice in server.notices)
    finally:
        engine.send_signal(signal.SIGCONT)
    server.wait_for("healthy")
    worker.join(120)
    assert [a.status_code for a in answers] == [200]


def wait_for_in_flight(server: Server, number: int) -> None:
    """Until the server has let so many requests in, be it without their bodies."""
    deadline = time.monotonic() + 120
    while server.families()["llm_in_flight"][()] < number:
        assert time.monotonic() < deadline, server.tail()
        time.sleep(0.02)


def test_sigterm_answers_what_runs_and_leaves_nothing(server: Server) -> None:
    """A request that runs, one whose body is still on its way, and 32 that the engine has."""
    processes = server.processes()
    assert len(processes) >= 2, "the engine has a process of its own"
    answers: list[httpx.Response] = []
    body = {"prompt": "Once upon a time", "max_tokens": 120, "temperature": 0}
    worker = threading.Thread(
        target=lambda: answers.append(server.authorised.post("/generate", json=body))
    )
    worker.start()
    late = json.dumps({"prompt": "Hi", "max_tokens": 2}).encode()
    slow = socket.create_connection(("127.0.0.1", server.port))
    slow.sendall(
        f"POST /generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(late)}\r\n\r\n".encode()
    )
    wait_for_in_flight(server, 2)
    before = server.accepted()
    # So few tokens that it is the first that runs for long.
    outcomes, threads = all_at_once(str(server.open.base_url).rstrip("/"), 32, 8)
    server.wait_for_accepted(before + 32)
    sender = threading.Timer(0.5, slow.sendall, [late])  # once the server has begun to stop
    sender.start()
    server.health()  # takes in what was told so far: the socket's queue holds few messages
    began = time.monotonic()
    assert server.stop() == 0
    print(f"SIGTERM with 32 in flight: ended after {time.monotonic() - began:.1f} s")  # noqa: T201
    worker.join(120)
    assert [a.status_code for a in answers] == [200]
    assert answers[0].json()["text"]
    for thread in threads:
        thread.join(120)
    assert [o for o in outcomes if (o.status, o.whole) != (200, True)] == []
    assert len(outcomes) == 32
    assert slow.recv(100).startswith(b"HTTP/1.1 200"), "it was let in before"
    slow.close()
    assert time.monotonic() - began < 120, "it waited for its shutdown_timeout to end"
    assert all_gone(processes) == []
    assert any("STOPPING=1" in notice for notice in server.notices)
    assert "Traceback" not in server.tail()


EMBED = """
import os, sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1] + "/v1", api_key=os.environ["API_KEY"])
found = client.embeddings.create(model=sys.argv[2], input=["Hello", "World"])
print(len(found.data), len(found.data[0].embedding), found.usage.prompt_tokens)
"""


def test_a_model_that_makes_vectors_after_a_plain_start(vectors: tuple[Server, Path]) -> None:
    server, certificate = vectors
    assert "starts plain" not in server.log.read_text(), "that is said where it was not asked for"
    # A process that starts over is given this; a forked one has the environment of its parent.
    given = Path(f"/proc/{server.engine().pid}/environ").read_bytes().split(b"\0")
    assert b"VLLM_WORKER_MULTIPROC_METHOD=spawn" in given
    before = len(server.requests())
    done = subprocess.run(
        [server.python, "-c", EMBED, f"https://localhost:{server.port}/llm", MODEL_NAME],
        env=os.environ | {"API_KEY": KEY, "SSL_CERT_FILE": str(certificate)},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr + server.tail()
    vectors_made, length, tokens = map(int, done.stdout.split())
    assert (vectors_made, length) == (2, 576)
    assert tokens >= 2
    (line,) = [r for r in server.requests()[before:] if r["path"].endswith("/v1/embeddings")]
    assert (line["tokens_in"], line["tokens_out"]) == (tokens, 0)
    text = server.authorised.post("/generate", json={"prompt": "x"})
    assert (text.status_code, "embed" in text.text) == (404, True)
    many = {"model": MODEL_NAME, "input": ["a"] * 2049}
    assert server.authorised.post("/v1/embeddings", json=many).status_code == 400
    # Its body never comes: at the end of the time to stop it is told so.
    trust = ssl.create_default_context(cafile=str(certificate))
    with (
        socket.create_connection(("127.0.0.1", server.port)) as plain,
        trust.wrap_socket(plain, server_hostname="localhost") as late,
    ):
        late.sendall(
            f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n"
            "Content-Length: 100\r\n\r\n".encode()
        )
        wait_for_in_flight(server, 1)
        assert server.stop() == 0
        answer = b"".join(iter(lambda: late.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 503")
    assert b"The server stops" in answer


def test_sigterm_while_loading(make: Callable[..., Server]) -> None:
    server = make()
    server.start()
    server.wait_for("loading")
    while "engine" not in (sample := server.health() or server.samples[-1]).body["detail"]:
        assert sample.body["status"] == "loading"
        time.sleep(0.02)
    time.sleep(1.5)
    processes = server.processes()
    assert server.stop() == 0
    assert all_gone(processes) == []


def test_broken_weights_are_named(make: Callable[..., Server], tmp_path: Path) -> None:
    source = Path(setting("GCE_VLLM_TEST_MODEL"))
    broken = tmp_path / "broken"
    shutil.copytree(source, broken, ignore=shutil.ignore_patterns("*.safetensors"))
    for weights in source.glob("*.safetensors"):
        (broken / weights.name).write_bytes(weights.read_bytes()[:100_000])
    server = make(model_path=str(broken))
    server.start()
    processes = [psutil.Process(server.process.pid)]
    assert server.process.wait(900) == 1
    last = [line for line in server.log.read_text().splitlines() if "CRITICAL llm_server" in line]
    assert len(last) == 1
    assert "The model could not be loaded: SafetensorError" in last[0]
    assert all_gone(processes) == []


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"dtype": "float99"}, "vllm_args: dtype: invalid choice: 'float99'"),
        ({"max_model_ln": 5}, "vllm_args: max_model_ln: this vLLM has no such option; did you"),
        ({"enforce_eager": "yes"}, "vllm_args: enforce_eager: must be true or false"),
        ({"gpu_memory_utilization": 5}, "gpu_memory_utilization"),
        ({"max_model_len": 999999}, "max_model_len"),
    ],
)
def test_check_config(make: Callable[..., Server], args: dict[str, Any], says: str) -> None:
    status, said = make(vllm_args=ARGS | args).check()
    assert status == 2, said
    lines = [line for line in said.splitlines() if "settings.yaml: " in line]
    assert len(lines) == 1, said
    assert says in lines[0]


def test_check_config_passes(make: Callable[..., Server]) -> None:
    server = make()
    command = server.command("--check-config")
    done = subprocess.run(
        command, env=server.environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
