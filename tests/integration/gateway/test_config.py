# SPDX-License-Identifier: Apache-2.0
"""Caddy takes each configuration that the role's variables make; what it would not take is told."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Gateway
from tests.support.role_values import each

NAME = "llm.example.org"
OWN = {"gateway_tls": "acme", "gateway_acme_directory": "https://ca.example.org/acme/directory"}


def signed(folder: Path, name: str) -> Path:
    """A certificate that signs itself, with its key."""
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", f"/CN={NAME}", "-keyout", folder / "key", "-out", folder / "pem"]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    (folder / name).write_text((folder / "pem").read_text() + (folder / "key").read_text())
    return folder / name


def made(tmp_path: Path, **settings: Any) -> dict[str, Any]:
    """What Caddy makes of the configuration, which it has taken whole."""
    gateway = Gateway(tmp_path, **{"gateway_hostname": NAME, "gateway_port": 443} | settings)
    gateway.configure()
    checked = gateway.run("validate")
    assert checked.returncode == 0, checked.stderr
    assert '"level":"error"' not in checked.stderr
    found: dict[str, Any] = json.loads(gateway.run("adapt").stdout)
    return found


def policies(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config["apps"]["tls"]["automation"]["policies"])


def test_acme_asks_one_authority_by_port_80(tmp_path: Path) -> None:
    mail = {"gateway_acme_email": "ops@example.org"}
    config = made(tmp_path, gateway_tls="acme", __gateway_http_port=80, **mail)
    [policy] = policies(config)
    [issuer] = policy["issuers"]
    assert policy["subjects"] == [NAME]
    assert issuer["ca"] == "https://acme-v02.api.letsencrypt.org/directory"
    assert issuer["email"] == "ops@example.org"
    assert issuer["challenges"]["tls-alpn"]["disabled"] is True
    assert issuer["challenges"]["http"]["alternate_port"] == 80
    # With redirects: a client that asks at port 80 learns where it is.
    assert "automatic_https" not in config["apps"]["http"]["servers"]["srv0"]


def test_acme_of_a_private_authority(tmp_path: Path) -> None:
    root = str(signed(tmp_path, "ca.pem"))
    more = {"gateway_acme_ca_file": "ca.pem", "__gateway_acme_ca": root}
    [policy] = policies(made(tmp_path, **OWN, **more))
    [issuer] = policy["issuers"]
    assert issuer["ca"] == OWN["gateway_acme_directory"]
    assert issuer["trusted_roots_pem_files"] == [root]


@pytest.mark.parametrize("name", [NAME, "203.0.113.7", "2001:db8::7"])
def test_internal_asks_nobody(tmp_path: Path, name: str) -> None:
    config = made(tmp_path, gateway_tls="internal", gateway_hostname=name)
    [policy] = policies(config)
    assert (policy["subjects"], policy["issuers"]) == ([name], [{"module": "internal"}])
    [server] = config["apps"]["http"]["servers"].values()
    assert server["listen"] == [":443"]
    assert server["automatic_https"] == {"disable_redirects": True}


def test_files_ask_nobody(tmp_path: Path) -> None:
    own = signed(tmp_path, "tls.pem")
    config = made(tmp_path, gateway_tls="files")
    tls = config["apps"]["tls"]
    assert "automation" not in tls
    [pair] = tls["certificates"]["load_files"]
    assert (pair["certificate"], pair["key"]) == (str(own), str(own))
    [server] = config["apps"]["http"]["servers"].values()
    assert server["automatic_https"] == {"disable": True}


def test_only_its_own_socket_administers_it(tmp_path: Path) -> None:
    config = made(tmp_path, gateway_tls="internal", gateway_trusted_proxies=["35.191.0.0/16"])
    assert config["admin"]["listen"] == f"unix/{tmp_path}/admin.sock"
    assert config["admin"]["config"] == {"persist": False}
    [server] = config["apps"]["http"]["servers"].values()
    assert server["protocols"] == ["h1", "h2"]
    assert server["trusted_proxies"] == {"ranges": ["35.191.0.0/16"], "source": "static"}
    assert server["trusted_proxies_strict"] == 1
    assert server["idle_timeout"] == 620 * 10**9


CASES: list[tuple[dict[str, Any], str | None]] = [
    ({}, None),
    ({"gateway_hostname": "127.0.0.1", "gateway_tls": "internal"}, None),
    ({"gateway_hostname": "2001:db8::7", "gateway_tls": "internal"}, None),
    ({"gateway_tls": "files", "gateway_certificate": "/a.pem"}, None),
    (OWN, None),
    ({"gateway_extra_paths": ["/v1/other", "/v1/more/*"], "gateway_port": "8443"}, None),
    ({"gateway_hostname": ""}, "gateway_hostname is ''"),
    ({"gateway_hostname": "https://llm.example.org"}, "without scheme and port"),
    ({"gateway_hostname": "llm.example.org:443"}, "without scheme and port"),
    ({"gateway_hostname": "a b"}, "without scheme and port"),
    ({"gateway_hostname": "127.0.0.1"}, "no name that a public authority would sign"),
    ({"gateway_hostname": "llm"}, "no name that a public authority would sign"),
    ({"gateway_tls": "off"}, "gateway_tls is 'off'"),
    ({"gateway_tls": "files"}, "gateway_certificate is empty"),
    ({"gateway_acme_directory": "http://ca/"}, "gateway_acme_directory is 'http://ca/'"),
    ({"gateway_acme_email": "ops"}, "gateway_acme_email is 'ops'"),
    ({"gateway_port": 8000}, "gateway_port is 8000"),
    ({"gateway_port": 22}, "gateway_port is 22"),
    ({"gateway_port": 70000}, "gateway_port is 70000"),
    ({"gateway_extra_paths": ["v1/other"]}, "gateway_extra_paths is v1/other"),
    ({"gateway_extra_paths": ["/a {"]}, "gateway_extra_paths is /a {"),
    ({"gateway_trusted_proxies": ["everybody"]}, "gateway_trusted_proxies is everybody"),
    ({"gateway_drain_seconds": 0}, "gateway_drain_seconds (0)"),
]


def test_what_is_refused() -> None:
    wrong = "__gateway_checks | rejectattr('ok') | map(attribute='message') | list"
    rows = [{"gateway_hostname": NAME} | settings for settings, _ in CASES]
    for found, (settings, told) in zip(each("gateway", wrong, rows), CASES, strict=True):
        assert bool(found) == (told is not None), settings
        assert told is None or told in "\n".join(found), found
