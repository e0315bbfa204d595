# SPDX-License-Identifier: Apache-2.0
"""What stands in front of the model's app, in the order in which a request meets it."""

from __future__ import annotations

import logging
import os

from starlette.types import ASGIApp, Receive, Scope, Send

from ..bodies.body_limits import BodyLimit
from ..errors import ConfigError
from ..keys.access import AccessControl
from ..keys.api_keys import ApiKeyMiddleware
from ..keys.rights import KeyRights
from ..record import Refusal
from ..settings import Settings, read_access
from ..state import ServerState
from ..telemetry.metrics import Metrics
from ..telemetry.metrics_page import MetricsPage
from ..transport.cors import Cors
from ..transport.paths import PlainPaths
from ..transport.tls import ServerContext, reload_certificate
from .edge import Edge
from .gate import Gate
from .page import FrontPage
from .streams import LiveStreams

logger = logging.getLogger("llm_server")


class Front:
    """All of it, as one app."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self.edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one HTTP request or websocket."""
        await self._app(scope, receive, send)

    def end_all(self, refusal: Refusal, grace: float) -> None:
        """Ends all requests; see `Edge.end_all`."""
        self.edge.end_all(refusal, grace)

    def not_http(self, request_id: str, client: str | None) -> None:
        """Logs what was refused before it was a request; see `Edge.not_http`."""
        self.edge.not_http(request_id, client)


def build_front(
    settings: Settings,
    state: ServerState,
    control: AccessControl,
    tls: ServerContext | None = None,
) -> Front:
    """Pages of other sites, paths, edge (id, log, errors), streams, page, keys, gate, body.

    The model's app comes last.
    """

    async def model(scope: Scope, receive: Receive, send: Send) -> None:
        if state.app is None:
            raise RuntimeError("the gate is open and no model is there")
        if settings.root_path and scope["type"] != "lifespan":
            # As ASGI has it, and as files below a mounted folder are found.
            path = settings.root_path + scope["path"]
            scope = {**scope, "root_path": settings.root_path, "path": path}
        await state.app(scope, receive, send)

    app: ASGIApp = BodyLimit(model, control, log_content=settings.log_content)
    app = Gate(state, control, app)
    metrics = Metrics(state, control, tls=tls, settings=settings.digest())
    app = MetricsPage(app, metrics, state)
    if settings.api_key_required:
        app = ApiKeyMiddleware(KeyRights(app, control), control)
    app = FrontPage(app, key_needed=settings.api_key_required)
    edge = Edge(
        LiveStreams(app, settings.stream_keep_alive),
        control,
        settings.trusted_proxies,
        metrics,
        key_needed=settings.api_key_required,
    )
    return Front(Cors(PlainPaths(edge, settings.root_path), settings.origins), edge)


def apply_limits(control: AccessControl) -> None:
    """Hands vLLM the one limit that it checks itself: of `n`, before it begins to answer."""
    os.environ["VLLM_MAX_N_SEQUENCES"] = str(control.limits.max_sequences)


def reload(settings: Settings, control: AccessControl, tls: ServerContext | None) -> None:
    """Reads keys, limits and certificate again; what is wrong leaves those in force."""
    try:
        # First: it notes that all has been read that is there now.
        control.replace(read_access(settings))
    except ConfigError as error:
        logger.error("Keys and limits stay as they were: %s", error)
    else:
        apply_limits(control)
        logger.info("Read keys and limits: %d keys", len(control.access.keys))
    reload_certificate(settings.tls, tls)
