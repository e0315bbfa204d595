# SPDX-License-Identifier: Apache-2.0
"""The page that a browser gets: chat with the model, see the state."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

#: What the page is told of keys, in an attribute of its first element.
_ASKS, _OPEN = 'data-key="needed"', 'data-key="none"'


class FrontPage:
    """Answers a browser that asks for `/`, in every phase and without a key: it has no secrets."""

    def __init__(self, app: ASGIApp, *, key_needed: bool) -> None:
        self.app = app
        self.key_needed = key_needed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        if not wants_page(scope):
            await self.app(scope, receive, send)
            return
        html, headers = load(self.key_needed)
        response = HTMLResponse(html, headers=headers)
        if scope["method"] == "HEAD":
            response.body = b""  # Content-Length stays what GET would say
        await response(scope, receive, send)


def wants_page(scope: Scope) -> bool:
    """Whether this is a browser that asks for `/`; programs get JSON there, with a key."""
    if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
        return False
    path = scope["path"].removeprefix(scope.get("root_path", ""))
    return path == "/" and "text/html" in Headers(scope=scope).get("accept", "")


@cache
def load(key_needed: bool) -> tuple[str, dict[str, str]]:
    """The HTML, and headers whose policy names its own script and style by their digests."""
    html = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    if not key_needed:
        html = html.replace(_ASKS, _OPEN, 1)
    sources = " ".join(
        f"{tag}-src 'sha256-{_digest(text)}';"
        for tag in ("script", "style")
        for text in re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    )
    policy = (
        f"default-src 'none'; {sources} img-src data:; connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    return html, {
        "Content-Security-Policy": policy,
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "Vary": "Accept",
        "X-Content-Type-Options": "nosniff",
    }


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
