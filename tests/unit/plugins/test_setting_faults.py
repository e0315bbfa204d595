# SPDX-License-Identifier: Apache-2.0
"""Settings that would fail later, by table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter.setting_faults import setting_faults
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import (
    engine_arg_names,
    serve_arg_names,
)

LOCKS = ["/r/vllm-0.32.0-cpu-py311.txt", "/r/vllm-0.32.0-cu130-py312.txt", "/r/uv.txt"]
GOOD: dict[str, Any] = {"version": "0.32.0", "build": "cu130", "locks": LOCKS}


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"build": ""},
        {"build": "auto"},
        {"version": "9.9.9", "lock": "/my/lock.txt"},
        {"vllm_args": {"max_model_len": 1, "--enforce-eager": True, "no_enable_log_requests": 1}},
        {"vllm_args": {"speculative_config.method": "ngram"}},
        {"version": "0.34.0", "lock": "x", "vllm_args": {"an_option_of_a_later_release": 1}},
        {"version": "0.33.0", "lock": "x", "vllm_args": {"watchdog_config.timeout": 60}},
        {"schedule": {"start": "0 8 * * 1-5", "stop": "0 19 * * 1-5"}},
    ],
)
def test_nothing_is_wrong(changed: dict[str, Any]) -> None:
    assert setting_faults(GOOD | changed) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"version": "0.99.0"}, "no lock for vLLM 0.99.0, build cu130. There are locks for 0.32.0"),
        ({"build": "cu126"}, "no lock for vLLM 0.32.0, build cu126"),
        ({"vllm_args": {"max_modellen": 1}}, "Did you mean max_model_len"),
        ({"vllm_args": {"--max-modellen": 1}}, "'--max-modellen', which vLLM 0.32.0 does not know"),
        ({"vllm_args": {"watchdog_config": {}}}, "'watchdog_config', which vLLM 0.32.0 does not"),
        (
            {"version": "0.33.0", "lock": "x", "vllm_args": {"watchdog_confg": {}}},
            "which vLLM 0.33.0 does not know. Did you mean watchdog_config",
        ),
        ({"schedule": {"start": "0 8 * * *"}}, "needs start and stop"),
        ({"schedule": {"start": "0 8 * * 8-9", "stop": "0 9 * * *"}}, "gce_instance_schedule: "),
        (
            {"schedule": {"start": "0 8 * * *", "stop": "0 9 * * *", "time_zone": "Europe/Berln"}},
            "Europe/Berlin",
        ),
    ],
)
def test_each_fault(changed: dict[str, Any], said: str) -> None:
    [fault] = setting_faults(GOOD | changed)
    assert said in fault


def test_all_faults_are_told_at_once() -> None:
    wrong = {"version": "0.32.1", "schedule": {"start": "x"}, "vllm_args": {}}
    assert len(setting_faults(GOOD | wrong)) == 2
    both = {"vllm_args": {"a_b_c": 1, "max_modellen": 1}}
    assert len(setting_faults(GOOD | both)) == 2


def test_what_the_plan_counts_exists() -> None:
    assert engine_arg_names.COUNTED <= serve_arg_names.NAMES
    assert serve_arg_names.RELEASE == engine_arg_names.NEWEST


def test_options_of_another_release_are_those_of_its_record() -> None:
    """What differs from 0.32.0 in `tests/vllm_release --record`, which reads vLLM's sources."""
    folder = Path(__file__).parents[2] / "fixtures" / "vllm_names"
    records = {
        release: set(json.loads((folder / f"{release}.json").read_text())["options"])
        for release in serve_arg_names.OPTIONS
    }
    base = records.pop(serve_arg_names.RELEASE)
    for release, options in records.items():
        found = serve_arg_names.OPTIONS[release]
        assert found - serve_arg_names.NAMES == options - base
        assert serve_arg_names.NAMES - found == base - options
