# SPDX-License-Identifier: Apache-2.0
"""Settings: what is accepted, and one clear message for each wrong field."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from llm_server.errors import ConfigError
from llm_server.settings import NO_EFFECT, load_settings

ROOT = Path(__file__).parents[3]
KEY = "k" * 32


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def good(tmp_path: Path, model: Path) -> dict[str, Any]:
    keys = tmp_path / "keys"
    keys.write_text(f"# the first\n{KEY}\n\n")
    return {"model_path": str(model), "served_model_name": "m", "access_file": str(keys)}


def write(tmp_path: Path, data: object) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    return path


def problems(tmp_path: Path, data: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_settings(write(tmp_path, data))
    return caught.value.messages


def test_defaults_are_safe(tmp_path: Path, good: dict[str, Any]) -> None:
    settings = load_settings(write(tmp_path, good))
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.api_key_required
    assert settings.vllm_args == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"port": 99999}, "port: Input should be less than or equal to 65535 (found 99999)"),
        ({"port": "8000"}, "port: Input should be a valid integer (found '8000')"),
        ({"model_path": "/no/such"}, "the folder /no/such does not exist"),
        ({"model_path": "/"}, "the folder / has no config.json"),
        ({"served_model_nam": "x"}, "served_model_nam: no such setting; did you mean served_model"),
        ({"xyzzy": 1}, "xyzzy: no such setting; drop it"),
        ({"log_level": "loud"}, "log_level: Input should be 'debug', 'info', 'warning' or 'error'"),
        ({"shutdown_timeout": -1}, "shutdown_timeout: Input should be greater than or equal to 0"),
        ({"api_key_required": "no"}, "api_key_required: Input should be a valid boolean"),
        ({"access_file": None}, "access_file: not set; name a file"),
        (
            {"vllm_args": {"swap_space": 4}},
            "swap_space was removed from vLLM; its successor is kv_",
        ),
        ({"vllm_args": {"--swap-space": 4}}, "its successor is kv_offloading_size"),
        ({"vllm_args": {"port": 1}}, "port is set by this server; use the setting port"),
        ({"vllm_args": {"api-key": "x"}}, "use the setting access_file"),
        ({"vllm_args": {"headless": True}}, "headless is set by this server and cannot be changed"),
        *(
            ({"vllm_args": {name: 1}}, f"{name} would have no effect: this server")
            for name in NO_EFFECT
        ),
        ({"vllm_args": ["dtype"]}, "vllm_args: Input should be a valid dictionary"),
    ],
)
def test_wrong_field(
    tmp_path: Path, good: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    found = problems(tmp_path, good | change)
    assert len(found) == 1, found
    assert message in found[0]


def test_every_wrong_field_is_named(tmp_path: Path, good: dict[str, Any]) -> None:
    wrong = good | {"port": 0, "nope": 1, "vllm_args": {"swap_space": 1, "model": "x"}}
    found = problems(tmp_path, wrong)
    assert sorted(line.split(":")[0] for line in found) == [
        "nope",
        "port",
        "vllm_args",
        "vllm_args",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keep_alive_timeout": 0}, "keep_alive_timeout: Input should be greater"),
        ({"root_path": "llm"}, "root_path: must be a path such as /llm, found 'llm'"),
        ({"root_path": "http://x/llm"}, "root_path: must be a path such as /llm"),
        ({"uds": "run/x"}, "uds: must be an absolute path"),
        ({"uds": "/" + "x" * 107}, "uds: a socket's path may have 107 bytes"),
        ({"ssl_keyfile": "/k"}, "ssl_keyfile: has no effect without ssl_certfile"),
        ({"ssl_cert_reqs": 2}, "ssl_cert_reqs: has no effect without ssl_certfile"),
        (
            {"ssl_certfile": "/c", "ssl_cert_reqs": 2},
            "ssl_cert_reqs: asks clients for certificates; set ssl_ca_certs too",
        ),
        ({"vllm_args": {"ssl_certfile": "/c"}}, "use the setting of the same name"),
        ({"vllm_args": {"enable_ssl_refresh": True}}, "when it gets SIGHUP"),
        ({"vllm_args": {"allowed-origins": "*"}}, "vllm_args: allowed_origins: "),
        ({"vllm_args": {"allow_credentials": "perhaps"}}, "vllm_args: allow_credentials: "),
    ],
)
def test_how_clients_reach_it(
    tmp_path: Path, good: dict[str, Any], change: dict[str, Any], message: str
) -> None:
    (found,) = problems(tmp_path, good | change)
    assert message in found


def test_what_vllm_calls_otherwise_is_named(
    tmp_path: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLLM_HTTP_TIMEOUT_KEEP_ALIVE", "75")
    (found,) = problems(tmp_path, good)
    assert "use the setting keep_alive_timeout" in found


def test_a_stream_speaks_by_default_as_often_as_proxies_ask(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    for given, seconds in ((None, 15), (0, 0), (40, 40)):
        vllm_args = {} if given is None else {"--sse-keep-alive-interval": given}
        settings = load_settings(write(tmp_path, good | {"vllm_args": vllm_args}))
        assert settings.stream_keep_alive == seconds
        assert settings.keep_alive_timeout > 600, "longer than Google's load balancer"


def test_a_certificate_that_does_not_fit_ends_the_check(
    tmp_path: Path, good: dict[str, Any]
) -> None:
    path = write(tmp_path, good | {"ssl_certfile": str(tmp_path / "none.pem")})
    Path(good["access_file"]).write_text(f"keys: [{{name: k, sha256: '{'0' * 64}'}}]")
    done = subprocess.run(
        [sys.executable, "-m", "llm_server", "--config", str(path), "--check-config"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("none.pem cannot be read: No such file or directory")


def test_missing_fields(tmp_path: Path) -> None:
    assert problems(tmp_path, {}) == [
        "model_path: must be set",
        "served_model_name: must be set",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "is not valid YAML (line"),
        ("", "must be a mapping of settings, found NoneType"),
        ("- a", "must be a mapping of settings, found list"),
    ],
)
def test_not_settings(tmp_path: Path, text: str, message: str) -> None:
    (found,) = problems(tmp_path, text)
    assert message in found


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load_settings(tmp_path / "absent.yaml")


def test_check_config_says_all_and_exits_2(tmp_path: Path, good: dict[str, Any]) -> None:
    path = write(tmp_path, good | {"port": 0, "prot": 1})
    done = subprocess.run(
        [sys.executable, "-m", "llm_server", "--config", str(path), "--check-config"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert sorted(line.split(": ")[1] for line in done.stderr.splitlines()) == ["port", "prot"]


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ({}, False),
        ({"enforce_eager": True}, True),
        ({"--enforce-eager": True}, True),
        ({"enforce_eager": False}, False),
        ({"enforce_eager": "yes"}, False),
    ],
)
def test_whether_anything_may_be_compiled(
    tmp_path: Path, good: dict[str, Any], args: dict[str, Any], expected: bool
) -> None:
    settings = load_settings(write(tmp_path, good | {"vllm_args": args}))
    assert settings.enforce_eager is expected


@pytest.mark.parametrize("name", ["disable_log_stats", "--disable-log-stats"])
def test_what_would_blind_the_watchdog_is_refused(
    tmp_path: Path, good: dict[str, Any], name: str
) -> None:
    for value in (False, None):
        assert load_settings(write(tmp_path, good | {"vllm_args": {name: value}})).port == 8000
    [message] = problems(tmp_path, good | {"vllm_args": {name: True}})
    assert message.startswith(f"vllm_args: {name} cannot be on: a step at a long prompt")


def test_what_would_undo_the_limits_is_refused(
    tmp_path: Path, good: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for value in ("", "0"):
        monkeypatch.setenv("VLLM_ENABLE_RESPONSES_API_STORE", value)
        assert load_settings(write(tmp_path, good)).port == 8000
    monkeypatch.setenv("VLLM_ENABLE_RESPONSES_API_STORE", "1")
    [message] = problems(tmp_path, good)
    assert message.startswith("VLLM_ENABLE_RESPONSES_API_STORE: vLLM would keep every answer")
    assert "llm_server_environment" in message
