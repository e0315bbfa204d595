# SPDX-License-Identifier: Apache-2.0
"""What a path is called in metrics: a route that is known, or `other`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.routing import Mount, compile_path

from ..keys.rights import INFERENCE, METRICS_PATH
from ..state import ServerState

OTHER = "other"


class RouteNames:
    """Learns the routes of the model's app once it is there."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._app: Any = None
        self._exact = {*INFERENCE, METRICS_PATH}
        self._patterns: list[tuple[re.Pattern[str], str]] = []

    def name(self, path: str) -> str:
        """The route's template: clients cannot make more of them than there are routes."""
        if self._state.app is not self._app:
            self._learn(self._state.app)
        if path in self._exact:
            return path
        return next((name for pattern, name in self._patterns if pattern.match(path)), OTHER)

    def _learn(self, app: Any) -> None:
        self._app = app
        for route in _flat(getattr(app, "routes", ())):
            if isinstance(route, Mount):
                self._patterns.append((route.path_regex, route.path))
            elif "{" in route.path:
                self._patterns.append((compile_path(route.path)[0], route.path))
            else:
                self._exact.add(route.path)


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    for route in routes:
        if getattr(route, "path", None):
            yield route
        elif hasattr(route, "effective_route_contexts"):  # a router, as newer FastAPI keeps it
            yield from route.effective_route_contexts()
