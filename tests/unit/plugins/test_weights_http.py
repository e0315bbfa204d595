# SPDX-License-Identifier: Apache-2.0
"""Where a place for models sends on to, with real TLS: nothing goes back to plain HTTP."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights import (
    sources as weights_sources,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.weights.http import FetchError, Place


class Hosts:
    """One server with TLS and one without, and what they were asked with."""

    def __init__(self, folder: Path) -> None:
        self.tokens: list[tuple[str, str | None]] = []
        hosts = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.0"

            def do_GET(self) -> None:
                hosts.tokens.append((self.path, self.headers["Authorization"]))
                to = {"/down": f"{hosts.plain}/file", "/on": f"{hosts.safe}/file",
                      "/round": f"{hosts.safe}/round", "/file-scheme": "file:///etc/passwd",
                      "/up": f"{hosts.safe}/down"}.get(self.path)  # fmt: skip
                self.send_response(302 if to else 200)
                if to:
                    self.send_header("Location", to)
                self.end_headers()
                if not to:
                    self.wfile.write(b"{}")

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(context)
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.servers[0].socket = context.wrap_socket(self.servers[0].socket, server_side=True)
        self.safe = f"https://localhost:{self.servers[0].server_address[1]}"
        self.plain = f"http://localhost:{self.servers[1].server_address[1]}"


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    found = Hosts(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with ExitStack() as stack:
        for server in found.servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
        yield found


@pytest.mark.parametrize("path", ["/down", "/up"])
def test_back_to_plain_http_only_where_a_checksum_is_known(hosts: Hosts, path: str) -> None:
    start = hosts.safe if path == "/down" else hosts.plain
    with pytest.raises(FetchError, match="without encryption"):
        Place("it", lambda: "secret").read(start + path)
    assert all(asked != "/file" for asked, _ in hosts.tokens)
    assert Place("it", pinned=True).read(start + path) == b"{}"


def test_a_token_goes_to_the_first_alone(hosts: Hosts) -> None:
    assert Place("it", lambda: "secret").read(f"{hosts.safe}/on") == b"{}"
    assert hosts.tokens == [("/on", "Bearer secret"), ("/file", None)]


def test_endless_and_odd_redirects(hosts: Hosts) -> None:
    with pytest.raises(FetchError, match="sends on more than"):
        Place("it").read(f"{hosts.safe}/round")
    for pinned in (False, True):
        with pytest.raises(FetchError, match="answers 302"):
            Place("it", pinned=pinned).read(f"{hosts.safe}/file-scheme")


def test_no_token_goes_to_a_bucket_over_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all sources: a token is refused, and the instance's own is not even asked for."""
    addresses = {"hub": "http://far.example", "storage": "http://far.example"}
    for source, repository in (
        ("hub", "a/b"),
        ("gcs", "gs://a/b"),
        ("https", "http://far.example/m"),
    ):
        asked = weights_sources.Query(repository, token="secret", **addresses)
        with pytest.raises(FetchError, match="is not encrypted"):
            weights_sources.look(source, asked)
    sent: list[str] = []

    def seen(place: Place, url: str, *_: Any) -> bytes:
        sent.append(place._token())
        raise FetchError("enough seen")

    monkeypatch.setattr(Place, "read", seen)
    monkeypatch.setattr(weights_sources.MetadataToken, "_ask", lambda _: ("of-the-instance", 9.0))
    for storage, token in (("http://far.example", ""), ("https://far.example", "of-the-instance")):
        with pytest.raises(FetchError, match="enough seen"):
            weights_sources.look("gcs", weights_sources.Query("gs://a/b", storage=storage))
        assert sent.pop() == token
