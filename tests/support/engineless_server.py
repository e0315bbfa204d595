# SPDX-License-Identifier: Apache-2.0
"""The server as `server.run` has it, with an app for an engine: `engineless_server.py FOLDER PORT`.

FOLDER has `access.json`, what the keys may. The model is loaded once there is a file `go`. It
answers in pieces, and notes in `events` what begins and ends; the ledger is in `ledger.sqlite`.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from fastapi import FastAPI
from fastapi.responses import StreamingResponse
from llm_server import server
from llm_server.facts import ModelFacts
from llm_server.keys.access import Access
from llm_server.record import current
from llm_server.settings import Settings

from tests.unit.llm_server.fake_engine import Client

#: Tokens of each prompt and of each answer.
PROMPT, GENERATION = 7, 3


def app_in(folder: Path) -> FastAPI:
    """What stands for vLLM's own app."""
    app = FastAPI()
    log = os.open(folder / "events", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def note(text: str) -> None:
        os.write(log, f"{text}\n".encode())

    @app.post("/v1/completions")
    async def completions(body: dict[str, Any] | None = None) -> StreamingResponse:
        asked = {"name": "", "pieces": 1, "pause": 0.0} | (body or {})
        record = current.get()
        assert record is not None
        note(f"begin {asked['name']}")

        async def pieces() -> AsyncIterator[bytes]:
            for number in range(asked["pieces"]):
                await asyncio.sleep(asked["pause"])
                yield b"piece %d\n" % number
            record.used(PROMPT, GENERATION)
            note(f"end {asked['name']}")

        return StreamingResponse(pieces())

    @app.get("/v1/models")
    async def models(pause: float = 0.0) -> str:
        await asyncio.sleep(pause)
        return "m"

    return app


def run(folder: Path, port: int) -> int:
    """Serves until a signal."""
    app = app_in(folder)

    async def nothing(*_: object) -> None:
        """In place of what an engine would do."""

    class Loader:
        """Waits until it may load, and has loaded."""

        def __init__(self, *_: object) -> None:
            pass

        async def load(self) -> Any:
            while not (folder / "go").exists():
                await asyncio.sleep(0.01)
            return SimpleNamespace(
                client=Client(),
                app=app,
                tasks=(),
                unknown=True,
                generates=False,
                died=False,
                shut_down=nothing,
            )

    vars(server).update(Loader=Loader, make_first_token=nothing, facts_of=lambda *_: ModelFacts())
    settings = Settings.model_validate(
        {
            "port": port,
            "model_path": "m",
            "served_model_name": "m",
            "access_file": folder / "access.json",
            "ledger_file": folder / "ledger.sqlite",
        }
    )
    return server.run(settings, Access.model_validate_json((folder / "access.json").read_text()))


if __name__ == "__main__":
    run(Path(sys.argv[1]), int(sys.argv[2]))
