# SPDX-License-Identifier: Apache-2.0
"""The certificate on its way to the host: installed, renewed, refused, removed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.emulator_fixture import ROOT
from tests.support.playbook_runs import ansible_playbook

ROLE = ROOT / "roles" / "llm_server"


def make(folder: Path, name: str) -> dict[str, str]:
    """A certificate that signs itself, and its key."""
    files = {kind: str(folder / f"{name}.{kind}") for kind in ("pem", "key")}
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    subprocess.run(
        [*command, "-subj", f"/CN={name}", "-keyout", files["key"], "-out", files["pem"]],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return {"llm_server_tls_certificate": files["pem"], "llm_server_tls_key": files["key"]}


def run(tmp_path: Path, **given: Any) -> tuple[Any, Path]:
    """The role's tasks on this machine, with a folder of its own; whether they passed."""
    etc = tmp_path / "etc"
    etc.mkdir(exist_ok=True)
    own = {
        "__llm_server_etc": str(etc),
        "__llm_server_user": "root",
        "__llm_server_lib": str(ROOT / "files"),
        "__llm_server_python": sys.executable,
        "ansible_python_interpreter": sys.executable,
        "llm_model": "m",
        "role_path": str(ROLE),
    }
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "vars_files": [str(ROLE / "defaults/main.yml"), str(ROLE / "vars/main.yml")],
            "tasks": [{"ansible.builtin.import_tasks": str(ROLE / "tasks/tls.yml")}],
        }
    ]
    (tmp_path / "play.yml").write_text(yaml.safe_dump(play))
    done = ansible_playbook(
        *("-i", "localhost,", "-c", "local", "-e", json.dumps(own | given), "--diff", "-vvv"),
        tmp_path / "play.yml",
    )
    return done, etc / "tls.pem"


def test_installed_renewed_refused_and_removed(tmp_path: Path) -> None:
    first, second = make(tmp_path, "first"), make(tmp_path, "second")
    done, installed = run(tmp_path, **first)
    assert done.returncode == 0, done.stdout
    assert installed.stat().st_mode & 0o777 == 0o640
    before = installed.read_text()
    again, _ = run(tmp_path, **first)
    assert "changed=0" in again.stdout

    mixed = first | {"llm_server_tls_key": second["llm_server_tls_key"]}
    refused, _ = run(tmp_path, **mixed)
    assert refused.returncode != 0
    assert "The file has a key that does not belong to the certificate" in " ".join(
        refused.stdout.split()
    )
    assert installed.read_text() == before, "what was in force stays"

    renewed, _ = run(tmp_path, **second)
    assert renewed.returncode == 0
    assert installed.read_text() != before
    for name in ("first", "second"):
        key = (tmp_path / f"{name}.key").read_text().splitlines()[1]
        for output in (done, again, refused, renewed):
            assert key not in output.stdout + output.stderr, "the key is never shown"

    removed, _ = run(tmp_path)
    assert removed.returncode == 0
    assert not installed.exists()


@pytest.mark.parametrize("missing", ["llm_server_tls_certificate", "llm_server_tls_key"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, missing: str) -> None:
    given = make(tmp_path, "first") | {missing: str(tmp_path / "none.pem")}
    done, installed = run(tmp_path, **given)
    assert done.returncode != 0
    told = " ".join(done.stdout.split())
    assert "cannot be read on the controller" in told
    assert "none.pem" in told
    assert not installed.exists()
