# SPDX-License-Identifier: Apache-2.0
"""The probe from the controller sends the API key only to a server whose certificate it checked."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.playbook_runs import ROOT, ansible_playbook

KEY = "a-key-that-only-the-server-may-see"


def certificate(folder: Path, name: str, alternative: str) -> Path:
    """One that signs itself, with its key in the same file."""
    file = folder / f"{name}.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    names = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={alternative}"]
    done = subprocess.run(
        [*command, *names, "-keyout", "/dev/stdout", "-out", "/dev/stdout"],
        check=True,
        capture_output=True,
        timeout=120,
    )
    file.write_bytes(done.stdout)
    return file


@contextmanager
def server(shown: Path) -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """Answers as an endpoint does; its port, and each request with what it authorised itself by."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers.get("Authorization", "")))
            self._answer(200, {"model": "m", "status": "healthy", "model_loaded": True})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers.get("Authorization", "")))
            known = self.headers.get("Authorization") == f"Bearer {KEY}"
            answer: dict[str, Any] = {"choices": [{"message": {"content": "Paris"}}]}
            self._answer(200 if known else 401, answer)

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(shown)
        http.socket = context.wrap_socket(http.socket, server_side=True)
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield http.server_address[1], asked
        http.shutdown()


@pytest.mark.parametrize(
    ("own", "shown", "trusted"),
    [
        (("own", "IP:127.0.0.1"), None, True),
        (("own", "DNS:llm.example.com"), None, False),
        (("own", "IP:127.0.0.1"), ("impostor", "IP:127.0.0.1"), False),
    ],
    ids=["its own certificate", "for another name", "of somebody in between"],
)
def test_the_key_goes_to_a_checked_server_alone(
    tmp_path: Path, own: tuple[str, str], shown: tuple[str, str] | None, trusted: bool
) -> None:
    certified = certificate(tmp_path, *own)
    with server(certificate(tmp_path, *shown) if shown else certified) as (port, asked):
        settings = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "__verify_tls": True,
            "__verify_authority": str(certified),
            "__verify_gateway": False,
            "__verify_host": "127.0.0.1",
            "__verify_url": f"https://127.0.0.1:{port}",
            "llm_api_port": port,
            "llm_api_key": KEY,
            "llm_probe_required": False,
        }
        show = {"ansible.builtin.debug": {"msg": "found {{ llm_probe_result | to_json }}"}}
        probe = {"ansible.builtin.include_tasks": str(ROOT / "playbooks/tasks/probe_from_here.yml")}
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [probe, show]}
        (tmp_path / "settings.json").write_text(json.dumps(settings))
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        run = ansible_playbook(
            *("-i", "localhost,", "-e", f"@{tmp_path / 'settings.json'}", tmp_path / "play.yml"),
            timeout=600,
            merged=True,
        )
    assert run.returncode == 0, run.stdout
    assert KEY not in run.stdout
    said = " ".join(run.stdout.split())
    keyed = {path for path, sent in asked if sent}
    if trusted:
        assert keyed == {"/", "/v1/chat/completions"}
        assert "Paris" in said
    else:
        assert keyed == set()
        assert ("/health", "") in asked
        assert "no key was sent" in said
        assert "llm_server_tls_name" in said
