# SPDX-License-Identifier: Apache-2.0
"""The page that a browser gets: try a prompt, see the state."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope


@dataclass(frozen=True)
class Page:
    """HTML, and the headers that let it do what it needs and nothing else."""

    html: str
    headers: dict[str, str]


def page_for(scope: Scope) -> Page | None:
    """The page where a browser asks for `/`; None for every other request."""
    wants = scope["type"] == "http" and scope["method"] == "GET" and scope["path"] == "/"
    accepts = Headers(scope=scope).get("accept", "")
    return load() if wants and "text/html" in accepts else None


@cache
def load() -> Page:
    """Reads the page; its policy names its own script and style by their digests."""
    html = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
    sources = " ".join(
        f"{kind}-src 'sha256-{_digest(text)}';"
        for kind, tag in (("script", "script"), ("style", "style"))
        for text in re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    )
    policy = (
        f"default-src 'none'; {sources} connect-src 'self'; base-uri 'none';"
        " form-action 'none'; frame-ancestors 'none'"
    )
    return Page(
        html,
        {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "Vary": "Accept",
        },
    )


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
