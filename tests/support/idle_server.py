# SPDX-License-Identifier: Apache-2.0
"""The server's own front with an app of three lines behind it: `idle_server.py PORT KEY`.

Runs on a booted machine, in the folder that systemd made for it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from fastapi import FastAPI
from llm_server.asgi.stack import build_front
from llm_server.keys.access import Access, AccessControl, Key, digest
from llm_server.process.control import NAME, Control
from llm_server.settings import Settings
from llm_server.state import Phase, ServerState
from llm_server.transport.listener import HttpServer, bind, bind_path


async def serve(port: int, key: str) -> None:
    """Serves until SIGTERM."""
    app = FastAPI()

    @app.post("/v1/completions")
    async def completions() -> str:
        return "a text"

    state = ServerState("m")
    state.app = app
    state.move(Phase.HEALTHY, "ready")
    control = AccessControl(Access(keys=(Key(name="k", sha256=digest(key)),)))
    settings = Settings(model_path="m", served_model_name="m", access_file=Path("x"))
    server = HttpServer(build_front(settings, state, control))

    def end() -> None:
        server.should_exit = True

    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
    Control(state, bind_path(Path(os.environ["RUNTIME_DIRECTORY"]) / NAME)).open()
    await server.serve(sockets=[bind("0.0.0.0", port)])  # noqa: S104 - others shall reach it


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), sys.argv[2]))
