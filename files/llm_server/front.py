# SPDX-License-Identifier: Apache-2.0
"""What stands in front of the model's app, in the order in which a request meets it."""

from __future__ import annotations

import logging
import os

from starlette.types import ASGIApp

from .access import AccessControl
from .auth import ApiKeyMiddleware
from .body import BodyLimit
from .edge import Edge
from .errors import ConfigError
from .gate import Gate
from .settings import Settings, read_access
from .state import ServerState

logger = logging.getLogger("llm_server")


def build_front(settings: Settings, state: ServerState, control: AccessControl) -> ASGIApp:
    """Edge (id, log, errors), keys, body, gate; the model's app is behind the gate."""
    app: ASGIApp = Gate(state, control)
    app = BodyLimit(app, control, log_content=settings.log_content)
    if settings.api_key_required:
        app = ApiKeyMiddleware(app, control)
    return Edge(app, control)


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
