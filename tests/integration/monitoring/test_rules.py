# SPDX-License-Identifier: Apache-2.0
"""Each alert fires for its cause with the text that a person gets, and none fires in health.

The rules are run by the distribution's own promtool, over series that stand here.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs.tools.page import Page
from tests import debian

ROOT = Path(__file__).parents[3]
RULES = ROOT / "files" / "prometheus" / "llm-rules.yml"
OBJECTIVES = RULES.with_name("llm-objectives.yml")
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}
GROUPS = [group["name"] for group in yaml.safe_load(RULES.read_text())["groups"]]
#: Minutes of every series: more than an alert waits. A window of 6 h sees what there is.
LENGTH = 80
HOST = 'instance="one"'
GPU = f'{HOST},job="gpu",gpu="0"'
ROOT_DISK = f'{HOST},job="node",mountpoint="/",fstype="ext4"'
GIB = 1024**3

HEALTH = {
    f'up{{{HOST},job="llm"}}': "1x80",
    f'up{{{HOST},job="node"}}': "1x80",
    f'up{{{HOST},job="gpu"}}': "1x80",
    f'llm_state{{{HOST},job="llm",state="healthy"}}': "1x80",
    f'llm_state{{{HOST},job="llm",state="stuck"}}': "0x80",
    f'llm_state{{{HOST},job="llm",state="unhealthy"}}': "0x80",
    f'llm_requests_total{{{HOST},job="llm",key="k",route="/v1/completions",outcome="ok"}}': (
        "0+60x80"
    ),
    # 0.1 % fail, which the objective allows; strangers without a key are nobody's fault.
    f'llm_requests_total{{{HOST},job="llm",key="k",route="/v1/completions",outcome="server_error"}}'
    "": "0+0.06x80",
    f'llm_refused_total{{{HOST},job="llm",key="none",reason="wrong_key"}}': "0+600x80",
    f'llm_requests_total{{{HOST},job="llm",key="none",route="other",outcome="refused"}}': (
        "0+600x80"
    ),
    f'llm_key_expiry_timestamp_seconds{{{HOST},job="llm",key="k"}}': "9e6x80",
    f'llm_certificate_expiry_timestamp_seconds{{{HOST},job="llm"}}': "9e6x80",
    # Asked all the time, as the tests' clock begins at 0; what is not written waits a second.
    f'llm_last_served_timestamp_seconds{{{HOST},job="llm"}}': "0+60x80",
    f'process_start_time_seconds{{{HOST},job="llm"}}': "-90000x80",
    f'llm_ledger_unwritten_seconds{{{HOST},job="llm"}}': "1x80",
    f'vllm:num_requests_running{{{HOST},job="llm",engine="0"}}': "8x80",
    f'vllm:num_requests_waiting{{{HOST},job="llm",engine="0"}}': "0x80",
    f'vllm:kv_cache_usage_perc{{{HOST},job="llm",engine="0"}}': "0.97x80",
    f'vllm:time_to_first_token_seconds_bucket{{{HOST},job="llm",le="0.5"}}': "0+59x80",
    f'vllm:time_to_first_token_seconds_bucket{{{HOST},job="llm",le="5.0"}}': "0+60x80",
    f'vllm:time_to_first_token_seconds_bucket{{{HOST},job="llm",le="+Inf"}}': "0+60x80",
    f'llm_gpu_driver_up{{{HOST},job="gpu"}}': "1x80",
    f"llm_gpu_up{{{GPU}}}": "1x80",
    f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": "71x80",
    f"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{{{GPU}}}": "0x80",
    f"DCGM_FI_DEV_ROW_REMAP_PENDING{{{GPU}}}": "0x80",
    f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": "0x80",
    f'llm_gpu_throttled{{{GPU},reason="power_cap"}}': "1x80",
    f'llm_gpu_throttled{{{GPU},reason="hw_thermal"}}': "0x80",
    f"node_filesystem_avail_bytes{{{ROOT_DISK}}}": f"{25 * GIB}x80",
    f"node_filesystem_size_bytes{{{ROOT_DISK}}}": f"{100 * GIB}x80",
    f'node_filesystem_avail_bytes{{{HOST},job="node",mountpoint="/run",fstype="tmpfs"}}': "0x80",
    f'node_filesystem_size_bytes{{{HOST},job="node",mountpoint="/run",fstype="tmpfs"}}': "9x80",
    f'node_memory_MemAvailable_bytes{{{HOST},job="node"}}': f"{8 * GIB}x80",
    f'node_memory_MemTotal_bytes{{{HOST},job="node"}}': f"{16 * GIB}x80",
    f'alertmanager_notifications_failed_total{{{HOST},job="alertmanager",integration="webhook"}}': (
        "0x80"
    ),
}


@dataclass(frozen=True)
class Case:
    """Series beside or instead of those of health, and what the alert says of them.

    Attributes:
        series: what differs; None takes one away.
        says: the description.
        labels: of the alert, besides instance and severity.
        at: minutes after the start.
        instance: whether the alert says whose it is.
    """

    alert: str
    series: dict[str, str | None]
    says: str
    labels: dict[str, str] = field(default_factory=dict)
    at: int = 30
    instance: bool = True


def xid(code: int, action: str, meaning: str) -> str:
    return f'{GPU},xid="{code}",action="{action}",meaning="{meaning}"'


SERVER_ERROR = (
    f'llm_requests_total{{{HOST},job="llm",key="k",route="/v1/completions",outcome="server_error"}}'
)
SERVED = f'llm_last_served_timestamp_seconds{{{HOST},job="llm"}}'
STARTED = f'process_start_time_seconds{{{HOST},job="llm"}}'
CERTIFICATE = f'llm_certificate_expiry_timestamp_seconds{{{HOST},job="llm"}}'
UNWRITTEN = f'llm_ledger_unwritten_seconds{{{HOST},job="llm"}}'
WAITING = f'vllm:num_requests_waiting{{{HOST},job="llm",engine="0"}}'
UP = f'up{{{HOST},job="llm"}}'
#: Settings of whoever has budgets; the file has none.
PRICES = {"usd_an_hour": 60, "usd_a_day": 100, "usd_a_month": 150}
CASES = [
    Case(
        "LLMServerDown",
        {f'up{{{HOST},job="llm"}}': "1x20 0x10"},
        "one: no metrics, or the state unhealthy, for 2 minutes.",
        {"job": "llm"},
    ),
    Case(
        "LLMServerDown",
        {
            f'llm_state{{{HOST},job="llm",state="healthy"}}': "1x20 0x10",
            f'llm_state{{{HOST},job="llm",state="unhealthy"}}': "0x20 1x10",
        },
        "one: no metrics, or the state unhealthy, for 2 minutes.",
        {"job": "llm", "state": "unhealthy"},
    ),
    Case(
        "LLMServerStuck",
        # One scrape saw it, before systemd restarted the service.
        {f'llm_state{{{HOST},job="llm",state="stuck"}}': "0x28 1 0"},
        "one: the state was stuck within the last 2 minutes. systemd restarts the service.",
        {"job": "llm", "state": "stuck"},
    ),
    Case(
        "LLMServerNotReady",
        # Two minutes of service, six of a start, again and again.
        {f'llm_state{{{HOST},job="llm",state="healthy"}}': "1x20 " + "1x1 0x5 " * 8},
        "one: ready for 22.58% of the last 30 minutes.",
        {"job": "llm", "state": "healthy"},
        at=68,
    ),
    Case(
        "LLMErrorBudgetBurnsFast",
        {SERVER_ERROR: "0x19 0+10x60"},
        "one: 14.29% of the requests of the last hour failed.",
        at=LENGTH,
    ),
    Case(
        "LLMErrorBudgetBurnsFast",
        {f'llm_refused_total{{{HOST},job="llm",key="k",reason="loading"}}': "0x19 0+10x60"},
        "one: 14.36% of the requests of the last hour failed.",
        at=LENGTH,
    ),
    Case(
        "LLMErrorBudgetBurns",
        {SERVER_ERROR: "0+2.5x80"},
        "one: 4% of the requests of the last six hours failed.",
    ),
    Case(
        "LLMFirstTokenSlow",
        {f'vllm:time_to_first_token_seconds_bucket{{{HOST},job="llm",le="0.5"}}': "0+30x80"},
        "one: 95 % of the first tokens came within 4.55s, and not sooner.",
    ),
    Case(
        "LLMQueueLong",
        {WAITING: "0x10 40x20"},
        "one: 40 requests or more have waited at any moment of the last 5 minutes.",
    ),
    Case(
        "LLMRefusesForLoad",
        {f'llm_refused_total{{{HOST},job="llm",key="k",reason="full"}}': "0x5 0+6x25"},
        "one: about 60 requests got 429 in the last 10 minutes.",
    ),
    Case("LLMKVCacheFull", {WAITING: "0x10 1x20"}, "one: 97% of the KV cache is in use."),
    Case(
        "LLMKeyExpires",
        {f'llm_key_expiry_timestamp_seconds{{{HOST},job="llm",key="k"}}': "88200x80"},
        "one: the key k ends in 1d 0h 0m 0s.",
        {"job": "llm", "key": "k"},
    ),
    Case(
        "LLMIdle",
        # The tests' clock begins at 0: ten hours before that.
        {SERVED: "-36000x4500", STARTED: "-90000x4500"},
        "one: no request was answered for 1d 0h 10m 0s.",
        {"job": "llm"},
        at=14 * 60 + 10,
    ),
    Case(
        "LLMIdle",
        # An answer to an earlier process says nothing of this one; it has given none.
        {SERVED: None, STARTED: "-36000x4500"},
        "one: no request was answered for 1d 0h 10m 0s.",
        {"job": "llm"},
        at=14 * 60 + 10,
    ),
    Case(
        "LLMCertificateExpires",
        {CERTIFICATE: "88200x80"},
        "one: the certificate in force ends in 1d 0h 0m 0s.",
        {"job": "llm"},
    ),
    Case(
        "LLMCertificateExpires",
        {CERTIFICATE: "0x80"},
        "one: the certificate in force ends in -30m 0s.",
        {"job": "llm"},
    ),
    # It rested for most of an hour. A series is seen for five minutes after its last sample.
    Case(
        "LLMCostOverDailyBudget",
        {UP: "1x59 _x45 0x95"},
        "one: the last 24 hours cost 165.00 USD, by list price.",
        at=200,
    ),
    Case(
        "LLMCostOverMonthlyBudget",
        {UP: "1x220"},
        "one: the last 30 days cost 240.00 USD, by list price.",
        at=220,
    ),
    Case(
        "LLMUsageNotWritten",
        {UNWRITTEN: "0x10 0+60x30"},
        "one: usage has waited for 19m 0s. A restart would lose it.",
        {"job": "llm"},
    ),
    Case(
        "GPUDown",
        {f"llm_gpu_up{{{GPU}}}": "1x20 0x10"},
        "one: GPU 0 does not answer.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUDown",
        {f'llm_gpu_driver_up{{{HOST},job="gpu"}}': "1x20 0x10", f"llm_gpu_up{{{GPU}}}": None},
        "one: the driver does not answer.",
        {"job": "gpu"},
    ),
    Case(
        "GPUHot",
        {f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": "71x20 88x10"},
        "one: GPU 0 has 88 degrees Celsius.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUThrottled",
        {f'llm_gpu_throttled{{{GPU},reason="hw_thermal"}}': "0x5 1x25"},
        "one: GPU 0 was slowed down (hw_thermal) in 100% of the last 10 minutes.",
        {"job": "gpu", "gpu": "0", "reason": "hw_thermal"},
    ),
    Case(
        "GPUMemoryErrors",
        {f"DCGM_FI_DEV_ECC_DBE_VOL_TOTAL{{{GPU}}}": "0x29 2"},
        "one: GPU 0 had 2 since its driver was loaded.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUNeedsReset",
        {f"DCGM_FI_DEV_ROW_REMAP_PENDING{{{GPU}}}": "0x20 1x10"},
        "one: GPU 0 waits for a reset.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUNeedsReset",
        {f"DCGM_FI_DEV_RETIRED_PENDING{{{GPU}}}": "0x20 1x10"},
        "one: GPU 0 waits for a reset.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUMemoryWornOut",
        {f"DCGM_FI_DEV_ROW_REMAP_FAILURE{{{GPU}}}": "0x29 1"},
        "one: a row of GPU 0 could not be replaced.",
        {"job": "gpu", "gpu": "0"},
    ),
    Case(
        "GPUXidRecreate",
        {f"llm_gpu_xid_errors_total{{{xid(79, 'recreate elsewhere', 'a GPU off the bus')}}}": "1"},
        "one: Xid 79 on GPU 0, a GPU off the bus.",
        {
            "job": "gpu",
            "gpu": "0",
            "xid": "79",
            "action": "recreate elsewhere",
            "meaning": "a GPU off the bus",
        },
        at=0,
    ),
    Case(
        "GPUXidReset",
        {f"llm_gpu_xid_errors_total{{{xid(48, 'reset', 'an error in its memory')}}}": "1"},
        "one: Xid 48 on GPU 0, an error in its memory.",
        {
            "job": "gpu",
            "gpu": "0",
            "xid": "48",
            "action": "reset",
            "meaning": "an error in its memory",
        },
        at=0,
    ),
    Case(
        "GPUXidSeen",
        {f"llm_gpu_xid_timestamp_seconds{{{xid(13, 'go on', 'an exception')}}}": "900x80"},
        "one: Xid 13 on GPU 0, an exception, 15m 0s ago.",
        {"job": "gpu", "gpu": "0", "xid": "13", "action": "go on", "meaning": "an exception"},
    ),
    Case(
        "HostDiskFull",
        {f"node_filesystem_avail_bytes{{{ROOT_DISK}}}": f"{4 * GIB}x80"},
        "one: / has 4% left.",
        {"job": "node", "mountpoint": "/", "fstype": "ext4"},
    ),
    Case(
        "HostDiskFills",
        {f"node_filesystem_avail_bytes{{{ROOT_DISK}}}": f"{29 * GIB}-{GIB // 25}x80"},
        "one: / fills up.",
        {"job": "node", "mountpoint": "/", "fstype": "ext4"},
        at=LENGTH,
    ),
    Case(
        "HostMemoryLow",
        {f'node_memory_MemAvailable_bytes{{{HOST},job="node"}}': f"{GIB // 2}x80"},
        "one: 3.125% of the memory is left.",
        {"job": "node"},
    ),
    Case(
        "MetricsAbsent",
        {f'up{{{HOST},job="llm"}}': None},
        "There is no series of the job llm, or none of llm-objectives.yml.",
        {"job": "llm"},
        instance=False,
    ),
    Case(
        "EngineMetricsAbsent",
        {f'vllm:num_requests_running{{{HOST},job="llm",engine="0"}}': None},
        "one: alerts on latency, queue and KV cache can't fire.",
        {"job": "llm", "state": "healthy"},
    ),
    Case(
        "CollectorDown",
        {f'up{{{HOST},job="gpu"}}': "1x20 0x10"},
        "one: the job gpu does not answer. Where it is gpu, the driver may hang.",
        {"job": "gpu"},
    ),
    Case(
        "AlertsNotDelivered",
        {
            f'alertmanager_notifications_failed_total{{{HOST},job="alertmanager",'
            'integration="webhook"}': "0x2 0+1x40"
        },
        "one: webhook failed 15 times in 15 minutes.",
        {"integration": "webhook"},
    ),
    Case(
        "Watchdog",
        {},
        "This alert always fires. Whoever no longer hears it has lost the others too.",
        at=0,
        instance=False,
    ),
]


def series(changed: dict[str, str | None]) -> list[dict[str, str]]:
    merged = {**HEALTH, **changed}
    return [{"series": name, "values": value} for name, value in merged.items() if value]


def expected(case: Case) -> dict[str, Any]:
    rule = ALERTS[case.alert]
    labels = {**rule["labels"], **({"instance": "one"} if case.instance else {}), **case.labels}
    texts = {**rule["annotations"], "description": case.says}
    return {"exp_labels": labels, "exp_annotations": texts}


def one_test(case: Case) -> dict[str, Any]:
    wanted = {"eval_time": f"{case.at}m", "alertname": case.alert, "exp_alerts": [expected(case)]}
    return {
        "interval": "1m",
        "input_series": series(case.series),
        "alert_rule_test": [wanted],
        "name": case.alert,
    }


def in_health() -> dict[str, Any]:
    quiet = [
        {"eval_time": f"{at}m", "alertname": name, "exp_alerts": []}
        for name in sorted(set(ALERTS) - {"Watchdog"})
        for at in (20, LENGTH)
    ]
    return {"interval": "1m", "input_series": series({}), "alert_rule_test": quiet}


@pytest.fixture(scope="module")
def promtool() -> str:
    return debian.unpacked("prometheus", "promtool")


def run(
    promtool: str,
    folder: Path,
    tests: list[dict[str, Any]],
    prices: dict[str, float] = PRICES,
) -> str:
    """What promtool says of tests that fail, else nothing."""
    objectives = folder / OBJECTIVES.name
    text = OBJECTIVES.read_text()
    for name, value in prices.items():
        lines = f"record: llm:objective:{name}\n        expr: vector("
        assert f"{lines}0)" in text
        text = text.replace(f"{lines}0)", f"{lines}{value})")
    objectives.write_text(text)
    content = {
        "rule_files": [str(RULES), str(objectives)],
        "evaluation_interval": "1m",
        # Else in any order, and an alert would see what another group recorded a minute before.
        "group_eval_order": ["llm-objectives", *GROUPS],
        "tests": tests,
    }
    file = folder / "tests.yml"
    file.write_text(yaml.safe_dump(content))
    done = subprocess.run(
        [promtool, "test", "rules", file], capture_output=True, text=True, timeout=900, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def test_each_alert_fires_with_its_text(promtool: str, tmp_path: Path) -> None:
    assert {case.alert for case in CASES} == set(ALERTS)
    assert run(promtool, tmp_path, [one_test(case) for case in CASES]) == ""


def test_none_fires_in_health(promtool: str, tmp_path: Path) -> None:
    assert run(promtool, tmp_path, [in_health()]) == ""


@pytest.mark.parametrize("known", [{"usd_an_hour": 60}, {"usd_a_day": 1, "usd_a_month": 1}])
def test_without_price_and_budget_no_cost_is_too_high(
    promtool: str, tmp_path: Path, known: dict[str, float]
) -> None:
    names = ("LLMCostOverDailyBudget", "LLMCostOverMonthlyBudget")
    quiet = [{"eval_time": "200m", "alertname": name, "exp_alerts": []} for name in names]
    lasting = {"interval": "1m", "input_series": series({UP: "1x200"}), "alert_rule_test": quiet}
    assert run(promtool, tmp_path, [lasting], known) == ""


def test_a_failure_would_be_seen(promtool: str, tmp_path: Path) -> None:
    """The same, for a host that is not well."""
    sick = in_health()
    sick["input_series"] = series({f"DCGM_FI_DEV_GPU_TEMP{{{GPU}}}": "99x80"})
    assert "GPUHot" in run(promtool, tmp_path, [sick])


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_to_do(alert: str) -> None:
    rule = ALERTS[alert]
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    assert set(rule["annotations"]) == {"summary", "description", "docs", "command"}
    page, _, anchor = rule["annotations"]["docs"].partition("#")
    assert anchor == alert.lower()
    assert anchor in Page(ROOT, page).anchors
    for playbook in re.findall(r"playbooks/\S+\.yml", rule["annotations"]["command"]):
        assert (ROOT / playbook).is_file()


def test_prometheus_takes_what_the_page_shows(promtool: str, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (shown,) = re.findall(r"```yaml\n(rule_files:.*?)```", page, re.DOTALL)
    (agent,) = re.findall(r"```yaml\n(metrics:.*?)```", page, re.DOTALL)
    inner = yaml.safe_dump(yaml.safe_load(agent)["metrics"]["receivers"]["llm"]["config"])
    for file in (RULES, OBJECTIVES):
        (tmp_path / file.name).write_text(file.read_text())
    for key in ("llm_key", "metrics_key"):
        (tmp_path / key).write_text("a key of the tests")
    for text in (shown, inner):
        config = tmp_path / "prometheus.yml"
        config.write_text(re.sub("/etc/(prometheus|llm-server)", str(tmp_path), text))
        done = subprocess.run(
            [promtool, "check", "config", config],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
