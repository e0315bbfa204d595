# SPDX-License-Identifier: Apache-2.0
"""The service: a page, and a login. Needs Starlette, of which it uses what is old and stable."""

from __future__ import annotations

import ipaddress
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from .board import Board
from .keys import Keys, KeysError, find
from .page import FOLDER, Pages
from .sessions import LIFE_S, Sessions, Tries

logger = logging.getLogger("llm_dashboard")

COOKIE = "llm_dashboard"
#: A key is 4 KB at most in any header, too.
MOST_BODY = 8192
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # With no-referrer a browser would not say where a form came from.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_FILES = {"style.css": "text/css", "refresh.js": "text/javascript"}
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class Service:
    """The routes.

    Args:
        board: what makes the page's content.
        keys: who may see it.
        ranges: who may ask besides this host.
        secure: whether it is served over TLS.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        board: Board,
        keys: Keys,
        ranges: Sequence[Range] = (),
        *,
        secure: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._board = board
        self._keys = keys
        self._ranges = ranges
        self._secure = secure
        self._clock = clock
        self._pages = Pages()
        self._sessions = Sessions(clock)
        self._tries = Tries(clock)
        self._files = {name: (FOLDER / name).read_text(encoding="utf-8") for name in _FILES}

    def app(self) -> Starlette:
        """The application."""
        routes = [
            Route("/", self.page),
            Route("/login", self.login_page, methods=["GET"]),
            Route("/login", self.login, methods=["POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            *(Route(f"/{name}", self.file) for name in _FILES),
        ]
        layers = [
            Middleware(_Guard, ranges=self._ranges),
            Middleware(GZipMiddleware, minimum_size=1000),
        ]
        return Starlette(routes=routes, middleware=layers)

    async def page(self, request: Request) -> Response:
        """The page, or the way to the login."""
        if self._holder(request) is None:
            return _to("login")
        word = request.query_params.get("range", "")
        view = await run_in_threadpool(self._board.view, word)
        text = await run_in_threadpool(self._pages.board, view)
        return Response(text, media_type="text/html")

    async def login_page(self, _request: Request) -> Response:
        """Where the key is given."""
        return self._login()

    async def login(self, request: Request) -> Response:
        """Changes a key for a cookie."""
        address = _address(request)
        if not _same_origin(request):
            return self._login("Open this page by its own address, and log in there.", 403)
        if wait := self._tries.wait(address):
            problem = f"Too many wrong keys. Try again in {wait} seconds."
            return self._login(problem, 429, {"Retry-After": str(wait)})
        given = await _field(request, "key")
        try:
            key = find(self._keys.known(self._clock()), given)
        except KeysError as error:
            logger.error("%s", error)
            return self._login("The server's keys can't be read. The journal has the cause.", 503)
        if key is None:
            self._tries.wrong(address)
            logger.warning("A wrong key from %s", address)
            problem = "This key does not open the page: it takes one with the scope all or metrics."
            return self._login(problem, 401)
        logger.info("The key %s logged in from %s", key.name, address)
        answer = _to("./")
        answer.set_cookie(
            COOKIE, self._sessions.begin(key), max_age=LIFE_S, path="/", secure=self._secure,
            httponly=True, samesite="strict",
        )  # fmt: skip
        return answer

    async def logout(self, request: Request) -> Response:
        """Ends a session."""
        if _same_origin(request):
            self._sessions.end(request.cookies.get(COOKIE))
        answer = _to("login")
        answer.delete_cookie(COOKIE, path="/")
        return answer

    async def file(self, request: Request) -> Response:
        """Style and script, which say nothing of the server."""
        name = request.url.path.rpartition("/")[2]
        return Response(self._files[name], media_type=_FILES[name])

    def _holder(self, request: Request) -> Any:
        try:
            keys = self._keys.known(self._clock())
        except KeysError as error:
            logger.error("%s", error)
            return None
        return self._sessions.holder(request.cookies.get(COOKIE), keys)

    def _login(
        self, problem: str = "", status: int = 200, headers: dict[str, str] | None = None
    ) -> Response:
        text = self._pages.login(problem)
        return Response(text, status_code=status, headers=headers, media_type="text/html")


class _Guard:
    """Refuses who is of no range, and says with each answer what a browser may do with it."""

    def __init__(self, app: Any, ranges: Sequence[Range]) -> None:
        self._app = app
        self._ranges = ranges

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                more = [(k.lower().encode(), v.encode()) for k, v in _HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        if allowed((scope.get("client") or ("", 0))[0], self._ranges):
            await self._app(scope, receive, guarded)
            return
        refusal = PlainTextResponse("This address is in none of the ranges.\n", status_code=403)
        await refusal(scope, receive, guarded)


def allowed(address: str, ranges: Sequence[Range]) -> bool:
    """Whether an address may ask: this host's own always."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(found, "ipv4_mapped", None)
    found = mapped or found
    return found.is_loopback or any(found in one for one in ranges if one.version == found.version)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _same_origin(request: Request) -> bool:
    """Whether a form is this page's own; programs send neither header."""
    origin = request.headers.get("origin")
    if origin is not None and origin != f"{request.url.scheme}://{request.headers.get('host')}":
        return False
    return request.headers.get("sec-fetch-site", "same-origin") == "same-origin"


async def _field(request: Request, name: str) -> str:
    """One field of a form; nothing of a body that is too long."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BODY:
            return ""
    found = parse_qs(body.decode("ascii", "replace"), keep_blank_values=True).get(name, [])
    return found[0].strip() if len(found) == 1 else ""


def _to(place: str) -> Response:
    return Response(status_code=303, headers={"Location": place})
