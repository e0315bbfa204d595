# SPDX-License-Identifier: Apache-2.0
"""Paths as clients write them: behind a proxy's prefix, with a slash too many, without `/v1`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_SLASHES = re.compile("/+")
#: A misspelt path is as close as that to the right one: one letter in ten.
_CLOSE = 0.9


class PlainPaths:
    """Takes off the prefix and what ends in a slash, so that all behind it see the same path.

    The app inside would answer a slash too many with a redirect to an absolute address. Behind a
    proxy that has another name, a client would lose its key, or send it in clear.
    """

    def __init__(self, app: ASGIApp, root_path: str = "") -> None:
        self.app = app
        self.root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes on one HTTP request or websocket."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        path: str = scope["path"]
        root = self.root_path
        if root and path == root and scope.get("method") in ("GET", "HEAD"):
            # Or what the page names would be looked for beside the prefix, not below it.
            await RedirectResponse(root + "/", 308)(scope, receive, send)
            return
        if root and (path == root or path.startswith(root + "/")):
            path = path[len(root) :]
        path = path.rstrip("/") or "/"
        if path != scope["path"]:
            # A new one: what sends the answer still needs its own.
            scope = {**scope, "path": path, "raw_path": path.encode("utf-8", "replace")}
        await self.app(scope, receive, send)


def meant(path: str, known: Collection[str]) -> str | None:
    """The path that a client meant by one that is not there, if that can be told.

    Args:
        path: what it asked for.
        known: the paths that there are.
    """
    short = _SLASHES.sub("/", "/" + path).rstrip("/")
    if not short:
        return None
    for candidate in (short, short.lower()):
        if candidate in known:
            return candidate
        # A base URL with too little: `/v1` is missing. Or with too much.
        longer = [one for one in known if one.endswith(candidate) and "{" not in one]
        shorter = [one for one in known if candidate.endswith(one) and one.count("/") > 1]
        for found in (min(longer, key=len, default=None), max(shorter, key=len, default=None)):
            if found:
                return found
    close = difflib.get_close_matches(short, known, n=1, cutoff=_CLOSE)
    return close[0] if close else None
