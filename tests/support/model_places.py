# SPDX-License-Identifier: Apache-2.0
"""A hub, Cloud Storage and a mirror on loopback, which break off, lie and refuse when told to.

What is asked of Cloud Storage is checked by Google's own description of its API.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

COMMIT = "5b2c8a1e4d6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b"
_BIG = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "sub/tokenizer.json": b"{}",
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": _BIG[0], "b": _BIG[1]}}
    ).encode(),
    _BIG[0]: bytes(range(256)) * 1000,
    _BIG[1]: b"second" * 1000,
}
_OFFERED = FILES | {"pytorch_model.bin": b"pickle"}


@cache
def _objects() -> dict[str, Any]:
    documents = resources.files("googleapiclient.discovery_cache") / "documents"
    found = json.loads((documents / "storage.v1.json").read_text())
    return {"methods": found["resources"]["objects"]["methods"], "common": found["parameters"]}


class Places:
    """The server. `break_at` and `hang_at` are bytes of a file, `spoilt` how often it lies."""

    def __init__(self) -> None:
        self.ranges, self.redirects, self.composite, self.bucket_sums = True, False, False, False
        self.status, self.error_code = 0, ""
        self.break_at: dict[str, list[int]] = {}
        self.hang_at: dict[str, int] = {}
        self.hanging, self.released = threading.Event(), threading.Event()
        self.spoilt: dict[str, int] = {}
        self.hidden: set[str] = set()
        self.offered, self.commit = dict(_OFFERED), COMMIT
        self.manifest: bytes | None = None
        self.asked: list[tuple[str, int]] = []
        self.tokens: list[tuple[str, str | None]] = []
        self.wrong: list[str] = []
        places = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                places.answer(self)

            def do_HEAD(self) -> None:
                places.answer(self, head=True)

            def log_message(self, *args: Any) -> None:
                """Nothing."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *args: Any) -> None:
                """A client that was killed is no failure of the server."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{self.host}"

    def __enter__(self) -> Places:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        assert not self.wrong, self.wrong

    def answer(self, request: BaseHTTPRequestHandler, head: bool = False) -> None:
        """One request."""
        parts = urlsplit(request.path)
        path = unquote(parts.path)
        if path.startswith("/computeMetadata/"):
            assert request.headers["Metadata-Flavor"] == "Google"
            return _send(request, {"access_token": "of-the-instance", "expires_in": 3600})
        self.tokens.append((path, request.headers["Authorization"]))
        if self.status:
            request.send_response(self.status)
            if self.error_code:
                request.send_header("X-Error-Code", self.error_code)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return None
        if path.startswith("/api/models/org/model/revision/"):
            return _send(request, self._hub())
        if path.startswith("/storage/v1/b/models/o"):
            return self._storage(request, parts.path, dict(parse_qsl(parts.query)))
        for prefix in (f"/org/model/resolve/{self.commit}/", "/cdn/", "/mirror/model/"):
            if path.startswith(prefix):
                name = path.removeprefix(prefix)
                if self.redirects and prefix.startswith("/org/"):
                    request.send_response(302)
                    # Another name of this machine: another host to the client.
                    other = self.url.replace("127.0.0.1", "localhost")
                    request.send_header("Location", f"{other}/cdn/{name}")
                    request.send_header("Content-Length", "0")
                    request.end_headers()
                    return None
                return self._file(request, name, head)
        return _missing(request)

    def _names(self) -> list[str]:
        return [name for name in self.offered if name not in self.hidden]

    def _hub(self) -> dict[str, Any]:
        listed = []
        for name in self._names():
            content = self.offered[name]
            blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False)
            one: dict[str, Any] = {"rfilename": name, "size": len(content)}
            one["blobId"] = blob.hexdigest()
            if name.endswith(".safetensors"):
                one["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
            listed.append(one)
        return {"id": "org/model", "sha": self.commit, "siblings": listed}

    def _storage(self, request: BaseHTTPRequestHandler, path: str, query: dict[str, str]) -> None:
        rest = path.removeprefix("/storage/v1/b/models/o").strip("/")
        method = _objects()["methods"]["get" if rest else "list"]
        known = {**method["parameters"], **_objects()["common"]}
        self.wrong += [f"{method['id']} has no {key}" for key in query if key not in known]
        if rest.count("/"):
            self.wrong.append(f"{rest} is not one segment")
        if rest:
            if query.get("alt") != "media" or query.get("generation") != "7":
                self.wrong.append(f"{rest} with {query}")
            return self._file(request, unquote(rest).removeprefix("org/model/"), False)
        names = sorted(self._names() + ["SHA256SUMS"] * self.bucket_sums)
        # Two to a page, so that pages are turned.
        start = int(query.get("pageToken", "0"))
        items = []
        for name in names[start : start + 2]:
            content = self._content(name) or b""
            one = {"name": f"org/model/{name}", "size": str(len(content)), "generation": "7"}
            if not self.composite:
                digest = hashlib.md5(content, usedforsecurity=False).digest()
                one["md5Hash"] = base64.b64encode(digest).decode()
            items.append(one)
        page: dict[str, Any] = {"items": items}
        if start + 2 < len(names):
            page["nextPageToken"] = str(start + 2)
        return _send(request, page)

    def _content(self, name: str) -> bytes | None:
        if name == "manifest.json":
            return self.manifest
        if name == "SHA256SUMS":
            lines = [
                f"{hashlib.sha256(self.offered[one]).hexdigest()}  ./{one}" for one in self._names()
            ]
            return "\n".join(lines).encode()
        return self.offered.get(name)

    def _file(self, request: BaseHTTPRequestHandler, name: str, head: bool) -> None:
        content = self._content(name)
        if content is None:
            return _missing(request)
        start = 0
        span = request.headers["Range"]
        if span:
            start = int(span.removeprefix("bytes=").removesuffix("-"))
        if not head:
            self.asked.append((name, start))
        begin = start if self.ranges else 0
        end = len(content)
        breaks = self.break_at.get(name) or []
        if breaks and not head:
            end = breaks.pop(0)
        if self.spoilt.get(name, 0) > 0 and not head:
            self.spoilt[name] -= 1
            content = bytes(len(content))
        request.send_response(206 if begin else 200)
        request.send_header("Content-Length", str(len(content) - begin))
        request.end_headers()
        if head:
            return None
        hang = self.hang_at.get(name)
        request.wfile.write(content[begin : end if hang is None else hang])
        request.wfile.flush()
        if hang is not None:
            self.hanging.set()
            self.released.wait(600)
        return None


def _send(request: BaseHTTPRequestHandler, content: dict[str, Any]) -> None:
    text = json.dumps(content).encode()
    request.send_response(200)
    request.send_header("Content-Length", str(len(text)))
    request.end_headers()
    request.wfile.write(text)


def _missing(request: BaseHTTPRequestHandler) -> None:
    request.send_response(404)
    request.send_header("Content-Length", "0")
    request.end_headers()
