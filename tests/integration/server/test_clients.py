# SPDX-License-Identifier: Apache-2.0
"""Clients as they are, with a real vLLM: SDKs, a page of another site, curl, and two proxies."""

from __future__ import annotations

import getpass
import hashlib
import http.server
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser

from demo.ports import free_port
from tests.debian import install, program
from tests.support.browser import STEP_TIMEOUT_MS, open_browser
from tests.support.programs import output_of
from tests.support.server_fixture import KEY, MODEL_NAME, Server, setting

pytestmark = pytest.mark.vllm

BOUNDED = "bounded-key-0123456789"
CHAT = (
    "openai_answers",
    "openai_wrong_key",
    "openai_base_url_without_version",
    "openai_what_is_left",
    "anthropic_answers",
    "anthropic_errors",
    "langchain_answers",
    "litellm_answers",
)


def battery(url: str, what: str, **variables: str) -> dict[str, str | None]:
    """What the released clients found."""
    environment = {
        "API_KEY": KEY,
        "BOUNDED_KEY": BOUNDED,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        **variables,
    }
    said = output_of(
        setting("GCE_VLLM_TEST_CLIENTS"),
        "clients_battery.py",
        url,
        MODEL_NAME,
        what,
        environment=environment,
        timeout=1800,
    )
    found: dict[str, str | None] = json.loads(said.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Iterator[Server]:
    """The shared one, with a key that may ask twice a minute."""
    digest = hashlib.sha256(BOUNDED.encode()).hexdigest()
    shared_server.write_access({"name": "bounded", "sha256": digest, "requests_per_minute": 2})
    shared_server.reload()
    yield shared_server
    shared_server.write_access()
    shared_server.reload()


@pytest.fixture(scope="module")
def url(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}"


@pytest.fixture(scope="module")
def found(url: str) -> dict[str, str | None]:
    return battery(url, "chat")


@pytest.mark.parametrize("check", CHAT)
def test_released_clients(found: dict[str, str | None], check: str) -> None:
    assert set(found) == set(CHAT)
    assert found[check] is None, found[check]


def test_curl_that_offers_http2(url: str) -> None:
    install("curl")
    body = json.dumps({"model": MODEL_NAME, "prompt": "Hi", "max_tokens": 2})
    done = subprocess.run(
        [program("curl"), "--http2", "--config", "-", "--data", body, f"{url}/v1/completions"],
        # The key is not for the list of processes.
        input=f"""
            silent
            header = "Authorization: Bearer {KEY}"
            header = "Content-Type: application/json"
            write-out = "\\n%{{http_code}} %{{http_version}}"
        """,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    answer, _, told = done.stdout.rpartition("\n")
    assert told == "200 1.1", done.stdout
    assert json.loads(answer)["usage"]["completion_tokens"] == 2


def test_a_websocket_is_still_upgraded_to(server: Server) -> None:
    lines = ["GET /v1/realtime HTTP/1.1", "Host: x", f"Authorization: Bearer {KEY}"]
    lines += ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"]
    lines += ["Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    with socket.create_connection(("127.0.0.1", server.port), timeout=300) as client:
        client.sendall("\r\n".join([*lines, "", ""]).encode())
        # This model has no such route; what is no websocket would get 404 and JSON.
        assert client.recv(4096).startswith(b"HTTP/1.1 403 ")


@pytest.mark.parametrize("path", ["/", "/health", "/v1/models", "/metrics", "/docs"])
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    told, head = server.authorised.get(path), server.authorised.head(path)
    assert (head.status_code, head.content) == (told.status_code, b"")
    assert server.open.head("/health").status_code == 200, "without a key"


@pytest.mark.parametrize("path", ["/generate", "/v1/completions", "/v1/chat/completions"])
def test_streams_tell_proxies_not_to_keep_them_back(server: Server, path: str) -> None:
    body = (
        {"prompt": "Hi"}
        if "chat" not in path
        else {"messages": [{"role": "user", "content": "Hi"}]}
    )
    more = {} if path == "/generate" else {"model": MODEL_NAME}
    answer = server.authorised.post(path, json={**body, **more, "max_tokens": 2, "stream": True})
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] in ("no-cache", "no-store")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with open_browser() as opened:
        yield opened


def test_chromium_asks_for_the_password_of_docs(browser: Browser, url: str) -> None:
    """Playwright answers where Chromium asks, and Chromium asks where it knows the scheme."""
    with browser.new_context(http_credentials={"username": "me", "password": KEY}) as context:
        page = context.new_page()
        page.set_default_timeout(STEP_TIMEOUT_MS)
        answer = page.goto(f"{url}/docs")
        assert answer is not None
        assert answer.status == 200
        page.wait_for_selector(".opblock")


class Site(http.server.SimpleHTTPRequestHandler):
    """Another site: an empty page, and the packages that it loads."""

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>app</title>")

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    folder = setting("GCE_VLLM_TEST_NPM")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Site, directory=folder)) as web:
        thread = threading.Thread(target=web.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


IN_A_PAGE = """
async ({url, key, model}) => {
  const { default: OpenAI } = await import("/openai/index.mjs");
  const made = (apiKey) => new OpenAI({
    apiKey, baseURL: url + "/v1", dangerouslyAllowBrowser: true, maxRetries: 0 });
  const asked = { model, messages: [{ role: "user", content: "Say hello." }], max_tokens: 8 };
  let pieces = 0;
  const stream = await made(key).chat.completions.create({ ...asked, stream: true });
  for await (const _ of stream) pieces++;
  const refused = await made("wrong-key-0123456789").chat.completions.create(asked)
    .then(() => null, (error) => ({ status: error.status, code: error.code, id: error.requestID }));
  return { pieces, refused };
}
"""


def test_a_page_of_another_site(browser: Browser, site: str, url: str) -> None:
    with browser.new_context() as context:
        page = context.new_page()
        page.set_default_timeout(STEP_TIMEOUT_MS)
        page.goto(site)
        said = page.evaluate(IN_A_PAGE, {"url": url, "key": KEY, "model": MODEL_NAME})
    assert said["pieces"] > 2, said
    # It can read an error, its status and its id, not only that something failed.
    assert (said["refused"]["status"], said["refused"]["code"]) == (401, "invalid_api_key")
    assert said["refused"]["id"]


@contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[str]:
    with log.open("wb") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + 300
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=60).close()
                    break
                except OSError:
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@contextmanager
def nginx(upstream: int, folder: Path) -> Iterator[str]:
    """As distributed, buffers and HTTP/1.0 to what is behind included; larger bodies allowed."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(
        # Who runs the tests, or it could not write a large body into their folder.
        f"user {getpass.getuser()}; daemon off; pid {folder}/nginx.pid;\n"
        f"error_log stderr; events {{}}\n"
        f"http {{ access_log off; gzip on; client_body_temp_path {folder}/body;\n"
        f" proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;\n"
        f" uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; client_max_body_size 0;\n"
        f" server {{ listen 127.0.0.1:{port}; location / {{\n"
        f"  proxy_pass http://127.0.0.1:{upstream};\n"
        f"  proxy_set_header Host api.example; proxy_set_header X-Forwarded-Proto https; }} }} }}\n"
    )
    command = [program("nginx"), "-p", str(folder), "-c", str(config)]
    with running(command, port, folder / "log") as url:
        yield url


@contextmanager
def caddy(upstream: int, folder: Path) -> Iterator[str]:
    port = free_port()
    config = folder / "Caddyfile"
    config.write_text(
        "{\n admin off\n auto_https off\n}\n"
        f"http://127.0.0.1:{port} {{\n encode gzip\n reverse_proxy 127.0.0.1:{upstream}\n}}\n"
    )
    command = [program("caddy"), "run", "--adapter", "caddyfile", "--config", str(config)]
    with running(command, port, folder / "log") as url:
        yield url


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxied(
    request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    """A client of the server behind a proxy."""
    install(request.param.__name__)
    folder = tmp_path_factory.mktemp(request.param.__name__)
    headers = {"Authorization": f"Bearer {KEY}"}
    with (
        request.param(server.port, folder) as url,
        httpx.Client(base_url=url, headers=headers, timeout=300) as client,
    ):
        yield client


def test_a_stream_comes_piece_by_piece(server: Server, proxied: httpx.Client) -> None:
    body = {"model": MODEL_NAME, "prompt": "Count.", "max_tokens": 900, "ignore_eos": True}
    with proxied.stream("POST", "/v1/completions", json=body | {"stream": True}) as answer:
        lines = answer.iter_lines()
        assert next(line for line in lines if line.startswith("data: "))
        # What keeps a stream back would show its first event after its last.
        assert server.metric("vllm:num_requests_running") > 0
    server.wait_until_idle()


def test_a_slash_too_many_is_no_redirect(proxied: httpx.Client) -> None:
    body = {"model": MODEL_NAME, "prompt": "Hi", "max_tokens": 2}
    answer = proxied.post("/v1/completions/", json=body)
    assert (answer.status_code, answer.history) == (200, [])


def test_a_large_body_gets_the_same_answer(server: Server, proxied: httpx.Client) -> None:
    for size in (1000, 2_000_000):
        body = json.dumps({"model": MODEL_NAME, "prompt": "x" * size, "max_tokens": 2}).encode()
        headers = {"Content-Type": "application/json"}
        direct = server.authorised.post("/v1/completions", content=body, headers=headers)
        through = proxied.post("/v1/completions", content=body, headers=headers)
        assert through.status_code == direct.status_code
        assert through.status_code == (400 if size > 1000 else 200)
        assert through.headers["x-request-id"]


def test_a_thousand_texts_over_tls(vectors: tuple[Server, Path]) -> None:
    server, certificate = vectors
    url = f"https://localhost:{server.port}/llm"
    found = battery(url, "vectors", SSL_CERT_FILE=str(certificate))
    assert found == {"langchain_vectors": None}, found["langchain_vectors"]


def test_docs_below_a_prefix(browser: Browser, vectors: tuple[Server, Path]) -> None:
    server, _ = vectors
    with browser.new_context(
        http_credentials={"username": "me", "password": KEY}, ignore_https_errors=True
    ) as context:
        page = context.new_page()
        page.set_default_timeout(STEP_TIMEOUT_MS)
        page.goto(f"https://localhost:{server.port}/llm/docs")
        page.wait_for_selector(".opblock")


def test_no_plain_http_where_there_is_tls(vectors: tuple[Server, Path]) -> None:
    server, _ = vectors
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{server.port}/health", timeout=300)
