# SPDX-License-Identifier: Apache-2.0
"""What stands in front of the model's app, in the order in which a request meets it."""

from __future__ import annotations

import logging
import os

from starlette.types import ASGIApp, Receive, Scope, Send

from .access import AccessControl
from .auth import ApiKeyMiddleware
from .body import BodyLimit
from .edge import Edge
from .errors import ConfigError
from .gate import Gate
from .page import FrontPage
from .settings import Settings, read_access
from .state import ServerState

logger = logging.getLogger("llm_server")


def build_front(settings: Settings, state: ServerState, control: AccessControl) -> Edge:
    """Edge (id, log, errors), page, keys, gate, body; the model's app comes last."""

    async def model(scope: Scope, receive: Receive, send: Send) -> None:
        if state.app is None:
            raise RuntimeError("the gate is open and no model is there")
        await state.app(scope, receive, send)

    app: ASGIApp = BodyLimit(model, control, log_content=settings.log_content)
    app = Gate(state, control, app)
    if settings.api_key_required:
        app = ApiKeyMiddleware(app, control)
    app = FrontPage(app, key_needed=settings.api_key_required)
    return Edge(app, control, settings.trusted_proxies, key_needed=settings.api_key_required)


def apply_limits(control: AccessControl) -> None:
    """Hands vLLM the one limit that it checks itself: of `n`, before it begins to answer."""
    os.environ["VLLM_MAX_N_SEQUENCES"] = str(control.limits.max_sequences)


def reload_access(settings: Settings, control: AccessControl) -> None:
    """Reads keys and limits anew; a file that is wrong leaves those in force."""
    try:
        control.replace(read_access(settings))
    except ConfigError as error:
        logger.error("Keys and limits stay as they were: %s", error)
        return
    apply_limits(control)
    logger.info("Read keys and limits: %d keys", len(control.access.keys))
