# SPDX-License-Identifier: Apache-2.0
"""Hosts with GPUs of two kinds, and what of them vLLM gets to see."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_health, gpu_probe
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import build_choice

from tests.unit.plugins.test_broken_hosts import FABRIC, UUID, RecordedHost, answering

FIRST, SECOND = (f"{UUID[:-1]}{n}" for n in (1, 2))
NAME = "NVIDIA H100 80GB HBM3"
QUERY = ("nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv,noheader")


def two(second: str, capability: str) -> RecordedHost:
    """The recorded pair of H100, with another GPU in the second's place."""
    head, tail = FABRIC.rsplit(NAME, 1)
    host = answering(head + second + tail)
    told = f"{FIRST}, 9.0\n{SECOND}, {capability}\n"
    host.commands = {**host.commands, QUERY: (0, told, "")}
    return host


def facts(host: RecordedHost, **needs: Any) -> dict[str, Any]:
    return gpu_probe.collect(host, needs=gpu_health.Needs(**needs))


def test_one_that_is_too_old_is_hidden_and_not_a_reason_for_another_machine() -> None:
    host = two("NVIDIA T1000", "6.1")
    (sentence,) = facts(host, capability="7.5", count=1)["problems"]
    assert f"llm_server_environment: {{CUDA_VISIBLE_DEVICES: {FIRST}}}" in sentence
    assert "T1000 6.1" in sentence and "Choose another machine type" not in sentence
    found = facts(host, capability="7.5", count=1, visible=FIRST)
    assert (found["problems"], found["visible"]) == ([], [FIRST])
    # Enough of them have to be left.
    (sentence,) = facts(host, capability="7.5", count=2)["problems"]
    assert "Choose another machine type" in sentence


def test_the_choice_of_a_build_says_so_too() -> None:
    gpus = [
        {"uuid": FIRST, "name": NAME, "compute_capability": "9.0"},
        {"uuid": SECOND, "name": "NVIDIA T1000", "compute_capability": "6.1"},
    ]
    seen = build_choice.Seen(driver="580.95.05", gpus=gpus, python="3.12", machine="x86_64")
    (reason,) = build_choice.choose(seen).reasons
    assert f"llm_server_environment: {{CUDA_VISIBLE_DEVICES: {FIRST}}}" in reason
    assert "Choose another machine type" not in reason
    only = build_choice.Seen(driver="580.95.05", gpus=gpus[1:], python="3.12", machine="x86_64")
    (reason,) = build_choice.choose(only).reasons
    assert "Choose another machine type" in reason


def test_two_that_both_run_it_are_told() -> None:
    found = facts(two("Tesla T4", "7.5"), capability="7.5", count=2)
    assert found["problems"] == []
    (told,) = found["findings"]
    assert (told["kind"], told["gpu"], told["action"]) == ("kinds", "", "go on")
    assert f"2 kinds of GPU ({NAME}, Tesla T4)" in told["text"]
    alone = facts(two("Tesla T4", "7.5"), capability="7.5", count=1, visible=FIRST)
    assert alone["findings"] == []
    assert facts(two(NAME, "9.0"), count=2)["findings"] == []


def test_what_ails_a_gpu_that_vllm_does_not_see_is_no_obstacle() -> None:
    head, tail = FABRIC.rsplit("remapped_row_failure>No<", 1)
    host = answering(f"{head}remapped_row_failure>Yes<{tail}")
    assert "no spare rows" in facts(host, count=1)["problems"][0]
    found = facts(host, count=1, visible=FIRST)
    assert found["problems"] == []
    assert [one["kind"] for one in found["findings"]] == ["remap failure"]


@pytest.mark.parametrize(
    ("asked", "left"),
    [
        ("", [FIRST, SECOND]),
        (SECOND, [SECOND]),
        (f"{SECOND}, {FIRST}", [FIRST, SECOND]),
        # As numbers they go by speed, which is no order where all are of one kind.
        ("1", [SECOND]),
        ("0,1", [FIRST, SECOND]),
    ],
)
def test_which_are_visible(asked: str, left: list[str]) -> None:
    assert facts(answering(FABRIC), visible=asked)["visible"] == left


def test_numbers_tell_nothing_of_two_kinds() -> None:
    assert facts(two("Tesla T4", "7.5"), visible="0")["visible"] == [FIRST, SECOND]


@pytest.mark.parametrize("asked", ["GPU-ffff", "7", f"{FIRST},GPU-ffff"])
def test_a_name_of_none_is_told(asked: str) -> None:
    (sentence,) = facts(answering(FABRIC), count=1, visible=asked)["problems"]
    assert f"CUDA_VISIBLE_DEVICES is {asked}" in sentence
    assert f"{FIRST} ({NAME})" in sentence


MIG = "MIG-5c89852c-d268-c3f3-1b07-005d5ae1dc3f"


def split() -> RecordedHost:
    """The recorded pair, the second one split into two instances."""
    head, tail = FABRIC.rsplit("<current_mig>Disabled", 1)
    tail = tail.replace("<pending_mig>Disabled", "<pending_mig>Enabled", 1)
    listed = "".join(
        f"<mig_device><index>{n}</index><fb_memory_usage><total>40000 MiB</total>"
        "</fb_memory_usage></mig_device>"
        for n in range(2)
    )
    at = tail.index("<mig_devices>")
    end = tail.index("</mig_devices>")
    return answering(f"{head}<current_mig>Enabled{tail[:at]}<mig_devices>{listed}{tail[end:]}")


@pytest.mark.parametrize("asked", [MIG, f"MIG-{SECOND}/1/0"])
def test_an_instance_of_a_gpu_stands_for_the_gpu_that_is_split(asked: str) -> None:
    (sentence,) = facts(split(), count=2)["problems"]
    assert "is split into 2 MIG instances" in sentence
    assert "or set CUDA_VISIBLE_DEVICES to one" in sentence
    # It is set, so nothing is left to be told.
    found = facts(split(), capability="7.5", count=1, visible=asked)
    assert (found["problems"], found["visible"]) == ([], [SECOND])


def test_an_instance_where_no_gpu_is_split() -> None:
    (sentence,) = facts(answering(FABRIC), count=1, visible=MIG)["problems"]
    assert f"the host has no GPU {MIG}" in sentence
