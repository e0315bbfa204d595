# SPDX-License-Identifier: Apache-2.0
"""An endpoint is asked over HTTP, and each of its faults is told as what it is."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.llmops.gce_vllm.plugins.modules import llm_endpoint_info

Json = dict[str, Any]
KEY = "the-key-of-the-endpoint"


def says(text: Any) -> Json:
    """A completion."""
    return {"choices": [{"message": {"content": text}}]}


class Endpoint(ThreadingHTTPServer):
    """Answers as it is told, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.key = KEY
        self.asked: list[tuple[str, str, Json]] = []
        self.answers: dict[str, Any] = {
            "/": (200, {"model": "a-model"}),
            "/health": (200, {"status": "healthy", "model_loaded": True}),
            "/v1/chat/completions": (200, says(" It is Paris. ")),
        }

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Json) -> None:
        self.server.asked.append((self.command, self.path, body))
        status, said = self.server.answers[self.path]
        locked = self.path.startswith("/v1") and self.server.key
        if locked and self.headers["Authorization"] != f"Bearer {self.server.key}":
            status, said = 401, {"error": "no key"}
        if status == 0:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        text = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        if status == 302:
            self.send_header("Location", "/")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """One that is well."""
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def asked(url: str, **options: Any) -> Json:
    """What the module answers."""
    written = io.StringIO()
    given = {"url": url, "api_key": KEY, "retries": 0, "expect": "Paris", **options}
    with (
        patch_module_args(given),
        contextlib.redirect_stdout(written),
        contextlib.suppress(SystemExit),
    ):
        llm_endpoint_info.main()
    answer: Json = json.loads(written.getvalue())
    return answer


def failed(answer: Json) -> set[str]:
    """Probes that did not pass."""
    return {name for name, one in answer["probes"].items() if not one["ok"]}


def test_one_that_is_well(endpoint: Endpoint) -> None:
    answer = asked(endpoint.url + "/", max_tokens=7)
    assert failed(answer) == set()
    assert {name: one["evidence"] for name, one in answer["probes"].items()} == {
        "root": "GET / answered 200, model a-model",
        "health": "GET /health answered 200, healthy",
        "completion": 'asked "What is the capital of France?", answered 200 "It is Paris.", '
        "expected /Paris/",
        "locked": "without a key it answered 401",
    }
    chat = {
        "model": "a-model",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 7,
        "temperature": 0,
    }
    assert endpoint.asked == [
        ("GET", "/", {}),
        ("GET", "/health", {}),
        ("POST", "/v1/chat/completions", chat),
        ("POST", "/v1/chat/completions", chat),
    ]
    assert not answer["changed"]


CHAT = "/v1/chat/completions"
FAULTS: list[tuple[dict[str, Any], Json, set[str], str]] = [
    ({"/": (200, {})}, {}, {"root"}, "model unknown"),
    ({"/": (500, {"model": "x"})}, {}, {"root"}, "GET / answered 500"),
    ({"/": (200, [1])}, {}, {"root"}, "model unknown"),
    ({"/": (200, b"\xff{")}, {}, {"root"}, "model unknown"),
    ({"/health": (503, {"status": "degraded"})}, {}, {"health"}, "answered 503, degraded"),
    ({"/health": (200, {"status": "healthy"})}, {}, {"health"}, "answered 200, healthy"),
    ({"/health": (200, {"model_loaded": True})}, {}, {"health"}, "no status"),
    ({"/health": (0, {})}, {}, {"health"}, "no answer: "),
    ({CHAT: (200, says(""))}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (200, says(None))}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (200, says([{"text": "Paris"}]))}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (200, {"choices": []})}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (200, {"choices": None})}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (200, b"no JSON")}, {}, {"completion"}, 'answered 200 ""'),
    ({CHAT: (500, says("Paris"))}, {}, {"completion"}, "answered 500"),
    ({CHAT: (302, says("Paris"))}, {}, {"completion"}, "answered 302"),
    ({CHAT: (0, {})}, {}, {"completion"}, "no answer: "),
    ({}, {"expect": "Rome"}, {"completion"}, "expected /Rome/"),
    ({}, {"api_key": "another-key"}, {"completion"}, "answered 401"),
    ({"/": (0, {})}, {}, {"root", "completion", "locked"}, "no answer: "),
]


@pytest.mark.parametrize(("answers", "options", "expected", "evidence"), FAULTS)
def test_each_fault_is_told(
    endpoint: Endpoint, answers: dict[str, Any], options: Json, expected: set[str], evidence: str
) -> None:
    endpoint.answers |= answers
    answer = asked(endpoint.url, **options)
    assert failed(answer) == expected
    assert all(evidence in answer["probes"][name]["evidence"] for name in expected)


def test_one_without_a_lock(endpoint: Endpoint) -> None:
    endpoint.key = ""
    answer = asked(endpoint.url)
    assert failed(answer) == {"locked"}
    assert answer["probes"]["locked"]["evidence"] == "without a key it answered 200"
    endpoint.asked.clear()
    open_one = asked(endpoint.url, api_key="")
    assert failed(open_one) == set()
    assert open_one["probes"]["locked"]["evidence"] == "the endpoint has no key"
    assert len(endpoint.asked) == 3


def test_where_nothing_listens_it_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    answer = asked("http://127.0.0.1:9", retries=2)
    assert failed(answer) == {"root", "health", "completion", "locked"}
    assert all("Connection refused" in one["evidence"] for one in answer["probes"].values())
    assert slept == [2, 2] * 2


def test_the_key_and_the_address_are_hidden(endpoint: Endpoint) -> None:
    endpoint.answers["/v1/chat/completions"] = (200, says(f"Paris {KEY}"))
    address = endpoint.url.replace("http://", "http://user:pass-word-of-it@")
    answer = json.dumps(asked(address))
    assert KEY not in answer
    assert "pass-word-of-it" not in answer


def test_an_expectation_that_is_no_expression() -> None:
    answer = asked("http://127.0.0.1:9", expect="(")
    assert answer["failed"]
    assert "no regular expression" in answer["msg"]
