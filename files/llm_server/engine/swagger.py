# SPDX-License-Identifier: Apache-2.0
"""The page /docs behind a proxy's prefix: vLLM's own names its files from the root."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse


def put_prefix_into_docs(app: FastAPI, root_path: str) -> None:
    """Has the page name what it loads below the prefix; without one, vLLM's page stays."""
    docs: Any = next((one for one in app.routes if getattr(one, "path", "") == "/docs"), None)
    offline = any(getattr(route, "path", "") == "/static" for route in app.routes)
    if not root_path or docs is None or not offline:
        return
    app.router.routes.remove(docs)

    @app.get("/docs", include_in_schema=False)
    async def page() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url=f"{root_path}{app.openapi_url}",
            title=f"{app.title} - Swagger UI",
            swagger_js_url=f"{root_path}/static/swagger-ui-bundle.js",
            swagger_css_url=f"{root_path}/static/swagger-ui.css",
        )
