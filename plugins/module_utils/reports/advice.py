# SPDX-License-Identifier: Apache-2.0
"""What would be cheaper or better for the load that there was, each with its arithmetic. Pure.

Money is by list price, on demand. What cannot be told from what was measured is not advised.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from . import histograms

Json = dict[str, Any]
HOURS_A_MONTH, HOURS_A_WEEK = 730, 168
#: Between the busiest moment and the slowest that a machine is thought to be. An hour's mean hides
#: what five minutes show.
ROOM_OVER_MINUTES, ROOM_OVER_HOURS = 2, 4
#: Schedules repeat every week: less than one shows no free day.
LEAST_DAYS = 7
#: A schedule that saves less than a quarter is not worth its closed hours.
MOST_OPEN = 0.75
LEAST_REQUESTS = 100
LEAST_MODEL_LEN = 1024
LEAST_SEQS = 16
CRON_DAYS = {1: "1", 2: "2", 3: "3", 4: "4", 5: "5", 6: "6", 7: "0"}


def smaller_machine(
    machine: str,
    machines: Sequence[Mapping[str, Any]],
    tokens_per_second: float | None,
    room: int,
    needs: Mapping[str, float],
) -> Json | None:
    """The cheapest machine type that would still do.

    Args:
        machine: the machine type now.
        machines: those of the plan, with prices and what a million tokens cost there.
        tokens_per_second: generated at the busiest moment; None where that is not known.
        room: how many times that a machine has to make.
        needs: `length` of the longest request, and `kv_tokens` in use at once; 0 is not known.
    """
    # One that is not sold on demand has its price on Spot, which is no saving on demand.
    machines = [one for one in machines if one.get("price_model") == "STANDARD"]
    here = next((one for one in machines if one["machine_type"] == machine), None)
    if not here or not here["price_per_hour"] or not tokens_per_second:
        return None
    fitting = [
        (one["price_per_hour"], one, slowest)
        for one in machines
        if one["fits"] is True
        and one["price_per_hour"]
        and one["price_per_hour"] < here["price_per_hour"]
        and (slowest := _slowest(one)) >= room * tokens_per_second
        and one["max_model_len"] >= needs["length"]
        and one["kv_tokens"] >= needs["kv_tokens"]
    ]
    if not fitting:
        return None
    price, chosen, slowest = min(fitting, key=lambda one: one[0])
    saving = (here["price_per_hour"] - price) * HOURS_A_MONTH
    return _advice(
        "smaller GPU",
        f"gce_instance_machine_type: {chosen['machine_type']}",
        f"at the busiest {tokens_per_second:.1f} tokens a second were generated; "
        f"{chosen['machine_type']} makes at least {slowest:.0f} by the plan's estimate, and {room} "
        f"times as many are asked for. ({here['price_per_hour']:.4f} - {price:.4f}) USD an hour x "
        f"{HOURS_A_MONTH} hours = {saving:.2f} USD a month, on demand",
        saving,
    )


def _slowest(machine: Mapping[str, Any]) -> float:
    """Tokens a second at the lower end of the plan's estimate; 0 where there is none."""
    between = machine.get("price_range_per_million_tokens")
    if not between or not between[1]:
        return 0.0
    return float(machine["price_per_hour"]) / 3600 / float(between[1]) * 1e6


def office_hours(
    used: Iterable[datetime], days: float, price: float | None, stopped: float | None
) -> Json | None:
    """A schedule of one span on some days of the week, where that covers all use and saves enough.

    Args:
        used: hours in which tokens were used, in UTC.
        days: for how long was counted.
        price: USD an hour that the instance runs; None where it is not known.
        stopped: the same while it is stopped.
    """
    hours = list(used)
    if days < LEAST_DAYS or not hours or price is None or stopped is None:
        return None
    weekdays = sorted({one.isoweekday() for one in hours})
    first, last = min(one.hour for one in hours), max(one.hour for one in hours) + 1
    is_open = len(weekdays) * (last - first)
    if is_open > MOST_OPEN * HOURS_A_WEEK:
        return None
    named = ",".join(sorted(CRON_DAYS[day] for day in weekdays))
    stop = f"0 {last}" if last < 24 else "59 23"
    closed = (HOURS_A_WEEK - is_open) / HOURS_A_WEEK * HOURS_A_MONTH
    saving = closed * (price - stopped)
    return _advice(
        "office hours",
        f'gce_instance_schedule: {{start: "0 {first} * * {named}", stop: "{stop} * * {named}", '
        "time_zone: UTC}",
        f"in {days:.0f} days all tokens were used on {len(weekdays)} days of the week between "
        f"{first}:00 and {last}:00 UTC, which is {is_open} of {HOURS_A_WEEK} hours. {closed:.0f} "
        f"closed hours a month x ({price:.4f} - {stopped:.4f}) USD = {saving:.2f} USD a month",
        saving,
    )


def max_num_seqs(now: int, running: float | None, waiting: float, kv_use: float) -> Json | None:
    """More places where requests wait though memory is free; fewer where most were never used.

    Args:
        now: the setting.
        running: most requests that ran at once; None where nobody watched.
        waiting: most that waited.
        kv_use: the largest share of the KV cache in use, 0 to 1.
    """
    if running is None or not now:
        return None
    if waiting > 0 and running >= now and kv_use < 0.8:
        return _advice(
            "max_num_seqs",
            f"llm_server_vllm_args: {{max_num_seqs: {2 * now}}}",
            f"all {now} places were taken and {waiting:.0f} requests waited, while the KV cache "
            f"was in use to {kv_use:.0%} at most. {now} x 2 = {2 * now} places",
            0.0,
        )
    wanted = LEAST_SEQS
    while wanted < 2 * running:
        wanted *= 2
    if not running or wanted * 4 > now:
        return None
    return _advice(
        "max_num_seqs",
        f"llm_server_vllm_args: {{max_num_seqs: {wanted}}}",
        f"at most {running:.0f} of {now} places were taken at once. Twice that, rounded up to a "
        f"power of two, is {wanted}. Fewer places leave memory to the KV cache",
        0.0,
    )


def max_model_len(
    now: int, longest: float | None, requests: float, kv_tokens: float
) -> Json | None:
    """A shorter limit where no request came near it.

    Args:
        longest: tokens that no request of the window exceeded; None where that is not known.
        requests: how many there were.
        kv_tokens: what the KV cache holds; 0 where it is not known.
    """
    if not now or longest is None or requests < LEAST_REQUESTS:
        return None
    wanted = LEAST_MODEL_LEN
    while wanted < longest:
        wanted *= 2
    if wanted * 2 > now:
        return None
    holds = ""
    if kv_tokens:
        holds = (
            f". The KV cache holds {kv_tokens:.0f} / {wanted} = {kv_tokens / wanted:.1f} requests "
            f"of that length instead of {kv_tokens / now:.1f}"
        )
    return _advice(
        "max_model_len",
        f"llm_server_vllm_args: {{max_model_len: {wanted}}}",
        f"none of {requests:.0f} requests had more than {longest:.0f} tokens, prompt and answer "
        f"together, of {now} allowed; the next power of two is {wanted}{holds}",
        0.0,
    )


def profile(
    now: str, first_token: float | None, queue: float | None, objective: float, requests: float
) -> Json | None:
    """Another profile where first tokens come too late, by what they wait for.

    Args:
        first_token: seconds within which 95 of 100 first tokens came.
        queue: of that the mean share that was spent waiting for a place, 0 to 1.
        objective: seconds within which they should.
    """
    if first_token is None or queue is None or requests < LEAST_REQUESTS:
        return None
    if first_token <= objective:
        return None
    name = "throughput" if queue >= 0.5 else "latency"
    if name == now:
        return None
    why = (
        "more places and larger steps take requests out of the queue"
        if name == "throughput"
        else "smaller steps let prompts take turns"
    )
    return _advice(
        "profile",
        f"llm_server_profile: {name}",
        f"95 of 100 first tokens came within {first_token:.2f} s, and the objective is "
        f"{objective:.2f} s. {queue:.0%} of the wait was for a place: {why}. Try it with "
        "benchmark.yml",
        0.0,
    )


def of_host(one: Mapping[str, Any]) -> Json:
    """All of it for one host: `host`, `window`, `advice` and `notes`.

    Args:
        one: `host`, `samples` and `read_at` of the server's metrics, `usage` by hour,
            `watched` (by the host's Prometheus, or nothing), `plan`, `machine_type`, `price`,
            `stopped_price`, `scheduled`, `profile`, `objective`.
    """
    seen = histograms.of_samples(one.get("samples") or [])
    watched = one.get("watched") or {}
    plan = one.get("plan") or {}
    hours = _hours(one.get("usage") or {})
    days = _days(one.get("usage") or {})
    up = max(0.0, (one.get("read_at") or 0.0) - seen["started"]) / 3600 if seen["started"] else 0.0
    minutes = watched.get("tokens_per_second")
    busiest = max((tokens / 3600 for _, tokens in hours), default=None)
    running = watched.get("running")
    needs = {
        # Without a bound a request may have been as long as is allowed.
        "length": seen["longest"] or int(plan.get("max_model_len") or 0),
        "kv_tokens": (running or 0) * (seen["mean_tokens"] or 0),
    }
    found = [
        smaller_machine(
            one.get("machine_type") or "",
            plan.get("machine_types") or [],
            busiest if minutes is None else max(minutes, busiest or 0.0),
            ROOM_OVER_HOURS if minutes is None else ROOM_OVER_MINUTES,
            needs,
        ),
        None
        if one.get("scheduled")
        else office_hours(
            [at for at, tokens in hours if tokens], days, one.get("price"), one.get("stopped_price")
        ),
        max_num_seqs(
            int(plan.get("max_num_seqs") or 0),
            running,
            watched.get("waiting") or 0.0,
            watched.get("kv_use") or 0.0,
        ),
        max_model_len(
            int(plan.get("max_model_len") or 0),
            seen["longest"],
            seen["requests"],
            seen["kv_tokens"],
        ),
        profile(
            one.get("profile") or "",
            seen["first_token"],
            seen["queue_share"],
            one.get("objective") or 2.0,
            seen["requests"],
        ),
    ]
    window = {
        "server_hours": round(up, 1),
        "server_requests": int(seen["requests"]),
        "ledger_days": round(days, 1),
        "prometheus_hours": round(watched.get("hours") or 0.0, 1),
    }
    return {
        "host": one["host"],
        "window": window,
        "advice": [each for each in found if each],
        "notes": _notes(one, window, plan),
    }


def _notes(one: Mapping[str, Any], window: Mapping[str, Any], plan: Mapping[str, Any]) -> list[str]:
    """What the window is, and what could not be judged."""
    longest = max(window["server_hours"], window["ledger_days"] * 24, window["prometheus_hours"])
    found = [
        f"measured: the server's own metrics of {window['server_hours']} hours with "
        f"{window['server_requests']} requests, its ledger of {window['ledger_days']} days, "
        + (
            f"Prometheus of {window['prometheus_hours']} hours"
            if window["prometheus_hours"]
            else "no Prometheus"
        )
    ]
    if longest < 24:
        found.append("That is less than a day: the window is short, and a usual day may differ.")
    if window["ledger_days"] < LEAST_DAYS:
        found.append(f"Office hours are not judged before {LEAST_DAYS} days of usage.")
    if not window["prometheus_hours"]:
        found.append("max_num_seqs is not judged without Prometheus (monitoring_enabled).")
    if one.get("price") is None:
        found.append("What the instance costs is not known, so neither is what would be saved.")
    if not plan.get("machine_types"):
        found.append("Without a plan of the model no other machine is judged.")
    return found


def lines(hosts: Iterable[Mapping[str, Any]]) -> list[str]:
    """The same for people."""
    found = []
    for one in hosts:
        found.append(f"{one['host']}: {one['notes'][0]}")
        found += [f"  {note}" for note in one["notes"][1:]]
        for each in one["advice"]:
            saving = each["saving_usd_a_month"]
            money = f"saves {saving:.2f} USD a month" if saving else "saves no money by itself"
            found += [f"  {each['what']}, {money}: {each['setting']}", f"    {each['why']}."]
        if not one["advice"]:
            found.append("  Nothing to change.")
    return found


def _advice(what: str, setting: str, why: str, saving: float) -> Json:
    return {"what": what, "setting": setting, "why": why, "saving_usd_a_month": round(saving, 2)}


def _hours(usage: Mapping[str, Any]) -> list[tuple[datetime, int]]:
    """Each hour in which something was generated or read, with its generated tokens."""
    found: dict[str, int] = {}
    for row in usage.get("rows") or []:
        if row["tokens_in"] + row["tokens_out"]:
            found[row["period"]] = found.get(row["period"], 0) + row["tokens_out"]
    # At least 1, so that an hour of embeddings counts as used.
    return [
        (datetime.fromisoformat(period.replace("Z", "+00:00")), max(tokens, 1))
        for period, tokens in sorted(found.items())
    ]


def _days(usage: Mapping[str, Any]) -> float:
    """How many days the ledger covers of those that were asked for."""
    if not usage.get("since"):
        return 0.0
    first = max(usage["since"], usage["first"])
    return float((datetime.fromisoformat(usage["last"]) - datetime.fromisoformat(first)).days + 1)
