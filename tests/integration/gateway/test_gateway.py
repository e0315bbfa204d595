# SPDX-License-Identifier: Apache-2.0
"""The role's configuration in the real Caddy, before a server that does as told."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from files.llm_server.keys.rights import INFERENCE
from tests.support.gateway import TIMEOUT_S, Gateway, Upstream, running, until
from tests.support.role_values import values

KEY = "Bearer a-key-that-nobody-may-read"
# What of vLLM's server resizes, pauses, stops, or shows what is inside; with development mode too.
ADMIN = (
    "/metrics",
    "/metrics/",
    "/server_info",
    "/reset_prefix_cache",
    "/reset_mm_cache",
    "/reset_encoder_cache",
    "/sleep",
    "/wake_up",
    "/is_sleeping",
    "/pause",
    "/resume",
    "/is_paused",
    "/scale_elastic_ep",
    "/is_scaling_elastic_ep",
    "/collective_rpc",
    "/init_weight_transfer_engine",
    "/update_weights",
    "/start_profile",
    "/stop_profile",
    "/load",
    "/get_load",
    "/tokenizer_info",
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/inference/v1/generate",
    "/v1/chat/completions/render",
    "/v1/completions/derender",
    "/config/",
    "/load/",
    "/stop",
    "/redoc",
    "/.git/config",
    # Others' ways to write the same.
    "//metrics",
    "/%6detrics",
    "/./metrics",
    "/v1/models/../../metrics",
    "/v1/models/%2e%2e/%2e%2e/metrics",
    "/v1/models/..%2f..%2fmetrics",
    "/static/..%2fmetrics",
    "/METRICS",
    "/v1/Load_Lora_Adapter",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, Upstream]]:
    # Short: a socket's path has at most 108 bytes.
    with running(tmp_path_factory.mktemp("gw")) as found:
        yield found


def client(gateway: Gateway) -> httpx.Client:
    return httpx.Client(
        base_url=f"https://localhost:{gateway.port}", verify=gateway.trusted(), timeout=TIMEOUT_S
    )


def raw(gateway: Gateway, head: str) -> bytes:
    """An answer to a head that no library would send."""
    with (
        socket.create_connection(("127.0.0.1", gateway.port), timeout=TIMEOUT_S) as plain,
        gateway.trusted().wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        wrapped.sendall(head.encode())
        found = b""
        while piece := wrapped.recv(65536):
            found += piece
        return found


def logged(gateway: Gateway, request_id: str) -> list[dict[str, Any]]:
    return [one for one in gateway.access() if one.get("request_id") == request_id]


def test_each_path_of_the_model_is_passed_on_or_closed_by_name() -> None:
    [passed] = values("gateway", ["__gateway_model_paths"])
    closed = {path for path in INFERENCE if path.endswith(("/render", "/derender"))}
    closed.add("/inference/v1/generate")
    assert set(passed) & closed == set()
    assert INFERENCE - closed <= set(passed), "say whether the gateway passes it on"
    more = {"/health", "/health/live", "/health/ready", "/static/*", "/v1/models/*"}
    assert set(passed) - INFERENCE == {*more, "/v1/responses/*"}


def test_the_certificate_is_checked_by_the_authority_that_was_fetched(
    both: tuple[Gateway, Upstream],
) -> None:
    gateway, _ = both
    with client(gateway) as http:
        assert http.get("/health").status_code == 200
    with (
        httpx.Client(verify=True, timeout=TIMEOUT_S) as http,
        pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        http.get(f"https://localhost:{gateway.port}/health")


def test_versions_of_tls_and_http(both: tuple[Gateway, Upstream]) -> None:
    gateway, _ = both
    context = gateway.trusted()
    context.set_alpn_protocols(["h2", "http/1.1"])
    address = ("127.0.0.1", gateway.port)
    with (
        socket.create_connection(address, timeout=TIMEOUT_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        assert wrapped.selected_alpn_protocol() == "h2"
        assert wrapped.version() == "TLSv1.3"
    old = gateway.trusted()
    old.minimum_version = ssl.TLSVersion.TLSv1_2
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(address, timeout=TIMEOUT_S) as plain,
        old.wrap_socket(plain, server_hostname="localhost") as wrapped,
    ):
        assert wrapped.version() == "TLSv1.2"


def test_what_is_passed_on_is_what_was_sent(both: tuple[Gateway, Upstream]) -> None:
    gateway, _ = both
    headers = {"Authorization": KEY, "X-Api-Key": KEY, "X-Request-Id": "my.id_1"}
    forged = {
        "X-Forwarded-For": "192.0.2.9",
        "X-Real-Ip": "192.0.2.9",
        "Forwarded": "for=192.0.2.9",
    }
    with client(gateway) as http:
        answer = http.post(
            "/v1/chat/completions?a=b", content=b"x" * 1000, headers=headers | forged
        )
    told = answer.json()
    assert (told["path"], told["bytes"]) == ("/v1/chat/completions?a=b", 1000)
    seen = told["headers"]
    assert seen["authorization"] == KEY
    assert seen["x-api-key"] == KEY
    assert seen["x-request-id"] == "my.id_1" == answer.headers["X-Request-Id"]
    # Whoever asks cannot say who asks.
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["x-forwarded-proto"] == "https"
    assert not {"x-real-ip", "forwarded"} & set(seen)
    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert not {"server", "via"} & set(answer.headers)


def test_one_id_on_the_way_in_both_logs(both: tuple[Gateway, Upstream]) -> None:
    gateway, _ = both
    with client(gateway) as http:
        for odd in ({}, {"X-Request-Id": 'a"b'}, {"X-Request-Id": "x" * 65}):
            answer = http.get("/version?key=" + KEY, headers={"Authorization": KEY, **odd})
            given = answer.headers["X-Request-Id"]
            assert given not in odd.values()
            assert answer.json()["headers"]["x-request-id"] == given
            line = until(partial(logged, gateway, given))[0]
            assert line["request"]["uri"] == "/version"
            assert line["request"]["client_ip"] == "127.0.0.1"
            assert line["status"] == 200
        health = http.get("/health/ready").headers["X-Request-Id"]
        last = http.get("/version").headers["X-Request-Id"]
    until(partial(logged, gateway, last))
    assert logged(gateway, health) == []
    assert "nobody-may-read" not in gateway.journal.read_text()


@pytest.mark.parametrize("path", ADMIN)
def test_what_is_not_for_clients_is_not_passed_on(
    both: tuple[Gateway, Upstream], path: str
) -> None:
    gateway, upstream = both
    for method in ("GET", "POST"):
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {KEY}\r\n"
        answer = raw(gateway, f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 404 "), answer
        error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
        assert error["type"] == "invalid_request_error"
        assert error["request_id"]
    assert "metrics" not in json.dumps([one["path"] for one in upstream.asked])


def test_another_name_is_nobody_here(both: tuple[Gateway, Upstream]) -> None:
    gateway, upstream = both
    before = len(upstream.asked)
    answer = raw(gateway, "GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 421 "), answer
    assert len(upstream.asked) == before


@pytest.mark.parametrize("body", [b"{}", b"plain"])
def test_the_first_piece_does_not_wait_for_the_second(
    both: tuple[Gateway, Upstream], body: bytes
) -> None:
    gateway, upstream = both
    upstream.go_on.clear()
    with client(gateway) as http, http.stream("POST", "/v1/completions", content=body) as answer:
        pieces = answer.iter_lines()
        # The second is not sent before.
        assert next(pieces) == "data: first"
        upstream.go_on.set()
        assert "data: last" in list(pieces)


def test_a_client_that_leaves_is_gone_at_the_server_too(both: tuple[Gateway, Upstream]) -> None:
    gateway, upstream = both
    upstream.go_on.clear()
    left = upstream.left
    with client(gateway) as http, http.stream("POST", "/v1/completions", content=b"{}") as answer:
        assert next(answer.iter_lines()) == "data: first"
    until(lambda: upstream.left == left + 1)


def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    with running(tmp_path, gateway_max_body_bytes=2000) as (gateway, upstream):
        with client(gateway) as http:
            assert http.post("/v1/embeddings", content=b"x" * 2000).json()["bytes"] == 2000
            answer = http.post("/v1/embeddings", content=b"x" * 2001)
            assert answer.status_code == 413
            assert "2000 bytes" in answer.json()["error"]["message"]
            pieces = iter([b"x" * 1500] * 2)
            assert http.post("/v1/embeddings", content=pieces).status_code == 413
            # Of a server that does not answer a client learns when to come again.
            upstream.close()
            answer = http.get("/health")
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        error = answer.json()["error"]
        assert error["request_id"] == answer.headers["X-Request-Id"]


def stream(gateway: Gateway) -> list[str]:
    with client(gateway) as http, http.stream("POST", "/v1/completions", content=b"{}") as answer:
        return [line for line in answer.iter_lines() if line.startswith("data")]


def test_twenty_streams_outlive_reloads_and_a_stop(tmp_path: Path) -> None:
    with running(tmp_path) as (gateway, upstream), ThreadPoolExecutor(20) as pool:
        begun = [pool.submit(stream, gateway) for _ in range(20)]
        until(lambda: upstream.streams == 20)
        # Refused, and what runs goes on as it was.
        gateway.config.write_text(
            gateway.config.read_text().replace("@passed path", "@passed peth")
        )
        assert gateway.run("validate").returncode != 0
        assert gateway.reload().returncode != 0
        with client(gateway) as http:
            assert http.get("/version").status_code == 200
            assert http.get("/metrics").status_code == 404
        gateway.configure(gateway_metrics=True)
        for _ in range(3):
            done = gateway.reload()
            assert done.returncode == 0, done.stderr
        # The new one is in force, and none of the old streams has ended.
        with client(gateway) as http:
            assert until(lambda: http.get("/metrics").status_code == 200)
        assert [one for one in begun if one.done()] == []
        # A restart: those that were begun end as they should.
        gateway.process.terminate()  # type: ignore[union-attr]
        until(lambda: "shutting down" in gateway.journal.read_text())
        upstream.go_on.set()
        expected = ["data: first", "data: last"]
        assert [one.result(timeout=TIMEOUT_S) for one in begun] == [expected] * 20
        assert gateway.process.wait(timeout=TIMEOUT_S) == 0  # type: ignore[union-attr]
        root = gateway.trusted().get_ca_certs()
        gateway.start()
        # Clients that trust its authority go on.
        assert gateway.trusted().get_ca_certs() == root
        assert stream(gateway) == expected
