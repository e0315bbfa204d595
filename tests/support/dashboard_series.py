# SPDX-License-Identifier: Apache-2.0
"""Two hours of a server under a mixed load, as Prometheus would have scraped them.

The load is made up and always the same; its counts are known, so that a page can be held to them.
Metrics have the names of tests/fixtures/metrics, of the GPU collector and of node exporter.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

SECONDS, STEP = 7200, 15
RESTART = 4200
#: Shares of the requests: two keys of users, and nobody's.
KEYS = {"team-search": 0.6, "team-chat": 0.4}
TTFT = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0)
ITL = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0)
E2E = (0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)
OF_MODEL = 'engine="0",model_name="a-model"'
GPUS = ("0", "1")


@dataclass
class Load:
    """Everything that was counted so far, by name and labels."""

    start: int
    random: random.Random = field(default_factory=lambda: random.Random(17))  # noqa: S311
    counters: dict[tuple[str, str], float] = field(default_factory=dict)
    gauges: dict[tuple[str, str], float] = field(default_factory=dict)
    #: What a page should say, which no restart sets back.
    asked: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, labels: str, number: float) -> None:
        self.counters[name, labels] = self.counters.get((name, labels), 0.0) + number

    def observe(self, name: str, edges: tuple[float, ...], value: float) -> None:
        for edge in (*edges, float("inf")):
            text = "+Inf" if edge == float("inf") else f"{edge}"
            self.add(f"{name}_bucket", f'{OF_MODEL},le="{text}"', value <= edge)
        self.add(f"{name}_sum", OF_MODEL, value)
        self.add(f"{name}_count", OF_MODEL, 1)

    def step(self, second: int) -> None:
        """What happens in one step."""
        if second == RESTART:
            self.counters = {k: v for k, v in self.counters.items() if "node" in k[0]}
        down = RESTART <= second < RESTART + 90
        busy = 0.0 if down else 0.5 + 0.5 * (second // 600 % 4) / 3
        for _ in range(0 if down else int(4 + 12 * busy)):
            self._request(busy)
        self._gauges(second, busy, down)

    def _request(self, busy: float) -> None:
        chance = self.random.random
        key = next(k for k, share in [("team-search", 0.6), ("team-chat", 1)] if chance() < share)
        named = f'key="{key}",'
        if chance() < 0.04:
            reason = "rate_tokens" if chance() < 0.7 else "full"
            self.add("llm_refused_total", f'{named}reason="{reason}"', 1)
            self._end(key, "refused")
            return
        failed = chance() < 0.01
        self._end(key, "server_error" if failed else "ok")
        prompt, answer = self.random.randint(50, 1500), self.random.randint(20, 400)
        for direction, number in (("prompt", prompt), ("generation", answer)):
            self.add("llm_tokens_total", f'{named}direction="{direction}"', number)
            self.asked[f"{key} {direction}"] += number
        queue = busy**6 * chance()
        first = queue + 0.05 + prompt / 4000 * (0.5 + chance())
        between = 0.015 * (1 + busy * chance())
        self.observe("vllm:time_to_first_token_seconds", TTFT, first)
        for _ in range(5):
            self.observe("vllm:inter_token_latency_seconds", ITL, between * (0.7 + chance()))
        self.observe("vllm:e2e_request_latency_seconds", E2E, first + answer * between)
        self.add("vllm:request_queue_time_seconds_sum", OF_MODEL, queue)
        self.add("vllm:generation_tokens_total", OF_MODEL, answer)
        cached = int(prompt * (0.4 if key == "team-chat" else 0.1))
        self.add("vllm:prefix_cache_queries_total", OF_MODEL, prompt)
        self.add("vllm:prefix_cache_hits_total", OF_MODEL, cached)
        for source, number in (("local_compute", prompt - cached), ("local_cache_hit", cached)):
            self.add("vllm:prompt_tokens_by_source_total", f'{OF_MODEL},source="{source}"', number)
        self.add("vllm:num_preemptions_total", OF_MODEL, busy > 0.9 and chance() < 0.02)
        self.add("vllm:admission_rejections_total", OF_MODEL, 0)
        reason = "error" if failed else "length" if chance() < 0.2 else "stop"
        self.add("vllm:request_success_total", f'{OF_MODEL},finished_reason="{reason}"', 1)
        self.add("vllm:estimated_flops_per_gpu_total", OF_MODEL, 16e9 * (prompt - cached + answer))

    def _end(self, key: str, outcome: str) -> None:
        route = "/v1/chat/completions"
        self.add("llm_requests_total", f'key="{key}",outcome="{outcome}",route="{route}"', 1)
        self.asked[f"{key} {outcome}"] += 1

    def _gauges(self, second: int, busy: float, down: bool) -> None:
        noise = 0.9 + 0.2 * self.random.random()
        for state in ("loading", "healthy", "stuck", "draining", "unhealthy"):
            now = "loading" if down else "healthy"
            self.gauges["llm_state", f'state="{state}"'] = state == now
        began = self.start + (RESTART if second >= RESTART else 0)
        self.gauges["process_start_time_seconds", ""] = began - 30
        release = "cu130-b" if second >= RESTART else "cu130-a"
        about = f'model="a-model",python="3.12.3",version="0.2.0",vllm="0.32.0",release="{release}"'
        self.gauges = {k: v for k, v in self.gauges.items() if k[0] != "llm_release_info"}
        self.gauges["llm_release_info", about] = 1
        for phase, took in (("import", 21.0), ("engine", 42.0), ("warm_up", 1.8)):
            self.gauges["llm_start_phase_seconds", f'phase="{phase}"'] = took
        self.gauges["vllm:num_requests_running", OF_MODEL] = round(24 * busy * noise)
        for reason, number in (("capacity", busy > 0.9), ("deferred", 0)):
            labels = f'{OF_MODEL},reason="{reason}"'
            self.gauges["vllm:num_requests_waiting_by_reason", labels] = round(9 * number * noise)
        self.gauges["vllm:kv_cache_usage_perc", OF_MODEL] = min(1.0, 0.85 * busy * noise)
        for gpu in GPUS:
            self._gpu(f'gpu="{gpu}",modelName="NVIDIA H200"', busy, noise)
        self._host(second, noise)

    def _gpu(self, gpu: str, busy: float, noise: float) -> None:
        values = {
            "DCGM_FI_DEV_GPU_UTIL": 100 * min(1.0, 1.1 * busy * noise),
            "DCGM_FI_DEV_FB_TOTAL": 143771, "DCGM_FI_DEV_FB_USED": 131072,
            "DCGM_FI_DEV_POWER_USAGE": 120 + 540 * busy * noise,
            "DCGM_FI_DEV_ENFORCED_POWER_LIMIT": 700,
            "DCGM_FI_DEV_GPU_TEMP": 38 + 30 * busy * noise,
            "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL": 0, "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL": 2,
        }  # fmt: skip
        self.gauges |= {(name, gpu): value for name, value in values.items()}
        for reason in ("power_cap", "thermal"):
            throttled = reason == "power_cap" and busy * noise > 0.95
            self.gauges["llm_gpu_throttled", f'{gpu},reason="{reason}"'] = throttled

    def _host(self, second: int, noise: float) -> None:
        place = 'mountpoint="/",fstype="ext4"'
        self.gauges["node_filesystem_size_bytes", place] = 200e9
        self.gauges["node_filesystem_avail_bytes", place] = 90e9 - 1e6 * second
        self.gauges["node_memory_MemTotal_bytes", ""] = 1.9e12
        self.gauges["node_memory_MemAvailable_bytes", ""] = 1.7e12 * noise
        for direction in ("receive", "transmit"):
            self.add(f"node_network_{direction}_bytes_total", 'device="ens4"', 2e6 * noise)


#: Which job has what; every other metric is the server's.
_JOBS: dict[str, tuple[str, ...]] = {"node": ("node_",), "gpu": ("DCGM_", "llm_gpu_")}


def _job(name: str) -> str:
    return next((job for job, starts in _JOBS.items() if name.startswith(starts)), "llm")


def openmetrics(start: int) -> tuple[str, Load]:
    """The text that `promtool tsdb create-blocks-from openmetrics` takes, and the load."""
    load = Load(start)
    found: dict[str, list[str]] = {}
    for second in range(0, SECONDS + 1, STEP):
        load.step(second)
        for text, name in _samples(load):
            found.setdefault(name, []).append(f"{text} {start + second}")
    lines = [line for name in found for line in (f"# TYPE {name} unknown", *found[name])]
    return "\n".join([*lines, "# EOF", ""]), load


def _samples(load: Load) -> Iterator[tuple[str, str]]:
    everything = {**load.counters, **load.gauges}
    for job in ("llm", "node", "gpu"):
        everything["up", f'job="{job}"'] = 1
    for (name, labels), value in everything.items():
        job = "" if name == "up" else f'job="{_job(name)}",'
        known = f'{job}instance="llm-server"' + (f",{labels}" if labels else "")
        yield f"{name}{{{known}}} {float(value)!r}", name
    for name, value in (
        ("llm:objective:first_token_seconds", 0.5),
        ("llm:objective:queue_requests", 16),
        ("llm:objective:gpu_celsius", 85),
    ):
        yield f"{name} {float(value)!r}", name
