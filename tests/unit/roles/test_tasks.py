# SPDX-License-Identifier: Apache-2.0
"""What single tasks of roles do, where no run in a test would show it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.support.role_values import ROOT, tasks, values

ROLES = sorted(path.parent.name for path in (ROOT / "roles").glob("*/tasks"))
SERVICE = "ansible.builtin.systemd_service"
TEMPLATES = ("ansible.builtin.template", "ansible.builtin.copy")


def named(role: str, file: str, name: str) -> dict[str, Any]:
    return next(one for one in tasks(role, file) if one.get("name") == name)


@pytest.mark.parametrize(
    ("address", "expected"), [("203.0.113.7", "203.0.113.7/32"), ("2001:db8::7", "2001:db8::7/128")]
)
def test_the_own_address_lets_in_nobody_else(address: str, expected: str) -> None:
    task = named("gce_network", "own_address.yml", "Use that address alone")
    [own] = task["ansible.builtin.set_fact"]["__gce_network_own_ranges"]
    told = {"ansible_facts": {"ipify_public_ip": address}}
    given = {"own": own, "__gce_network_ipify": told, **task["vars"]}
    assert values("gce_network", ["own"], **given) == [expected]


def test_who_may_come_by_ssh() -> None:
    task = named("gce_network", "main.yml", "Converge the firewall rules")
    given = {"__gce_network_own_ranges": ["203.0.113.7/32"], **task["vars"]}

    def ranges(iap: bool, *named: str) -> list[str]:
        more = {"gce_network_iap": iap, "gce_network_ssh_source_ranges": list(named)}
        [found] = values("gce_network", ["__gce_network_ssh_ranges"], **given, **more)
        return list(found)

    # Google's own addresses, from which IAP comes.
    assert ranges(True) == ["35.235.240.0/20"]
    assert ranges(True, "192.0.2.0/24") == ["192.0.2.0/24", "35.235.240.0/20"]
    assert ranges(False) == ["203.0.113.7/32"]


@pytest.mark.parametrize(
    ("settings", "taken"),
    [
        ({"gce_network_dashboard_port": 443}, True),
        ({"llm_api_port": "8080"}, True),
        ({"llm_api_port": "8080", "monitoring_dashboard_port": "8081"}, False),
        ({"llm_api_port": "8080", "monitoring_dashboard": False}, False),
    ],
)
def test_a_port_that_the_dashboard_cannot_have_is_told_before_anything_is_paid(
    settings: dict[str, Any], taken: bool
) -> None:
    more = {"monitoring_enabled": True, **settings}
    [task] = tasks("preflight", "settings.yml")
    check = "__preflight_checks | selectattr('name', 'equalto', 'monitoring_dashboard_port')"
    [early] = values("preflight", [f"{check} | first"], **task["vars"], **more)
    assert early["ok"] is not taken
    assert "monitoring_dashboard: false" in early["message"]
    # As the role that has the dashboard would say, later.
    if settings.get("monitoring_dashboard", True):
        name = "Refuse a dashboard that nobody could use, or that would give keys away"
        conditions = named("monitoring", "preflight.yml", name)["ansible.builtin.assert"]["that"]
        assert all(values("monitoring", conditions, **more)) is not taken


@pytest.mark.parametrize(("price", "passes"), [(0.0, False), (0.4, True)])
def test_a_budget_of_a_key_in_money_takes_a_price(price: float, passes: bool) -> None:
    task = named("llm_server", "preflight.yml", "Refuse budgets in money that nobody could keep")
    check = task["ansible.builtin.assert"]
    given = {
        "llm_server_keys": [{"name": "one", "sha256": "a" * 64, "usd_per_day": 5}],
        "llm_server_usd_per_million_tokens": price,
        **task["vars"],
    }
    message = check["fail_msg"].removeprefix("{{ ").removesuffix(" }}")
    found, said = values("llm_server", [check["that"], message], **given)
    assert found is passes
    assert ("usage.yml" in said) is not passes


#: Units that a task restarts whenever it comes to it, or may; each restart interrupts somebody.
RESTARTED = {
    ("gateway", "{{ __gateway_unit }}"),
    ("llm_server", "systemd-journald.service"),
    ("llm_server", "{{ __llm_server_idle_unit }}"),
    ("llm_server", "{{ __llm_server_preemption_unit }}"),
    ("llm_server", "{{ __llm_server_unit }}"),
    ("monitoring", "{{ __monitoring_dashboard_unit }}"),
    ("monitoring", "{{ __monitoring_gpu_unit }}"),
    ("monitoring", "{{ item.item.name }}.service"),
}


def test_nothing_else_is_restarted() -> None:
    """gpu-check.service, for one: the server requires it, and would be stopped."""
    found = {
        (role, one[SERVICE].get("name"))
        for role in ROLES
        for one in tasks(role)
        if "restarted" in str(one.get(SERVICE, {}).get("state"))
    }
    assert found == RESTARTED


def secrets(role: str) -> set[str]:
    spec = yaml.safe_load((ROOT / "roles" / role / "meta" / "argument_specs.yml").read_text())
    options = spec["argument_specs"]["main"].get("options", {})
    return {name for name, option in options.items() if option.get("no_log")}


@pytest.mark.parametrize("role", [role for role in ROLES if secrets(role)])
def test_what_is_written_with_a_secret_is_not_shown(role: str) -> None:
    folder = ROOT / "roles" / role / "templates"
    word = re.compile(rf"\b(?:{'|'.join(sorted(secrets(role)))})\b")
    for one in tasks(role):
        for module in TEMPLATES:
            if module not in one:
                continue
            text = str(one[module])
            source = folder / str(one[module].get("src"))
            text += source.read_text() if source.is_file() else ""
            if word.search(text):
                assert one.get("no_log") is True, one["name"]
