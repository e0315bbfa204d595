# SPDX-License-Identifier: Apache-2.0
"""Who may use the emulator's own controls: this machine, and no web page in a browser on it."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from emulator.faults.faults import Faults
from emulator.faults.request_log import RequestLog
from emulator.serve.gate import Gate


async def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("reached")


@pytest.fixture
def client() -> TestClient:
    routes = [Route("/{rest:path}", answer, methods=["GET", "POST"])]
    gate = Gate(Starlette(routes=routes), Faults(), RequestLog(), lambda: None)
    return TestClient(gate, base_url="http://127.0.0.1:8090")


@pytest.mark.parametrize(
    ("headers", "reached"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "localhost:1"}, True),
        ({"host": "LOCALHOST:1"}, True),
        ({"host": "[::1]:8090"}, True),
        ({"host": "127.0.0.9:8090"}, True),
        ({"origin": "http://127.0.0.1:8090"}, True),
        ({"origin": "https://localhost"}, True),
        ({"host": ""}, False),
        ({"host": "evil.example"}, False),
        ({"host": "evil.example:8090"}, False),
        ({"host": "127.0.0.1.evil.example"}, False),
        ({"host": "127.0.0.1@evil.example"}, False),
        ({"host": "localhost.evil.example"}, False),
        ({"host": "10.0.0.1"}, False),
        ({"host": "[bad"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "http://127.0.0.1.evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": ""}, False),
        ({"origin": "file://"}, False),
    ],
)
def test_controls(client: TestClient, headers: dict[str, str], reached: bool) -> None:
    for method in ("GET", "POST"):
        found = client.request(method, "/emulator/v1/preempt", headers=headers)
        assert (found.status_code == 200) is reached
        if not reached:
            assert "only this machine" in found.json()["error"]["message"]


def test_the_api_itself_is_asked_by_any_name(client: TestClient) -> None:
    headers = {"host": "compute.googleapis.com", "origin": "https://evil.example"}
    assert client.get("/compute/v1/x", headers=headers).text == "reached"
