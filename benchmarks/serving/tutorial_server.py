# SPDX-License-Identifier: Apache-2.0
"""The baseline from below: an async handler that calls the blocking `LLM.generate`.

So is the server of the tutorial that this project began with: while one request runs, the
event loop stands still, so the next one waits, and /health too. The engine is the same as
everywhere. Before it serves, it can measure the bound from above: the same engine offline.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from vllm import LLM, SamplingParams


class Request(BaseModel):
    """Body of POST /generate."""

    prompt: str
    max_tokens: int = 100
    temperature: float = 0.7
    top_p: float = 0.9


def create_app(llm: LLM, model: str) -> FastAPI:
    """The app around one engine."""
    app = FastAPI()

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "healthy"}

    @app.post("/generate")
    async def generate(request: Request) -> dict[str, Any]:
        params = SamplingParams(
            max_tokens=request.max_tokens, temperature=request.temperature, top_p=request.top_p
        )
        # Blocks the event loop, on purpose.
        output = llm.generate([request.prompt], params, use_tqdm=False)[0]
        tokens = len(output.outputs[0].token_ids)
        return {
            "text": output.outputs[0].text,
            "prompt": request.prompt,
            "model": model,
            # Not in the tutorial; the load tool counts tokens by it.
            "usage": {"completion_tokens": tokens},
        }

    return app


def measure_offline(
    llm: LLM, prompts: int, input_tokens: int, output_tokens: int, runs: int
) -> list[dict[str, Any]]:
    """Output tokens a second of one batch without any server, once for each run."""
    vocabulary = llm.llm_engine.model_config.get_vocab_size()
    params = SamplingParams(max_tokens=output_tokens, temperature=0.7, top_p=0.9, ignore_eos=True)
    rows = []
    for run in range(runs + 1):
        draw = random.Random(run)  # noqa: S311 - no secret
        batch = [
            {"prompt_token_ids": [draw.randrange(1000, vocabulary) for _ in range(input_tokens)]}
            for _ in range(prompts)
        ]
        began = time.perf_counter()
        outputs = llm.generate(batch, params, use_tqdm=False)
        seconds = time.perf_counter() - began
        made = sum(len(output.outputs[0].token_ids) for output in outputs)
        if run:  # the first warms up
            rows.append(
                {
                    "server": "offline",
                    "target": "LLM.generate",
                    "loop": "batch",
                    "concurrency": prompts,
                    "rate": None,
                    "run": run,
                    "input_tokens": input_tokens,
                    "output_tokens": output_tokens,
                    "completed": len(outputs),
                    "failed": 0,
                    "duration": seconds,
                    "total_output_tokens": made,
                    "output_throughput": made / seconds,
                }
            )
    return rows


def main() -> None:
    """Loads the engine, measures it offline where asked to, and serves."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine-args", type=json.loads, default={})
    parser.add_argument("--offline", type=json.loads, help="arguments of measure_offline")
    parser.add_argument("--offline-out", type=Path)
    options = parser.parse_args()
    llm = LLM(model=options.model, **options.engine_args)
    if options.offline:
        rows = measure_offline(llm, **options.offline)
        options.offline_out.write_text(json.dumps(rows), encoding="utf-8")
    app = create_app(llm, options.model)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
