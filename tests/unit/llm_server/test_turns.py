# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is."""

from __future__ import annotations

import asyncio

import pytest
from llm_server.limits.turns import FullError, Turns


def test_one_at_a_time_for_each_key() -> None:
    async def play() -> None:
        turns, log, go_on = Turns(2, 3), list[str](), asyncio.Event()

        async def take(key: str, name: str) -> None:
            async with turns.turn(key):
                log.append(name)
                await go_on.wait()

        first = [asyncio.ensure_future(take("a", f"a{i}")) for i in range(3)]
        await asyncio.sleep(0.01)
        assert log == ["a0"], "the same key has one"
        other = asyncio.ensure_future(take("b", "b"))
        late = asyncio.ensure_future(take("c", "c"))
        await asyncio.sleep(0.01)
        assert log == ["a0", "b"], "another key does not wait for it, while there is room"
        with pytest.raises(FullError):
            await take("a", "a3")
        first[1].cancel()  # its client has left
        await asyncio.wait([first[1]])
        assert len(turns) == 4
        go_on.set()
        await asyncio.gather(first[0], first[2], other, late)
        assert sorted(log) == ["a0", "a2", "b", "c"]
        assert (len(turns), turns._locks) == (0, {})

    asyncio.run(asyncio.wait_for(play(), 120))
