# SPDX-License-Identifier: Apache-2.0
"""Request functions for `vllm bench serve`, for the answers that it does not know.

It ships functions that stream from the OpenAI routes. Added here: /generate (whole and
streamed), and /v1/completions without streaming, so that like is compared with like.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

from vllm.benchmarks.lib import endpoint_request_func as vllm_functions

#: Set by `register`: an answer that does not count its tokens has all that were asked for.
_assume_full = [False]


def register(assume_full: bool = False) -> None:
    """Adds the functions under the names `generate`, `generate-stream`, `completions-whole`.

    Args:
        assume_full: an answer without a count is taken to be as long as asked. True of a model
            with dummy weights, which all but never ends a text; otherwise the text is tokenised.
    """
    _assume_full[0] = assume_full
    functions = {
        "generate": generate,
        "generate-stream": generate_stream,
        "completions-whole": completions_whole,
    }
    vllm_functions.ASYNC_REQUEST_FUNCS.update(functions)
    # These take sampling parameters as the OpenAI routes do; the list is shared with the tool.
    known = vllm_functions.OPENAI_COMPATIBLE_BACKENDS
    known.extend(name for name in functions if name not in known)


async def generate(request_func_input: Any, session: Any, pbar: Any = None) -> Any:
    """POST /generate, the answer in one piece."""
    body = _generate_body(request_func_input)
    return await _whole(request_func_input, session, pbar, body)


async def completions_whole(request_func_input: Any, session: Any, pbar: Any = None) -> Any:
    """POST /v1/completions, the answer in one piece."""
    body = {
        "model": request_func_input.model_name or request_func_input.model,
        "prompt": request_func_input.prompt,
        "max_tokens": request_func_input.output_len,
        "ignore_eos": bool(request_func_input.ignore_eos),
    } | (request_func_input.extra_body or {})
    return await _whole(request_func_input, session, pbar, body)


async def generate_stream(request_func_input: Any, session: Any, pbar: Any = None) -> Any:
    """POST /generate with `stream`: server-sent events, each with a piece of the text."""
    output = vllm_functions.RequestFuncOutput(prompt_len=request_func_input.prompt_len)
    body = _generate_body(request_func_input) | {"stream": True}
    began = last = output.start_time = time.perf_counter()
    try:
        async with _post(request_func_input, session, body) as response:
            if response.status != 200:
                output.error = f"{response.status} {response.reason}"
            else:
                async for event in _events(response):
                    now = time.perf_counter()
                    if event.get("error"):
                        raise RuntimeError(str(event["error"]))
                    _count(output, event, request_func_input.output_len)
                    if not event.get("text"):
                        continue
                    if output.ttft == 0.0:
                        output.ttft = now - began
                    else:
                        output.itl.append(now - last)
                    output.generated_text += event["text"]
                    last = now
                output.latency = last - began
                output.success = output.ttft > 0
    except Exception:  # the tool counts failures; one must not end the run
        output.error = traceback.format_exc()
    if pbar:
        pbar.update(1)
    return output


def _generate_body(request: Any) -> dict[str, Any]:
    body = {"prompt": request.prompt, "max_tokens": request.output_len}
    allowed = ("temperature", "top_p", "stop", "seed")
    return body | {k: v for k, v in (request.extra_body or {}).items() if k in allowed}


async def _whole(request: Any, session: Any, pbar: Any, body: dict[str, Any]) -> Any:
    output = vllm_functions.RequestFuncOutput(prompt_len=request.prompt_len)
    began = output.start_time = time.perf_counter()
    try:
        async with _post(request, session, body) as response:
            if response.status != 200:
                output.error = f"{response.status} {response.reason}"
            else:
                answer = await response.json()
                # The first token arrives with the last: the tool needs both times.
                output.latency = output.ttft = time.perf_counter() - began
                text = answer["choices"][0]["text"] if "choices" in answer else answer["text"]
                output.generated_text = text
                _count(output, answer, request.output_len)
                output.success = True
    except Exception:
        output.error = traceback.format_exc()
    if pbar:
        pbar.update(1)
    return output


def _count(output: Any, answer: dict[str, Any], asked: int) -> None:
    """Takes the number of tokens from the answer; else the tool counts them in the text."""
    usage = answer.get("usage") or {}
    if _assume_full[0] and not output.output_tokens:
        output.output_tokens = asked
    output.output_tokens = usage.get("completion_tokens") or output.output_tokens
    output.prompt_len = usage.get("prompt_tokens") or output.prompt_len


def _post(request: Any, session: Any, body: dict[str, Any]) -> Any:
    headers = dict(request.extra_headers or {})
    key = os.environ.get("OPENAI_API_KEY")
    if key:
        headers["Authorization"] = f"Bearer {key}"
    return session.post(url=request.api_url, json=body, headers=headers)


async def _events(response: Any) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each `data:` line; aiohttp's lines may hold at most 128 KiB, which is plenty."""
    async for line in response.content:
        text = line.decode().strip()
        if text.startswith("data:") and (data := text[5:].strip()) != "[DONE]":
            yield json.loads(data)
