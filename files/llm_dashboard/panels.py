# SPDX-License-Identifier: Apache-2.0
"""What is shown, in the order of the questions: a table, and nothing else.

WINDOW in an expression stands for the time over which a rate is taken. Names are those of
tests/fixtures/metrics, of the GPU collector, of node exporter and of llm-objectives.yml.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import peaks

#: Routes that ask the model nothing, as in llm-rules.yml.
_OTHER = '"/metrics|/version|/ping|/docs.*|/openapi.json|/v1/models|/|other"'
_ASKED = f'llm_requests_total{{outcome!="refused",route!~{_OTHER}}}'
#: Nothing where the server is not watched, and zero where it only has had no such request yet.
_ZERO = '0 * sum(up{job="llm"})'
_FLOPS = "vllm:estimated_flops_per_gpu_total"
#: vLLM has a zero, and no estimate, where it is not told to make one.
_WORK = f"(sum by (engine) (rate({_FLOPS}[WINDOW])) and sum by (engine) ({_FLOPS}) > 0)"
_COUNTED = "vLLM estimates it with enable_mfu_metrics of llm_server_vllm_args."
_DISKS = '{fstype!~"tmpfs|squashfs|ramfs|iso9660|erofs|vfat"}'


@dataclass(frozen=True)
class Query:
    """One expression of Prometheus.

    Attributes:
        expr: the expression, with WINDOW.
        name: what its line is called; `{label}` is that label's value.
        quiet: leave the line out where it is zero all the time.
    """

    expr: str
    name: str
    quiet: bool = False


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        id: a word for addresses and tests.
        title: what it shows.
        says: one sentence on how to read it.
        unit: key of `units.UNITS`.
        queries: its lines.
        objective: a metric of llm-objectives.yml, drawn as a line.
        most: the end of the axis where that is fixed, as 1 for a share.
        buckets: a histogram's expression by `le`, of which the share within the objective is shown.
    """

    id: str
    title: str
    says: str
    unit: str
    queries: tuple[Query, ...] = ()
    objective: str = ""
    most: float | None = None
    buckets: str = ""


@dataclass(frozen=True)
class Section:
    """One question, and the charts that answer it."""

    id: str
    question: str
    panels: tuple[Panel, ...]


def _quantiles(histogram: str) -> tuple[Query, ...]:
    return tuple(
        Query(
            f"histogram_quantile({quantile}, sum by (le) (rate({histogram}_bucket[WINDOW])))",
            f"p{round(100 * quantile)}",
        )
        for quantile in (0.5, 0.95, 0.99)
    )


def _sum(selector: str) -> str:
    return f"(sum(rate({selector}[WINDOW])) or {_ZERO})"


REFUSED = _sum('llm_requests_total{outcome="refused"}')
REQUESTS = f"{_sum(_ASKED)} + {REFUSED}"
FIRST_TOKEN = (
    "histogram_quantile(0.95,"  # noqa: S105 - no password
    " sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[WINDOW])))"
)
TOKENS_OUT = "sum(rate(vllm:generation_tokens_total[WINDOW]))"
OBJECTIVE_FIRST_TOKEN = "llm:objective:first_token_seconds"  # noqa: S105 - no password

#: The large figures on top; the cost is from the ledger.
FIGURES = {
    "requests": REQUESTS,
    "refused": f"{REFUSED} / ({REQUESTS} > 0)",
    "first_token": FIRST_TOKEN,
    "tokens": TOKENS_OUT,
}

FAST = Section(
    "fast",
    "Is it fast?",
    (
        Panel(
            "first-token",
            "Time to first token",
            "Of 100 requests, 95 got their first token within p95.",
            "seconds",
            _quantiles("vllm:time_to_first_token_seconds"),
            objective=OBJECTIVE_FIRST_TOKEN,
        ),
        Panel(
            "inter-token",
            "Time between tokens",
            "How fluently an answer comes once it has begun.",
            "seconds",
            _quantiles("vllm:inter_token_latency_seconds"),
        ),
        Panel(
            "whole-answer",
            "Time of a whole answer",
            "From the request to the last token. Long answers take long.",
            "seconds",
            _quantiles("vllm:e2e_request_latency_seconds"),
        ),
        Panel(
            "goodput",
            "Goodput",
            "Share of the requests whose first token came within the objective, estimated between"
            " the histogram's buckets.",
            "share",
            objective=OBJECTIVE_FIRST_TOKEN,
            most=1.0,
            buckets="sum by (le) (rate(vllm:time_to_first_token_seconds_bucket[WINDOW]))",
        ),
        Panel(
            "queue-share",
            "Queue's share of the first token's time",
            "Near 100 %, requests wait for a place. Near 0 %, prompts themselves take the time.",
            "share",
            (
                Query(
                    "sum(rate(vllm:request_queue_time_seconds_sum[WINDOW]))"
                    " / (sum(rate(vllm:time_to_first_token_seconds_sum[WINDOW])) > 0)",
                    "queue",
                ),
            ),
            most=1.0,
        ),
    ),
)
FULL = Section(
    "full",
    "Is it full?",
    (
        Panel(
            "requests",
            "Requests in the engine",
            "Those that wait for capacity want a larger GPU or less load.",
            "count",
            (
                Query("sum(vllm:num_requests_running)", "running"),
                Query("sum by (reason) (vllm:num_requests_waiting_by_reason)", "waiting: {reason}"),
            ),
            objective="llm:objective:queue_requests",
        ),
        Panel(
            "kv-cache",
            "KV cache in use",
            "At 100 % requests wait, or give up their place to others.",
            "share",
            (Query("max by (engine) (vllm:kv_cache_usage_perc)", "engine {engine}"),),
            most=1.0,
        ),
        Panel(
            "pushed-back",
            "Pushed back by the engine",
            "A preempted request is calculated again later.",
            "per_minute",
            (
                Query("60 * sum(rate(vllm:num_preemptions_total[WINDOW]))", "preempted"),
                Query("60 * sum(rate(vllm:admission_rejections_total[WINDOW]))", "not admitted"),
            ),
        ),
        Panel(
            "prefix-cache",
            "Prompts' tokens found in the cache",
            "What is found there is not calculated again.",
            "share",
            (
                Query(
                    "sum(rate(vllm:prefix_cache_hits_total[WINDOW]))"
                    " / (sum(rate(vllm:prefix_cache_queries_total[WINDOW])) > 0)",
                    "found",
                ),
            ),
            most=1.0,
        ),
        Panel(
            "tokens",
            "Tokens",
            "Prompts by where they came from, and answers.",
            "per_second",
            (
                Query(TOKENS_OUT, "answers"),
                Query(
                    "sum by (source) (rate(vllm:prompt_tokens_by_source_total[WINDOW]))",
                    "prompts: {source}",
                    quiet=True,
                ),
            ),
        ),
    ),
)
GPU = Section(
    "gpu",
    "How are the GPUs?",
    (
        Panel(
            "gpu-work",
            "Arithmetic done by each GPU",
            f"It tells real use, where utilisation says only that something ran. {_COUNTED}",
            "teraflops",
            (Query(f"{_WORK} / 1e12", "engine {engine}"),),
        ),
        Panel(
            "gpu-mfu",
            "Arithmetic done, of what is possible (MFU)",
            "The operations a second of the chart before, divided by NVIDIA's peak for dense"
            f" bfloat16 in TFLOP/s: {peaks.words()} (T4: float16). Models of 8 bits and less may"
            " pass it.",
            "share",
            (
                Query(
                    f"{_WORK} / on () group_left () ({peaks.EXPRESSION})",
                    "engine {engine}",
                ),
            ),
        ),
        Panel(
            "gpu-utilisation",
            "GPU utilisation",
            "Share of the time in which a kernel ran.",
            "share",
            (Query("avg by (gpu) (DCGM_FI_DEV_GPU_UTIL) / 100", "GPU {gpu}"),),
            most=1.0,
        ),
        Panel(
            "gpu-memory",
            "GPU memory in use",
            "vLLM takes its part at the start and keeps it.",
            "share",
            (
                Query(
                    "max by (gpu) (DCGM_FI_DEV_FB_USED) / max by (gpu) (DCGM_FI_DEV_FB_TOTAL)",
                    "GPU {gpu}",
                ),
            ),
            most=1.0,
        ),
        Panel(
            "gpu-power",
            "Power",
            "Near its limit a GPU works as hard as it may.",
            "watts",
            (
                Query("max by (gpu) (DCGM_FI_DEV_POWER_USAGE)", "GPU {gpu}"),
                Query("max(DCGM_FI_DEV_ENFORCED_POWER_LIMIT)", "limit"),
            ),
        ),
        Panel(
            "gpu-temperature",
            "Temperature",
            "Above the objective the clocks may go down.",
            "celsius",
            (Query("max by (gpu) (DCGM_FI_DEV_GPU_TEMP)", "GPU {gpu}"),),
            objective="llm:objective:gpu_celsius",
        ),
        Panel(
            "gpu-throttled",
            "Clocks lowered, by reason",
            "Share of the time. A power cap is usual under full load. Heat is not.",
            "share",
            (
                Query(
                    "max by (gpu, reason) (avg_over_time(llm_gpu_throttled[WINDOW]))",
                    "GPU {gpu}: {reason}",
                    quiet=True,
                ),
            ),
            most=1.0,
        ),
        Panel(
            "gpu-errors",
            "Errors of GPUs",
            "Memory errors since the driver was loaded, Xid errors since the collector started.",
            "count",
            (
                Query(
                    "max by (gpu) (DCGM_FI_DEV_ECC_DBE_VOL_TOTAL)",
                    "GPU {gpu}: not corrected",
                    quiet=True,
                ),
                Query(
                    "max by (gpu) (DCGM_FI_DEV_ECC_SBE_VOL_TOTAL)",
                    "GPU {gpu}: corrected",
                    quiet=True,
                ),
                Query(
                    "sum by (gpu, xid) (llm_gpu_xid_errors_total)",
                    "GPU {gpu}: Xid {xid}",
                    quiet=True,
                ),
            ),
        ),
    ),
)
WHO = Section(
    "who",
    "Who uses it?",
    (
        Panel(
            "keys-requests",
            "Requests by key",
            "Answered or not.",
            "per_minute",
            (
                Query(
                    f"60 * sum by (key) (rate(llm_requests_total{{route!~{_OTHER}}}[WINDOW]))",
                    "{key}",
                    quiet=True,
                ),
            ),
        ),
        Panel(
            "keys-tokens",
            "Tokens by key",
            "Of prompts and answers together.",
            "per_second",
            (Query("sum by (key) (rate(llm_tokens_total[WINDOW]))", "{key}", quiet=True),),
        ),
        Panel(
            "refusals",
            "Refusals by reason",
            "Wrong keys, limits of keys, and a server that is full or not ready.",
            "per_minute",
            (
                Query(
                    "60 * sum by (reason) (rate(llm_refused_total[WINDOW]))",
                    "{reason}",
                    quiet=True,
                ),
            ),
        ),
    ),
)
WRONG = Section(
    "wrong",
    "What went wrong?",
    (
        Panel(
            "outcomes",
            "How requests ended",
            "A server error is the server's fault. Who left did so before the answer's end.",
            "per_minute",
            (
                Query(
                    f"60 * sum by (outcome) (rate(llm_requests_total{{route!~{_OTHER}}}[WINDOW]))",
                    "{outcome}",
                    quiet=True,
                ),
            ),
        ),
        Panel(
            "finish-reasons",
            "How answers ended",
            "As vLLM says it: error, abort and repetition are worth a look.",
            "per_minute",
            (
                Query(
                    "60 * sum by (finished_reason) (rate(vllm:request_success_total[WINDOW]))",
                    "{finished_reason}",
                    quiet=True,
                ),
            ),
        ),
    ),
)
HOST = Section(
    "host",
    "How is the host?",
    (
        Panel(
            "disks",
            "Disk space in use",
            "Old releases of vLLM and weights that nobody uses take the most.",
            "share",
            (
                Query(
                    f"1 - max by (mountpoint) (node_filesystem_avail_bytes{_DISKS})"
                    f" / max by (mountpoint) (node_filesystem_size_bytes{_DISKS})",
                    "{mountpoint}",
                ),
            ),
            most=1.0,
        ),
        Panel(
            "memory",
            "Memory in use",
            "Of the host, not of the GPU.",
            "share",
            (
                Query(
                    "1 - max(node_memory_MemAvailable_bytes) / max(node_memory_MemTotal_bytes)",
                    "in use",
                ),
            ),
            most=1.0,
        ),
        Panel(
            "network",
            "Network",
            "Without loopback.",
            "bytes_per_second",
            (
                Query('sum(rate(node_network_receive_bytes_total{device!="lo"}[WINDOW]))', "in"),
                Query('sum(rate(node_network_transmit_bytes_total{device!="lo"}[WINDOW]))', "out"),
            ),
        ),
    ),
)
SECTIONS = (FAST, FULL, GPU, WHO, WRONG, HOST)

#: What events are found in; see `events`.
EVENTS = {
    "started": 'max(process_start_time_seconds{job="llm"})',
    "state": "max by (state) (llm_state) == 1",
    "release": "max by (release, vllm, model, settings) (llm_release_info)",
    "phases": "max by (phase) (llm_start_phase_seconds)",
    "alert": 'max by (alertname) (ALERTS{alertstate="firing",alertname!="Watchdog"})',
    "xid": "max by (gpu, xid, action) (llm_gpu_xid_timestamp_seconds)",
}
#: What the line of state needs besides what the server says itself.
STATE = {
    "release": "llm_release_info",
    "gpu": "count by (modelName) (DCGM_FI_DEV_FB_TOTAL)",
    "phases": "max by (phase) (llm_start_phase_seconds)",
}


def expressions() -> dict[str, str]:
    """Every expression under a name of its own, with WINDOW."""
    found = {f"figure {name}": expr for name, expr in FIGURES.items()}
    found |= {f"event {name}": expr for name, expr in EVENTS.items()}
    found |= {f"state {name}": expr for name, expr in STATE.items()}
    for section in SECTIONS:
        for panel in section.panels:
            for number, query in enumerate(panel.queries):
                found[f"{panel.id} {number}"] = query.expr
            if panel.buckets:
                found[f"{panel.id} buckets"] = panel.buckets
            if panel.objective:
                found[f"{panel.id} objective"] = panel.objective
    return found
