# SPDX-License-Identifier: Apache-2.0
"""What the role llm_server writes on a host says what its variables say."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_server.__main__ import EXIT_CONFIG
from llm_server.keys.access import load_access
from llm_server.settings import Settings

from tests.support.role_values import directives, file, files, values

HOST: dict[str, Any] = {
    "llm_model": "org/tiny",
    "llm_server_model_path": "/mnt/disks/one%20two/models/tiny",
    "llm_server_shutdown_timeout": 300,
    "llm_server_idle_stop_minutes": 45,
    "ansible_facts": {"systemd": {"version": 255}},
    "__llm_server_real": {"stdout": "/opt/vllm/releases/one"},
}
UNITS = ("llm-server.service", "llm-server-preemption.service", "llm-server-idle.service")


@pytest.fixture(scope="module")
def written() -> list[Any]:
    """The units, the rules for the metadata server, and the environment of the server."""
    expressions = [*map(file, (*UNITS, "metadata.nft.j2")), "__llm_server_full_environment"]
    return values("llm_server", expressions, **HOST)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        # Wrong settings are no better at the next start.
        ("RestartPreventExitStatus", str(EXIT_CONFIG)),
        # After a reboot the disk with the model is there first.
        ("RequiresMountsFor", '"/mnt/disks/one%%20two/models/tiny"'),
        # The engine goes on while the server lets requests finish, for as long as it may take.
        ("KillMode", "mixed"),
        ("TimeoutStopSec", "330"),
        ("Type", "notify"),
        ("Restart", "on-failure"),
        # A model is data of others, and what loads it may have faults.
        ("User", "llm-server"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("ProtectHome", "yes"),
        ("UMask", "0077"),
        ("ExecStartPre", "+/usr/sbin/nft -f /etc/llm-server/metadata.nft"),
    ],
)
def test_service(written: list[Any], name: str, value: str) -> None:
    assert directives(written[0])[name] == [value]


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        # They run as root: with no other power, and with nobody to talk to but one address.
        ("IPAddressDeny", "any"),
        ("IPAddressAllow", "169.254.169.254"),
        ("NoNewPrivileges", "yes"),
        ("CapabilityBoundingSet", ""),
        ("ProtectSystem", "strict"),
        ("WantedBy", "llm-server.service"),
    ],
)
def test_watchers(written: list[Any], number: int, name: str, value: str) -> None:
    assert directives(written[number])[name] == [value]


def test_nothing_of_the_engine_goes_to_others(written: list[Any]) -> None:
    rules, environment = written[-2:]
    # The metadata server, over both protocols.
    for address in ("ip daddr 169.254.169.254", "ip6 daddr fd20:ce::254"):
        for protocol in ("tcp", "udp"):
            assert f'skuid "llm-server" {address} {protocol} dport != 53 reject' in rules
    # Neither the hub, nor vLLM's makers, nor an address that an image's leads on to.
    assert environment["HF_HUB_OFFLINE"] == environment["VLLM_NO_USAGE_STATS"] == "1"
    assert environment["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
    # Nor the network, by what the engine's processes say to each other.
    assert environment["VLLM_HOST_IP"] == "127.0.0.1"
    for name in ("GLOO", "NCCL", "TP"):
        assert environment[f"{name}_SOCKET_IFNAME"] == "lo"


def test_keys_open_what_they_are_to_open_and_end(tmp_path: Path) -> None:
    given = [
        {"name": "one", "key": "k" * 20, "scope": "inference", "expires": "2027-01-31"},
        {
            "name": "two",
            "sha256": "a" * 64,
            "tokens_per_day": 7,
            "usd_per_month": 5,
            "requests_per_minute": 3,
        },
    ]
    limits = {"max_requests": 5, "max_body_bytes": None}
    [text] = files(
        "llm_server",
        ["access.yaml.j2"],
        **HOST,
        llm_server_api_keys=["o" * 20],
        llm_server_keys=given,
        llm_server_usd_per_million_tokens=0.4,
        llm_server_limits=limits,
    )
    path = tmp_path / "access.yaml"
    path.write_text(text)
    access = load_access(path, keys_needed=True)
    default, one, two = access.keys
    assert default.sha256 == hashlib.sha256(b"o" * 20).hexdigest()
    assert (one.sha256, one.scope) == (hashlib.sha256(b"k" * 20).hexdigest(), "inference")
    assert one.expires is not None and one.expires.isoformat() == "2027-02-01T00:00:00+00:00"
    assert (two.sha256, two.scope, two.expires) == ("a" * 64, "all", None)
    assert (one.tokens_per_month, two.tokens_per_month) == (None, 12_500_000)
    assert (two.tokens_per_day, two.requests_per_minute, two.tokens_per_minute) == (7, 3, None)
    assert access.limits.max_requests == 5


#: Variables, each with another value than its default, and the setting that each is.
SETTINGS = {
    "llm_server_host": ("127.0.0.9", "host"),
    "llm_server_port": (8111, "port"),
    "llm_server_model_name": ("tiny", "served_model_name"),
    "llm_server_api_key_required": (False, "api_key_required"),
    "llm_server_log_level": ("warning", "log_level"),
    "llm_server_log_content": (True, "log_content"),
    "llm_server_trusted_proxies": (["192.0.2.1"], "trusted_proxies"),
    "llm_server_stall_timeout": (33, "stall_timeout"),
    "llm_server_keep_alive_timeout": (44, "keep_alive_timeout"),
    "llm_server_root_path": ("/llm", "root_path"),
    "llm_server_usage_days": (55, "ledger_days"),
    "llm_server_shutdown_timeout": (66, "shutdown_timeout"),
    "llm_server_start": ("plain", "start"),
    "llm_server_start_method": ("spawn", "start_method"),
    "llm_server_warm_up_requests": (3, "warm_up_requests"),
    "llm_server_warm_up_timeout": (77, "warm_up_timeout"),
    "llm_server_tls_ciphers": ("ECDHE", "ssl_ciphers"),
}


def test_each_variable_of_the_server_has_its_effect(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    given = {name: value for name, (value, _) in SETTINGS.items()}
    more = {
        "llm_server_model_path": str(tmp_path),
        "llm_server_tls_certificate": "one.pem",
        "llm_server_vllm_args": {"max-model-len": 2048},
    }
    [text] = files("llm_server", ["settings.yaml.j2"], **HOST | given | more)
    found = Settings.model_validate(yaml.safe_load(text)).model_dump(mode="json")
    for name, (value, setting) in SETTINGS.items():
        assert found[setting] == value, name
    assert found["model_path"] == str(tmp_path)
    assert found["vllm_args"]["max-model-len"] == 2048
    # To vLLM an empty list is every domain.
    assert found["vllm_args"]["allowed_media_domains"] == ["only-data-urls.invalid"]
