# SPDX-License-Identifier: Apache-2.0
"""When an engine counts as one that stands still, and when not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from llm_server.engine.progress import LONGEST_LOOK_S, Progress, Stall


class Engine:
    """One that answers while `works`, and says that it is paused."""

    def __init__(self) -> None:
        self.works = asyncio.Event()
        self.works.set()
        self.paused = False
        self.asked = 0

    async def ask(self) -> bool:
        self.asked += 1
        await self.works.wait()
        return self.paused


class Watch:
    """Looks once a second, by a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.progress = Progress(lambda: self.now)

    async def after(self, seconds: int, each: Callable[[], object] = lambda: None) -> Stall:
        stall = Stall()
        for _ in range(seconds):
            self.now += 1
            each()
            stall = self.progress.look()
            for _ in range(4):
                await asyncio.sleep(0)
        return stall


def play(test: Callable[[Watch, Engine], object]) -> None:
    async def run() -> None:
        watch, engine = Watch(), Engine()
        watch.progress.ask = engine.ask
        result = test(watch, engine)
        assert asyncio.iscoroutine(result)
        await result
        watch.progress.close()

    asyncio.run(run())


def test_an_engine_that_answers_never_stalls() -> None:
    """Whoever waits: for a grammar, or for an answer of which the engine never heard."""

    async def test(watch: Watch, engine: Engine) -> None:
        assert (await watch.after(1000)).seconds == 0
        assert engine.asked == 1000

    play(test)


def test_one_that_does_not_answer_stalls_and_recovers() -> None:
    async def test(watch: Watch, engine: Engine) -> None:
        await watch.after(5)
        engine.works.clear()
        stall = await watch.after(30)
        assert 28 <= stall.seconds <= 30
        assert str(stall) == f"the engine has not answered for {stall.seconds:.0f} s"
        assert engine.asked == 6, "one question at a time"
        engine.works.set()
        assert (await watch.after(2)).seconds == 0

    play(test)


def test_one_that_gives_tokens_works_whatever_it_answers() -> None:
    async def test(watch: Watch, engine: Engine) -> None:
        engine.works.clear()
        assert (await watch.after(500, watch.progress.seen)).seconds == 0

    play(test)


def test_a_server_that_was_held_up_itself_proves_nothing() -> None:
    async def test(watch: Watch, engine: Engine) -> None:
        engine.works.clear()
        await watch.after(1)
        watch.now += 3600
        assert watch.progress.look().seconds <= LONGEST_LOOK_S

    play(test)


def test_an_answer_that_is_an_error_is_an_answer() -> None:
    async def test(watch: Watch, engine: Engine) -> None:
        async def fails() -> bool:
            engine.asked += 1
            raise RuntimeError("no such method")

        watch.progress.ask = fails
        assert (await watch.after(200)).seconds == 0
        assert engine.asked == 200

    play(test)


@pytest.mark.parametrize(("paused", "seconds"), [(False, 19), (True, 0)])
def test_one_that_lets_requests_wait_stalls_unless_it_is_told_to(
    paused: bool, seconds: int
) -> None:
    async def test(watch: Watch, engine: Engine) -> None:
        engine.paused = paused
        await watch.after(2)
        watch.progress.holds = lambda: True
        stall = await watch.after(19)
        assert stall.seconds == seconds
        if seconds:
            assert "let requests wait" in str(stall)
            watch.progress.holds = lambda: False
            assert (await watch.after(1)).seconds == 0

    play(test)
