# SPDX-License-Identifier: Apache-2.0
"""What vLLM fetches for a multimodal model, with what the role sets: nothing, unless it is named.

vLLM's own connector, asked as its server does; no model is loaded.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.server_fixture import run_in_vllm

pytestmark = pytest.mark.vllm
ROLE = Path(__file__).parents[3] / "roles/llm_server/vars/main.yml"
PROGRAM = """
import base64, io, json, sys
from PIL import Image
from vllm.multimodal.media import MediaConnector
picture = io.BytesIO()
Image.new("RGB", (2, 2)).save(picture, "PNG")
inside = "data:image/png;base64," + base64.b64encode(picture.getvalue()).decode()
def tried(domains, url):
    try:
        MediaConnector(allowed_media_domains=domains).fetch_image(url)
    except Exception as error:
        return type(error).__name__ + ": " + str(error)[:200]
    return "fetched"
address, closed = sys.argv[1:]
print(json.dumps({
    "inside": tried([closed], inside),
    "outside": tried([closed], address + "/picture"),
    "by its name": tried([closed], address.replace("127.0.0.1", closed) + "/picture"),
    "redirected": tried(["127.0.0.1"], address + "/redirect"),
    "file": tried([closed], "file:///etc/passwd"),
    "named": tried(["127.0.0.1"], address + "/picture"),
}))
"""
# One pixel.
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
    "0000000a49444154789c63600000000200014865 92c40000000049454e44ae426082".replace(" ", "")
)


@pytest.fixture
def asked() -> Iterator[tuple[str, list[str]]]:
    """The address of a host inside, and what it was asked."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            redirect = self.path == "/redirect"
            self.send_response(302 if redirect else 200)
            if redirect:
                self.send_header("Location", "/internal")
            self.end_headers()
            if not redirect:
                self.wfile.write(PICTURE)

        def log_message(self, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    server.server_close()


def test_nothing_is_fetched_unless_it_is_named(asked: tuple[str, list[str]]) -> None:
    address, seen = asked
    text = ROLE.read_text()
    closed = re.search(r"__llm_server_no_domain: (\S+)", text)
    redirects = re.search(r'VLLM_MEDIA_URL_ALLOW_REDIRECTS: "(\d)"', text)
    assert closed is not None and redirects is not None
    done = run_in_vllm(
        PROGRAM,
        *(address, closed[1]),
        VLLM_MEDIA_URL_ALLOW_REDIRECTS=redirects[1],
        # It waits for 5 s unless told: a busy machine is no reason to fetch nothing.
        VLLM_IMAGE_FETCH_TIMEOUT="300",
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["inside"] == found["named"] == "fetched"
    assert closed[1] in found["outside"]
    assert "fetched" not in {found["by its name"], found["redirected"], found["file"]}
    assert sorted(seen) == ["/picture", "/redirect"], found
