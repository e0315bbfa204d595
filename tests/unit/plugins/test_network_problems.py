# SPDX-License-Identifier: Apache-2.0
"""What the role gce_network refuses of its settings."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.network import setting_problems

API, SSH, DASHBOARD = (f"gce_network_{one}_source_ranges" for one in ("api", "ssh", "dashboard"))
GOOD: dict[str, Any] = {
    API: ["203.0.113.7"],
    SSH: [],
    DASHBOARD: ["2001:db8::/32"],
    "gce_network_subnetwork_range": "10.0.0.0/20",
    "gce_network_allow_world": False,
    "gce_network_api_port": 8000,
    "gce_network_dashboard_port": 0,
    "gce_network_create": False,
    "gce_network_name": "default",
}
WORLD = ["0.0.0.0/1", "128.0.0.0/1"]
MEANT = {"gce_network_allow_world": True}


def found(key_off: bool = False, **changes: Any) -> list[str]:
    return setting_problems.setting_problems(GOOD | changes, key_off)


@pytest.mark.parametrize(
    ("changes", "key_off"),
    [
        ({}, False),
        ({}, True),
        ({API: WORLD, DASHBOARD: WORLD, SSH: WORLD, **MEANT}, False),
        # SSH has keys of its own.
        ({SSH: WORLD, **MEANT}, True),
        ({"gce_network_api_port": "65535", "gce_network_dashboard_port": "1"}, False),
        ({"gce_network_create": True, "gce_network_name": "llm"}, False),
    ],
)
def test_right(changes: dict[str, Any], key_off: bool) -> None:
    assert found(key_off, **changes) == []


@pytest.mark.parametrize(
    ("changes", "key_off", "said"),
    [
        *(
            ({name: WORLD}, off, f"{name} (0.0.0.0/1, 128.0.0.0/1) means everybody")
            for name in (API, SSH, DASHBOARD)
            for off in (False, True)
        ),
        *(({name: ["::/0"], **MEANT}, True, "refused even with") for name in (API, DASHBOARD)),
        ({API: ["203.0.113.7/24"]}, False, f"{API} has '203.0.113.7/24', whose address has bits"),
        ({SSH: ["home"]}, False, f"{SSH} has 'home', which is not an address range"),
        ({DASHBOARD: "10.0.0.0/8"}, False, f"{DASHBOARD} is the text '10.0.0.0/8', not a list"),
        ({"gce_network_subnetwork_range": "10.0.0.1/20"}, False, "gce_network_subnetwork_range"),
        *(
            ({"gce_network_api_port": port}, False, f"llm_api_port is {port}. Give a port from 1")
            for port in (0, 22, 65536, -1, "http", "", "8000 ", 80.5, None, "²")
        ),
        *(
            (
                {"gce_network_dashboard_port": port},
                False,
                f"gce_network_dashboard_port is {port}. Give a port from 1 to 65535 other than the "
                "API's (8000) and SSH's (22), or 0 for no dashboard.",
            )
            for port in (22, 8000, "8000", 65536, -1, "x")
        ),
        ({"gce_network_create": True}, False, "gce_network_name is 'default', which is Google's"),
    ],
)
def test_refused(changes: dict[str, Any], key_off: bool, said: str) -> None:
    messages = found(key_off, **changes)
    assert len(messages) == 1
    assert said in messages[0]


def test_a_key_that_is_off_is_told_rather_than_a_way_to_open_it_wider() -> None:
    (message,) = found(True, **{API: WORLD})
    assert "the API key is off" in message
    assert "allow_world: true" not in message


def test_all_is_told_at_once() -> None:
    messages = found(
        **{API: ["x"], SSH: WORLD, "gce_network_api_port": 0, "gce_network_create": True}
    )
    assert len(messages) == 4
