# SPDX-License-Identifier: Apache-2.0
"""advise.yml's judgements: each with its arithmetic, and silence where nothing is to be changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.advice import advice, watched
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host.metrics_text import samples
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import advice as judged
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import histograms

ROOT = Path(__file__).parents[3]
REAL = samples((ROOT / "tests/fixtures/metrics/vllm-0.32.0.txt").read_text(encoding="utf-8"))
MONDAY = datetime(2026, 11, 2, tzinfo=UTC)


def machine(name: str, price: float | None, **more: Any) -> dict[str, Any]:
    """Makes 1,000 tokens a second or more at a price of 3.6 USD for a million of them."""
    row = {
        "machine_type": name,
        "price_model": "STANDARD",
        "price_per_hour": price,
        "fits": True,
        "price_range_per_million_tokens": price and [price / 7.2, price / 3.6],
        "max_model_len": 8192,
        "kv_tokens": 50_000,
    }
    return row | more


NOW = machine("a3", 11.0)
SMALL = machine("g2", 0.7)


@pytest.mark.parametrize(
    ("machines", "tokens", "room", "needs", "chosen"),
    [
        ([NOW, SMALL], 400.0, 2, {}, "g2"),
        ([NOW, machine("mid", 4.0), SMALL], 400.0, 2, {}, "g2"),
        ([NOW, machine("mid", 4.0), {**SMALL, "fits": False}], 400.0, 2, {}, "mid"),
        # It would make 1,000 tokens a second, and twice 501 are asked for.
        ([NOW, SMALL], 501.0, 2, {}, None),
        ([NOW, SMALL], 400.0, 4, {}, None),
        ([NOW, SMALL], 400.0, 2, {"length": 8193}, None),
        ([NOW, SMALL], 400.0, 2, {"kv_tokens": 50_001}, None),
        ([NOW, {**SMALL, "fits": None}], 400.0, 2, {}, None),
        ([NOW, machine("g2", None)], 400.0, 2, {}, None),
        ([NOW, {**SMALL, "price_range_per_million_tokens": None}], 400.0, 2, {}, None),
        ([NOW, machine("dearer", 12.0)], 400.0, 2, {}, None),
        # A price on Spot is no saving on demand, and has nothing to be compared with.
        ([NOW, {**SMALL, "price_model": "SPOT"}], 400.0, 2, {}, None),
        ([{**NOW, "price_model": "SPOT"}, SMALL], 400.0, 2, {}, None),
        ([SMALL], 400.0, 2, {}, None),
        ([machine("a3", None), SMALL], 400.0, 2, {}, None),
        ([NOW, SMALL], None, 2, {}, None),
    ],
)
def test_a_smaller_machine(
    machines: list[Any],
    tokens: float | None,
    room: int,
    needs: dict[str, float],
    chosen: str | None,
) -> None:
    needs = {"length": 0, "kv_tokens": 0, **needs}
    found = judged.smaller_machine("a3", machines, tokens, room, needs)
    assert (found and found["setting"]) == (chosen and f"gce_instance_machine_type: {chosen}")


def test_what_a_smaller_machine_saves() -> None:
    needs = {"length": 0, "kv_tokens": 0}
    found = judged.smaller_machine("a3", [NOW, SMALL], 400.0, 2, needs)
    assert found is not None
    assert found["saving_usd_a_month"] == pytest.approx((11.0 - 0.7) * 730)
    assert "makes at least 1000 by the plan's estimate" in found["why"]
    assert "(11.0000 - 0.7000) USD an hour x 730 hours = 7519.00 USD a month" in found["why"]


def hours(days: range, first: int, last: int) -> list[datetime]:
    return [MONDAY + timedelta(days=day, hours=hour) for day in days for hour in range(first, last)]


WEEK = hours(range(5), 8, 18)


@pytest.mark.parametrize(
    ("used", "days", "price", "setting"),
    [
        (WEEK, 7, 1.0, '{start: "0 8 * * 1,2,3,4,5", stop: "0 18 * * 1,2,3,4,5", time_zone: UTC}'),
        (hours(range(6, 7), 20, 24), 14, 1.0,
         '{start: "0 20 * * 0", stop: "59 23 * * 0", time_zone: UTC}'),
        (WEEK, 6, 1.0, None),
        (WEEK, 7, None, None),
        ([], 7, 1.0, None),
        # One request in a night keeps it open.
        ([*WEEK, MONDAY + timedelta(hours=2), *hours(range(5, 7), 0, 24)], 7, 1.0, None),
        (hours(range(7), 0, 24), 28, 1.0, None),
    ],
)  # fmt: skip
def test_office_hours(
    used: list[datetime], days: int, price: float | None, setting: str | None
) -> None:
    found = judged.office_hours(used, days, price, 0.1)
    assert (found and found["setting"]) == (setting and f"gce_instance_schedule: {setting}")


def test_what_office_hours_save() -> None:
    found = judged.office_hours(WEEK, 7, 1.1, 0.1)
    assert found is not None
    # 118 of 168 hours are closed, at a dollar's difference.
    assert found["saving_usd_a_month"] == pytest.approx(118 / 168 * 730, abs=0.01)
    assert "which is 50 of 168 hours. 513 closed hours a month" in found["why"]


@pytest.mark.parametrize(
    ("now", "running", "waiting", "kv_use", "wanted"),
    [
        (128, 128, 5, 0.5, 256),
        (128, 128, 5, 0.8, None),
        (128, 127, 5, 0.5, None),
        (128, 128, 0, 0.5, None),
        (256, 20, 0, 0.1, 64),
        (256, 32, 0, 0.1, 64),
        (256, 33, 0, 0.1, None),
        (64, 3, 0, 0.1, 16),
        (32, 3, 0, 0.1, None),
        (256, 0, 0, 0.0, None),
        (256, None, 0, 0.0, None),
        (0, 20, 0, 0.1, None),
    ],
)
def test_places(
    now: int, running: float | None, waiting: float, kv_use: float, wanted: int | None
) -> None:
    found = judged.max_num_seqs(now, running, waiting, kv_use)
    setting = f"llm_server_vllm_args: {{max_num_seqs: {wanted}}}"
    assert (found and found["setting"]) == (wanted and setting)


@pytest.mark.parametrize(
    ("now", "longest", "requests", "wanted"),
    [
        (32768, 3000.0, 500, 4096),
        (8192, 4096.0, 500, 4096),
        (8192, 4097.0, 500, None),
        (32768, 10.0, 500, 1024),
        (1024, 10.0, 500, None),
        (32768, 3000.0, 99, None),
        (32768, None, 500, None),
        (0, 3000.0, 500, None),
    ],
)
def test_length(now: int, longest: float | None, requests: float, wanted: int | None) -> None:
    found = judged.max_model_len(now, longest, requests, 23_296)
    setting = f"llm_server_vllm_args: {{max_model_len: {wanted}}}"
    assert (found and found["setting"]) == (wanted and setting)
    if found and wanted == 4096 and now == 32768:
        assert "23296 / 4096 = 5.7 requests of that length instead of 0.7" in found["why"]


@pytest.mark.parametrize(
    ("now", "first_token", "queue", "requests", "wanted"),
    [
        ("", 3.0, 0.1, 500, "latency"),
        ("", 3.0, 0.5, 500, "throughput"),
        ("latency", 3.0, 0.1, 500, None),
        ("latency", 3.0, 0.9, 500, "throughput"),
        ("", 2.0, 0.1, 500, None),
        ("", 3.0, 0.1, 99, None),
        ("", None, 0.1, 500, None),
        ("", 3.0, None, 500, None),
    ],
)
def test_profile(
    now: str, first_token: float | None, queue: float | None, requests: float, wanted: str | None
) -> None:
    found = judged.profile(now, first_token, queue, 2.0, requests)
    assert (found and found["setting"]) == (wanted and f"llm_server_profile: {wanted}")


def bucket(name: str, end: str, number: float, engine: str = "0") -> dict[str, Any]:
    return {"name": f"{name}_bucket", "labels": {"le": end, "engine": engine}, "value": number}


def test_histograms_of_all_engines() -> None:
    name = histograms.FIRST
    known = [
        *(bucket(name, end, n) for end, n in (("1.0", 8), ("2.0", 10), ("+Inf", 10))),
        *(bucket(name, end, n, "1") for end, n in (("1.0", 8), ("2.0", 10), ("+Inf", 10))),
    ]
    found = histograms.buckets(known, name)
    assert found[:2] == [(1.0, 16), (2.0, 20)]
    # 19 of 20: three of the four of the second bucket.
    assert histograms.quantile(found, 0.95) == pytest.approx(1.75)
    assert histograms.quantile([(1.0, 5), (float("inf"), 10)], 0.95) == 1.0
    assert histograms.quantile([(1.0, 0)], 0.5) is None
    assert histograms.quantile([], 0.5) is None


def test_what_a_real_server_said() -> None:
    found = histograms.of_samples(REAL)
    assert found["requests"] == 10
    assert found["kv_tokens"] == 23296
    assert found["longest"] > 0
    assert 0 <= found["queue_share"] <= 1
    assert found["first_token"] > 0
    nothing = histograms.of_samples([])
    assert (nothing["requests"], nothing["longest"], nothing["first_token"]) == (0, None, None)


def test_an_endless_request_has_no_bound() -> None:
    prompts, answers = histograms.PROMPT, histograms.ANSWER
    known = [
        *(bucket(prompts, "100.0", 1), bucket(prompts, "+Inf", 2)),
        *(bucket(answers, "100.0", 2), bucket(answers, "+Inf", 2)),
    ]
    assert histograms.of_samples(known)["longest"] is None


def host(**more: Any) -> dict[str, Any]:
    rows = [
        {"period": at.strftime("%Y-%m-%dT%H:00Z"), "tokens_in": 1, "tokens_out": 36_000}
        for at in WEEK
    ]
    usage = {"rows": rows, "since": "2026-11-01", "first": "2026-11-02", "last": "2026-11-15"}
    found = {
        "host": "llm",
        "samples": REAL,
        "read_at": histograms.of_samples(REAL)["started"] + 7200,
        "usage": usage,
        "plan": {"machine_types": [NOW, SMALL], "max_num_seqs": 256, "max_model_len": 8192},
        "machine_type": "a3",
        "price": 11.1,
        "stopped_price": 0.1,
        "scheduled": False,
        "profile": "",
        "objective": 2.0,
    }
    return found | more


def test_a_host_is_judged_by_all_of_it() -> None:
    result = advice([host()])
    [one] = result["hosts"]
    # 36,000 tokens in the busiest hour are 10 a second.
    assert [each["what"] for each in one["advice"]] == ["smaller GPU", "office hours"]
    assert one["window"] == {
        "server_hours": 2.0,
        "server_requests": 10,
        "ledger_days": 14.0,
        "prometheus_hours": 0.0,
    }
    assert "max_num_seqs is not judged without Prometheus (monitoring_enabled)." in one["notes"]
    assert any("smaller GPU, saves 7519.00 USD a month" in line for line in result["lines"])


def test_a_request_without_a_bound_may_be_as_long_as_allowed() -> None:
    endless = [
        *(bucket(name, end, n) for name in (histograms.PROMPT, histograms.ANSWER)
          for end, n in (("100.0", 0), ("+Inf", 2))),
    ]  # fmt: skip
    short = {**SMALL, "max_model_len": 4096}
    plan = {"machine_types": [NOW, short], "max_model_len": 8192}
    [one] = advice([host(samples=endless, plan=plan, scheduled=True)])["hosts"]
    assert one["advice"] == []
    [one] = advice([host(plan=plan, scheduled=True)])["hosts"]
    assert [each["what"] for each in one["advice"]] == ["smaller GPU"], "of known length it fits"


def answer(value: str) -> dict[str, Any]:
    return {"status": "success", "data": {"result": [{"metric": {}, "value": [1.0, value]}]}}


def test_what_prometheus_saw_counts() -> None:
    seen = {"hours": answer("48"), "running": answer("20"), "tokens_per_second": answer("900")}
    [one] = advice([host(prometheus=seen, scheduled=True)])["hosts"]
    # 900 tokens a second within five minutes are too many for the small machine.
    assert [each["what"] for each in one["advice"]] == ["max_num_seqs"]
    assert one["window"]["prometheus_hours"] == 48.0


@pytest.mark.parametrize(
    "odd", [{}, None, {"data": None}, {"data": {"result": []}}, answer("NaN"), answer("x")]
)
def test_what_prometheus_does_not_know_is_left_out(odd: Any) -> None:
    assert watched({"running": odd}) == {}


def test_nothing_to_change_and_a_short_window() -> None:
    usage = {"rows": [], "since": None, "first": "2026-11-02", "last": "2026-11-15"}
    result = advice([host(usage=usage, plan={}, price=None)])
    assert result["hosts"][0]["advice"] == []
    text = "\n".join(result["lines"])
    assert "Nothing to change." in text
    assert "That is less than a day: the window is short" in text
    assert "What the instance costs is not known" in text
    assert "Without a plan of the model no other machine is judged." in text
    assert "2.0 hours with 10 requests, its ledger of 0.0 days, no Prometheus" in text
