# SPDX-License-Identifier: Apache-2.0
"""The role's files on their way to the host: checked, written, refused and kept, removed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.gateway import caddy
from tests.support.playbook_runs import ansible_playbook

NAME = "llm.example.org"


def make(folder: Path, name: str, names: str) -> dict[str, str]:
    """A certificate that signs itself, and its key."""
    files = {kind: str(folder / f"{name}.{kind}") for kind in ("pem", "key")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName={names}", "-days", "2"]
    subprocess.run(
        [*command, "-keyout", files["key"], "-out", files["pem"]],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {"gateway_certificate": files["pem"], "gateway_certificate_key": files["key"]}


def run(tmp_path: Path, *tasks: dict[str, Any], check: bool = False) -> tuple[str, str]:
    """The role's tasks on this machine, once with each settings; what was said of it, and by it."""
    etc = tmp_path / "etc"
    own = {
        "__gateway_etc": str(etc),
        "__gateway_user": "root",
        "__gateway_program": caddy(),
        "__gateway_trial": str(tmp_path / "trial"),
        "__gateway_root_certificate": str(tmp_path / "root.crt"),
        "ansible_python_interpreter": sys.executable,
        "gateway_hostname": NAME,
        "gateway_tls": "files",
    }
    play = []
    for given in tasks:
        wanted = ["preflight", "certificate", "configure"]
        if given.get("gateway_tls", "files") != "files":
            wanted.remove("certificate")
        steps = [
            {
                "ansible.builtin.include_role": {
                    "name": "llmops.gce_vllm.gateway",
                    "tasks_from": f"{one}.yml",
                },
                # They win over the role's own.
                "vars": own | given,
            }
            for one in wanted
        ]
        say = {"ansible.builtin.debug": {"msg": "NO: {{ ansible_failed_result.msg }}"}}
        tasks_of_play = [{"block": steps, "rescue": [say]}]
        play.append({"hosts": "localhost", "gather_facts": False, "tasks": tasks_of_play})
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = ansible_playbook(
        *("-i", "localhost,", "-c", "local", "--diff", *(["--check"] if check else [])),
        tmp_path / "play.yml",
    )
    assert done.returncode == 0, done.stdout
    config = etc / "Caddyfile"
    return " ".join(done.stdout.split()), config.read_text() if config.exists() else ""


def test_certificates_of_your_own(tmp_path: Path) -> None:
    right = make(tmp_path, "right", f"DNS:{NAME}")
    star = make(tmp_path, "star", "DNS:*.example.org")
    other = make(tmp_path, "other", "DNS:other.example.org,IP:127.0.0.1")
    told, config = run(
        tmp_path,
        other,
        right | {"gateway_certificate_key": other["gateway_certificate_key"]},
        {"gateway_certificate": str(tmp_path / "none.pem")},
        {"gateway_certificate": right["gateway_certificate_key"]},
    )
    assert told.count("NO: gateway_certificate") == 4, told
    assert told.count("Nothing was changed.") >= 4
    assert f"is not for {NAME} (gateway_hostname) but for other.example.org, 127.0.0.1" in told
    assert "does not belong to the key of gateway_certificate_key" in told
    assert "cannot be read here." in told
    assert config == ""
    assert not (tmp_path / "etc").exists()

    told, config = run(tmp_path, right)
    assert "NO:" not in told, told
    tls = tmp_path / "etc" / "tls.pem"
    assert tls.stat().st_mode & 0o777 == 0o640
    assert "PRIVATE KEY" not in told
    assert f"tls {tls} {tls}" in config
    told, _ = run(tmp_path, right, check=True)
    assert "changed=0" in told
    before = tls.read_text()
    told, _ = run(tmp_path, star)
    assert "NO:" not in told, told
    assert tls.read_text() != before

    # Caddy refuses it: what was there stays.
    told, kept = run(tmp_path, star | {"__gateway_http_port": "none"})
    assert "NO: Caddy refuses the configuration; what runs was left alone." in told
    assert "http_port" in told
    assert kept == config

    told, config = run(tmp_path, {"gateway_tls": "internal"}, {"gateway_tls": "internal"})
    assert "NO:" not in told, told
    assert "issuer internal" in config
    assert not tls.exists()
    # The throw-away authority of the check is not the host's.
    assert (tmp_path / "trial/caddy/pki/authorities/local/root.crt").exists()
