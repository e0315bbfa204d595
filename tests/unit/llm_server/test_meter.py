# SPDX-License-Identifier: Apache-2.0
"""What is seen of the engine: tokens, progress, too many answers at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from llm_server.engine.progress import Progress
from llm_server.engine.token_meter import Meter
from llm_server.limits.rates import KeyRates
from llm_server.record import RequestRecord, current
from llm_server.vllm_api import compat as vllm_compat

from tests.unit.llm_server.fake_engine import Client, params, state


@pytest.fixture(autouse=True)
def no_vllm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_compat, "get", lambda _: lambda text, **_: ValueError(text))


def metered(progress: Progress | None = None) -> Client:
    client = Client()
    Meter(progress or Progress(), lambda: 4).attach(client)
    return client


def record(rates: KeyRates | None = None) -> RequestRecord:
    made = RequestRecord("id", "POST", "/x", rates=rates)
    current.set(made)
    return made


@pytest.mark.parametrize("kind", ["DELTA", "CUMULATIVE", "FINAL_ONLY"])
def test_tokens_are_counted(kind: str) -> None:
    async def play() -> RequestRecord:
        mine = record()
        client = metered()
        async for _ in client.generate("p", params(kind), "r"):
            assert mine.running == {"r": 1}
        assert mine.running == {}
        return mine

    mine = asyncio.run(play())
    assert (mine.tokens_in, mine.tokens_out) == (7, 6)
    assert mine.first_token is not None


def test_arguments_by_name_as_vllm_gives_them() -> None:
    async def play() -> RequestRecord:
        mine = record()
        client = metered()
        async for _ in client.encode(
            request_id="r", prompt="p", pooling_params=params("FINAL_ONLY")
        ):
            pass
        async for _ in client.generate(prompt="p", sampling_params=params("DELTA"), request_id="s"):
            pass
        return mine

    assert asyncio.run(play()).tokens_in == 14


@pytest.mark.parametrize("kind", ["DELTA", "FINAL_ONLY"])
def test_what_is_cut_off_is_closed_counted_and_aborted(kind: str) -> None:
    async def play() -> tuple[RequestRecord, Client]:
        mine = record()
        client = metered()
        hold = asyncio.Event()
        client.pause = hold.wait
        running = client.generate("p", params(kind), "r")
        first = asyncio.ensure_future(anext(running))
        while not client.output_processor.request_states:
            await asyncio.sleep(0.01)
        mine.expire()
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await running.aclose()
        return mine, client

    mine, client = asyncio.run(play())
    assert (client.aborted, client.closed, mine.tokens_in, mine.tokens_out) == (["r-x"], True, 7, 2)


def test_too_many_answers_at_once() -> None:
    async def play() -> None:
        record()
        client = metered()
        first = client.generate("p", params("DELTA", 3), "a")
        await anext(first)
        with pytest.raises(ValueError, match=r"5 or more .* gives 4"):
            await anext(client.generate("p", params("DELTA", 2), "b"))
        await first.aclose()
        await anext(client.generate("p", params("DELTA", 2), "b"))

    asyncio.run(play())


def test_a_batch_is_refused_before_any_answer_begins() -> None:
    record()
    client = metered()
    for number in range(4):
        client.generate("p", params("DELTA"), f"r{number}")
    with pytest.raises(ValueError, match="5 or more"):
        client.generate("p", params("DELTA"), "r4")


def test_what_expires_while_it_is_rendered_never_gets_to_the_engine() -> None:
    async def play() -> Client:
        mine = record()
        client = metered()
        rendered = asyncio.Event()
        client.render = rendered.wait
        first = asyncio.ensure_future(anext(client.generate("p", params("DELTA"), "r")))
        await asyncio.sleep(0.01)
        mine.expire()
        rendered.set()
        with pytest.raises(ValueError, match="longer"):
            await first
        with pytest.raises(ValueError, match="longer"):
            client.generate("p", params("DELTA"), "s")
        return client

    assert asyncio.run(play()).output_processor.request_states == {}


def test_tokens_are_set_aside_and_what_is_not_used_comes_back() -> None:
    async def play() -> None:
        rates = KeyRates()
        rates.bound(None, 100)
        client = metered()
        prompt = {"prompt_token_ids": [1] * 10}
        mine = record(rates)
        running = client.generate(prompt, params("DELTA", n=2, max_tokens=50), "a")
        assert mine.reserved == 110
        client.generate(prompt, params("DELTA", max_tokens=50), "b")
        assert mine.reserved == 170, "a request that was let in may ask for more"
        assert 0 < rates.admit() <= 60
        other = record(rates)
        with pytest.raises(ValueError, match="try again in"):
            client.generate(prompt, params("DELTA", max_tokens=50), "c")
        assert other.refusal is not None
        assert (other.refusal.status, other.reserved) == (429, 0)
        current.set(mine)
        async for _ in running:
            pass
        rates.settle(mine.reserved, mine.tokens_in + mine.tokens_out)
        assert rates.admit() == 0

    asyncio.run(play())


def test_work_in_the_background_is_charged_when_it_ends() -> None:
    async def play() -> int:
        rates = KeyRates()
        rates.bound(None, 13)
        client = metered()
        mine = record(rates)
        mine.done = True
        async for _ in client.generate("p", params("DELTA", max_tokens=50), "a"):
            pass
        assert mine.reserved == 0
        return rates.admit()

    assert asyncio.run(play()) > 0


@pytest.mark.parametrize("ours", [True, False])
def test_what_fails_between_registering_and_sending_is_forgotten(ours: bool) -> None:
    """Such as a lone surrogate in a stop string, which nothing can encode."""

    async def play() -> Client:
        current.set(None)
        if ours:
            record()
        client = metered()
        client.fails = UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed")
        with pytest.raises(UnicodeEncodeError):
            await anext(client.generate("p", params("DELTA"), "r"))
        await asyncio.sleep(0)
        return client

    processor = asyncio.run(play()).output_processor
    assert processor.request_states == processor.external_req_ids == {}


def test_several_answers_are_ended_by_what_stands_for_all() -> None:
    async def play() -> tuple[Client, dict[str, int], dict[str, int]]:
        client = Client()
        meter = Meter(Progress(), lambda: 4)
        meter.attach(client)
        parent = SimpleNamespace(request_id="p", child_requests={"0_p", "1_p"})
        for name in sorted(parent.child_requests):
            one = state("r")
            one.parent_req = parent
            client.output_processor.add_request(SimpleNamespace(request_id=name, state=one))
        client.output_processor.add_request(SimpleNamespace(request_id="s", state=state("s")))
        before = meter.sizes()
        await meter.view.abort(["r", "unknown"])
        return client, before, meter.sizes()

    client, before, after = asyncio.run(play())
    assert client.aborted == ["p"]
    assert (before["request_states"], before["parent_requests"]) == (3, 1)
    assert after == {"request_states": 1, "external_req_ids": 1, "parent_requests": 0, "aborts": 0}


def test_an_abort_that_fails_is_told(caplog: pytest.LogCaptureFixture) -> None:
    async def play() -> None:
        mine = record()
        client = metered()
        running = client.generate("p", params("DELTA"), "r")
        await anext(running)

        async def abort(*_: Any, **__: Any) -> None:
            raise RuntimeError("no socket")

        client.abort = abort  # type: ignore[method-assign]
        mine.expire()
        await asyncio.sleep(0.01)
        await running.aclose()
        while "no socket" not in caplog.text:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(play(), 120))
    assert "no socket" in caplog.text


STATS = {
    "nothing": (None, False, False),
    "idle": ((0, 0), False, False),
    "a step at a long prompt": ((1, 0), True, False),
    "some wait while others run": ((1, 3), True, False),
    "some wait and none runs": ((0, 3), False, True),
}


@pytest.mark.parametrize(("counts", "works", "holds"), STATS.values(), ids=STATS)
def test_what_the_engine_reports(counts: tuple[int, int] | None, works: bool, holds: bool) -> None:
    progress = Progress()
    seen: list[bool] = []
    progress.seen = lambda: seen.append(True)  # type: ignore[method-assign]
    client = metered(progress)
    stats = counts and SimpleNamespace(num_running_reqs=counts[0], num_waiting_reqs=counts[1])
    client.output_processor.update_scheduler_stats(stats)
    assert (bool(seen), progress.holds()) == (works, holds)
    assert not progress.holds(), "what was reported before the last look is old"
