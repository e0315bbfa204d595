# SPDX-License-Identifier: Apache-2.0
"""What is wrong with the settings of the role gce_network, before anybody is asked. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .ranges import opens_world, problems

SSH_PORT = 22
# Each with whether the API key counts for what it lets in.
SOURCES = {
    "gce_network_api_source_ranges": True,
    "gce_network_ssh_source_ranges": False,
    "gce_network_dashboard_source_ranges": True,
}
SUBNETWORK = "gce_network_subnetwork_range"


def setting_problems(settings: Mapping[str, Any], key_off: bool) -> list[str]:
    """All that is wrong, a message each.

    Args:
        settings: the role's variables by name.
        key_off: whether some server asks for no key.
    """
    ranges = {name: settings[name] for name in SOURCES} | {SUBNETWORK: [settings[SUBNETWORK]]}
    found: list[str] = []
    for name, texts in ranges.items():
        wrong = problems(texts, name)
        found += wrong
        if not wrong and name in SOURCES and opens_world(texts):
            found += _everybody(name, texts, key_off and SOURCES[name], settings)
    return found + _ports(settings) + _network(settings)


def _everybody(
    name: str, texts: list[str], without_key: bool, settings: Mapping[str, Any]
) -> list[str]:
    means = f"{name} ({', '.join(texts)}) means everybody on the internet"
    if without_key:
        return [
            f"{means}, and the API key is off (llm_server_api_key_required: false), so anybody "
            "could use the GPU at your cost. That is refused even with gce_network_allow_world. "
            "Switch the key on again, or name the addresses that need it."
        ]
    if settings["gce_network_allow_world"]:
        return []
    return [
        f"{means}. Name the addresses that need it, or set gce_network_allow_world: true if you "
        "mean it."
    ]


def _ports(settings: Mapping[str, Any]) -> list[str]:
    api, dashboard = settings["gce_network_api_port"], settings["gce_network_dashboard_port"]
    api_wanted = "a port from 1 to 65535 other than SSH's (22)"
    dashboard_wanted = (
        f"a port from 1 to 65535 other than the API's ({api}) and SSH's (22), or 0 for no dashboard"
    )
    asked: list[tuple[str, Any, Callable[[int], bool], str]] = [
        ("llm_api_port", api, lambda port: 0 < port < 65536 and port != SSH_PORT, api_wanted),
        (
            "gce_network_dashboard_port",
            dashboard,
            lambda port: port == 0 or (port < 65536 and port not in (_number(api), SSH_PORT)),
            dashboard_wanted,
        ),
    ]
    return [
        f"{name} is {value}. Give {wanted}."
        for name, value, fits, wanted in asked
        if (number := _number(value)) is None or not fits(number)
    ]


def _number(port: Any) -> int | None:
    text = str(port)
    return int(text) if text.isascii() and text.isdigit() else None


def _network(settings: Mapping[str, Any]) -> list[str]:
    if not settings["gce_network_create"] or settings["gce_network_name"] != "default":
        return []
    return [
        "gce_network_create is on, and gce_network_name is 'default', which is Google's. "
        "Leave gce_network_name out, or choose another name."
    ]
