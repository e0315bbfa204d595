# SPDX-License-Identifier: Apache-2.0
"""Has the engine compile and load what the first burst of requests would else wait for.

vLLM's sampling kernel is compiled when a batch first needs it: once for top_p, once more for
top_k, each for batch sizes that divide by 16 and for others, and only from 8 requests on. On an
H100 with empty caches the first burst after a start waited 6 to 7 s for that. What was compiled
once is found in Triton's cache at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ..vllm_api import compat as vllm_compat

logger = logging.getLogger("llm_server.warm_up")


@dataclass(frozen=True)
class Round:
    """So many requests at once, all with the same sampling; tokens are those of each answer."""

    requests: int
    tokens: int
    prompts: tuple[int, ...]  # their lengths in tokens, in turn
    temperature: float = 0.7
    top_p: float = 0.9
    top_k: int = 0


#: Requests in a round where the settings leave it open.
GPU_REQUESTS, CPU_REQUESTS = 32, 4


def rounds(requests: int, on_cpu: bool) -> Iterator[Round]:
    """What is sent, one round after the other: the usual sampling first.

    On a CPU nothing is compiled at that point, so one small round is all.
    """
    if on_cpu:
        yield Round(requests, 2, (4, 8))
        return
    # Sizes that divide by 16 and not; long prompts too, since large steps take other kernels.
    for size in (requests, requests + 1):
        yield Round(size, 8, (16, 64, 256))
    for size in (requests, requests + 1):
        yield Round(size, 4, (16,), top_k=50)
    yield Round(2, 4, (16,))
    yield Round(requests, 4, (16,), temperature=0.0, top_p=1.0)


async def warm_up(client: Any, requests: int | None, timeout: float) -> None:
    """Sends the rounds; failing or running out of time only costs the benefit.

    Args:
        client: vLLM's AsyncLLM.
        requests: how many at once; None leaves it to the device, 0 is no warm-up.
        timeout: seconds after which what still runs is aborted.
    """
    on_cpu = bool(vllm_compat.get("current_platform").is_cpu())
    if requests is None:
        requests = CPU_REQUESTS if on_cpu else GPU_REQUESTS
    if not requests:
        return
    began = time.monotonic()
    try:
        async with asyncio.timeout(timeout):
            for each in rounds(requests, on_cpu):
                await _send(client, each)
    except TimeoutError:
        logger.warning("Warm-up cut off after %.0f s; the first requests may be slow", timeout)
    except Exception as error:
        why = vllm_compat.first_line(error)
        logger.warning("Warm-up failed, the first requests may be slow: %s", why)
    else:
        logger.info("Warmed up in %.1f s", time.monotonic() - began)


async def _send(client: Any, wanted: Round) -> None:
    room = client.model_config.max_model_len - wanted.tokens
    async with asyncio.TaskGroup() as group:
        for number in range(wanted.requests):
            length = wanted.prompts[number % len(wanted.prompts)]
            group.create_task(_one(client, wanted, number, max(1, min(length, room))))


async def _one(client: Any, wanted: Round, number: int, length: int) -> None:
    params = vllm_compat.get("SamplingParams")(
        max_tokens=wanted.tokens,
        ignore_eos=True,
        temperature=wanted.temperature,
        top_p=wanted.top_p,
        top_k=wanted.top_k,
        output_kind=vllm_compat.get("RequestOutputKind").FINAL_ONLY,
    )
    # Different first tokens: else all but one would come from the prefix cache.
    vocabulary = client.model_config.get_vocab_size()
    tokens = [(number + place) % vocabulary for place in range(length)]
    parsed = vllm_compat.get("parse_model_prompt")(client.model_config, tokens)
    renderer = client.renderer
    (prompt,) = await renderer.render_cmpl_async([parsed], renderer.default_cmpl_tok_params)
    async for _ in client.generate(prompt, params, f"warm-up-{uuid.uuid4().hex}"):
        pass
