# SPDX-License-Identifier: Apache-2.0
"""What a host with monitoring has around the dashboard: a real Prometheus and a real ledger.

Prometheus has two hours of a made-up load. For the server and Alertmanager a stand-in says what
each said once. Alertmanager's package cannot run where it is only unpacked.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from llm_server.ledger.store import Store

from demo.ports import free_port
from tests import debian
from tests.support.dashboard_series import SECONDS, Load, openmetrics

ROOT = Path(__file__).parents[2]
KEY, OTHER_KEY = "a-key-of-the-tests-0123456789", "a-key-that-asks-0123456789"
HEALTH = {"status": "healthy", "model_loaded": True, "model": "a-model", "seconds": 3000.0}
#: What Debian's Alertmanager answered.
ALERTS = ROOT / "tests/fixtures/metrics/alertmanager-0.25.json"
#: A bound against hanging, as machines may be busy.
WAIT_S = 120.0
#: The dashboard, which waits here as long for its sources: else a busy machine is a remark on it.
PATIENT = f"""
import runpy
from llm_dashboard import board, local
board.LIMIT_S = local.TIMEOUT_S = {WAIT_S}
local.Fetch.__init__.__defaults__ = (local.TIMEOUT_S,)
runpy.run_module("llm_dashboard", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class Host:
    """Where everything is, and what was counted."""

    url: str
    prometheus: str
    access: Path
    load: Load


@contextlib.contextmanager
def host(folder: Path) -> Iterator[Host]:
    """Runs all of it, and ends it."""
    access = folder / "access.yaml"
    keys = [_key("operator", KEY, "metrics"), _key("asker", OTHER_KEY, "inference")]
    access.write_text(yaml.safe_dump({"keys": keys}))
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with contextlib.ExitStack() as stack:
        watching, load = stack.enter_context(prometheus(folder))
        _ledger(folder / "ledger.sqlite", load)
        server = stack.enter_context(_server())
        dashboard = [
            sys.executable, "-c", PATIENT, "--port", str(port),
            "--prometheus", watching, "--alertmanager", server, "--server", server,
            "--ledger", str(folder / "ledger.sqlite"), "--access-file", str(access),
            "--hour-price", "3.5", "--unit", "llm-dashboard-test.service",
        ]  # fmt: skip
        stack.enter_context(_running(dashboard, f"{url}/login"))
        yield Host(url, watching, access, load)


@contextlib.contextmanager
def prometheus(folder: Path) -> Iterator[tuple[str, Load]]:
    """Prometheus alone: its address, and what it has."""
    load = _series(folder)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _running(_prometheus(folder, port), f"{url}/-/ready"):
        yield url, load


def _series(folder: Path) -> Load:
    # Some minutes longer than now, as if the load went on while a test looks.
    text, load = openmetrics(int(time.time()) // 60 * 60 - SECONDS + 600)
    (folder / "series.txt").write_text(text)
    promtool = debian.unpacked("prometheus", "promtool")
    subprocess.run(
        [promtool, "tsdb", "create-blocks-from", "openmetrics", folder / "series.txt",
         folder / "prometheus"],
        check=True, capture_output=True, timeout=WAIT_S,
    )  # fmt: skip
    return load


def _prometheus(folder: Path, port: int) -> list[str]:
    (folder / "prometheus.yml").write_text("{}\n")
    return [
        debian.unpacked("prometheus", "prometheus"), f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/prometheus", f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip


def _ledger(path: Path, load: Load) -> None:
    hour = int(time.time() // 3600)
    kinds = {"prompt": "prompt", "generation": "generation", "refused": "refused/full"}
    entries = {(hour, "", "a-model", "seconds"): SECONDS}
    for name, number in load.asked.items():
        key, kind = name.split(" ")
        entries[hour, key, "a-model", kinds.get(kind, kind)] = number
    store = Store(path)
    store.write("a test", 1, entries, hour)
    store.close()


def _key(name: str, key: str, scope: str) -> dict[str, str]:
    return {"name": name, "sha256": hashlib.sha256(key.encode()).hexdigest(), "scope": scope}


class _StandIn(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        known = {"/health": json.dumps(HEALTH).encode(), "/api/v2/alerts": ALERTS.read_bytes()}
        self.send_response(200 if self.path in known else 404)
        self.end_headers()
        self.wfile.write(known.get(self.path, b""))

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def _server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _StandIn) as listening:
        threading.Thread(target=listening.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{listening.server_port}"
        listening.shutdown()


@contextlib.contextmanager
def _running(command: list[str], ready: str) -> Iterator[None]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "files")}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            _wait(lambda: _answers(ready), running)
            yield
        finally:
            running.terminate()
            running.wait(WAIT_S)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=WAIT_S) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


def _wait(done: Callable[[], bool], running: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + WAIT_S
    while not done():
        assert running.poll() is None, f"{running.args!r} ended with {running.returncode}"
        assert time.monotonic() < until, f"{running.args!r} does not answer"
        time.sleep(0.2)
