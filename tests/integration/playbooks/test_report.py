# SPDX-License-Identifier: Apache-2.0
"""report.yml: all that is known of a deployment, with hosts that answer and hosts that don't."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from llm_server.ledger.store import Store

from tests.integration.playbooks.test_gpu_state import RECORDED, SMI
from tests.support.days import await_a_day_that_lasts
from tests.support.modules_fixtures import Json, free_port
from tests.support.site_fixture import KEY, NAME, ROOT, Site

SECRET_TOKEN = "a-token-that-nobody-may-see"
INJECTED = '<script>alert("here")</script>'
METRICS = ROOT / "tests/fixtures/metrics/vllm-0.32.0.txt"
# Of all that is asked: the window's hours, requests at once, and so on.
SEEN = b'{"data": {"result": [{"metric": {}, "value": [1, "5"]}]}}'
CONFIGS = ROOT / "tests/fixtures/model_configs.json"


class Endpoint(BaseHTTPRequestHandler):
    """Has the metrics of a real server, is a Prometheus too, and refuses everything else."""

    def do_GET(self) -> None:
        known = self.headers.get("Authorization") == f"Bearer {KEY}"
        prometheus = self.path.startswith("/api/v1/query?query=")
        found = prometheus or (known and self.path == "/metrics")
        self.send_response(200 if found else 403)
        if prometheus:
            self.send_header("Content-Type", "application/json")
        self.end_headers()
        if found:
            self.wfile.write(SEEN if prometheus else METRICS.read_bytes())

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def endpoint(site: Site) -> Iterator[None]:
    """Something that answers at the port of the API."""
    address = ("127.0.0.1", int(site.variables["llm_api_port"]))
    with ThreadingHTTPServer(address, Endpoint) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield
        http.shutdown()


@pytest.fixture
def reported(site: Site, endpoint: None) -> Iterator[Site]:
    """This machine as a host, and another one that nobody can log in to; no instance."""
    site.reach_locally()
    # One package says what no package should.
    info = site.folder / "venv/lib/python3.12/site-packages/vllm-0.32.0.dist-info"
    info.mkdir(parents=True)
    said = (
        f"Metadata-Version: 2.4\nName: vllm\nVersion: 0.32.0\nLicense: {INJECTED} {SECRET_TOKEN}\n"
    )
    (info / "METADATA").write_text(said, encoding="utf-8")
    model = site.folder / "models/SmolLM2-135M-Instruct"
    model.mkdir(parents=True)
    config = json.loads(CONFIGS.read_text(encoding="utf-8"))["smollm2-135m"]["config"]
    (model / "config.json").write_text(json.dumps(config), encoding="utf-8")
    listed = {"resolved": SECRET_TOKEN, "files": {"config.json": {"size": 2, "sha256": "ab" * 32}}}
    (model / "manifest.json").write_text(json.dumps(listed), encoding="utf-8")
    site.variables |= {"llm_model": str(model), "llm_probe_retries": 0}
    site.servers[NAME] |= {
        "__usage_path": str(site.folder / "ledger.sqlite"),
        "vllm_venv_path": str(site.folder / "venv"),
        "llm_model_dir": str(model.parent),
        "llm_model_token": SECRET_TOKEN,
    }
    site.servers["llm-2"] = {"ansible_host": "127.0.0.1", "ansible_port": free_port()}
    await_a_day_that_lasts()
    hour = int(datetime.now(UTC).timestamp() // 3600)
    entries = {
        (hour, "partner", INJECTED, "ok"): 3,
        (hour, "partner", INJECTED, "generation"): 45,
        (hour, "", "m", "seconds"): 7200,
    }
    store = Store(site.folder / "ledger.sqlite")
    store.write("w", 1, entries, hour)
    yield site
    store.close()


def report(site: Site, *options: str) -> tuple[Json, str, str]:
    """The JSON, the page, and what the run said."""
    folder = site.folder / "report"
    said = site.ok("report", "-e", f"report_output={folder}", *options, changed=0)
    for path in folder.iterdir():
        text = path.read_text(encoding="utf-8")
        assert SECRET_TOKEN not in text and KEY not in text, path
    found: Json = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    return found, (folder / "report.html").read_text(encoding="utf-8"), said


def test_a_host_that_answers_and_one_that_does_not(
    reported: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One of its two GPUs is gone.
    program = reported.folder / "nvidia-smi"
    program.write_text(SMI.format(log=RECORDED))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{reported.folder}:{os.environ['PATH']}")
    reported.servers[NAME] |= {"llm_device": "cuda", "gpu_host_brought": 2}
    # Its files came with a package: nobody but the host has them, under the model's name.
    reported.servers[NAME] |= {
        "llm_model": "SmolLM2-135M-Instruct",
        "llm_model_source": "package",
    }
    # Here it can't even be tried to log in, which Ansible takes for a failure.
    reported.servers["llm-3"] = {
        "ansible_connection": "google.cloud.iap",
        "ansible_host": "127.0.0.1",
        "ansible_gcloud_executable": str(reported.folder / "missing"),
        "ansible_ssh_timeout": 1,
    }
    options = ("--check", "-e", "report_drift=false", "-e", "usage_hour_price=2")
    found, page, said = report(reported, *options)
    assert {one["host"]: one["reached"] for one in found["hosts"]} == {
        NAME: True,
        "llm-2": False,
        "llm-3": False,
    }
    assert "1 of 3 hosts answer." in said
    refused, not_tried = found["missing"]
    assert refused.startswith("llm-2 did not answer, so nothing of it is here: ")
    assert "onnection refused" in refused
    assert not_tried.startswith("llm-3 did not answer, so nothing of it is here: ")
    assert "IAP tunnel" in not_tried
    [lost] = found["findings"]
    assert (lost["host"], "Only 1 of the machine type's 2 GPUs" in lost["text"]) == (NAME, True)
    outcomes = {one["what"]: one["outcome"] for one in found["checklist"]}
    assert outcomes["server"] == outcomes["local API"] == "failed"
    [host] = [one for one in found["hosts"] if one["reached"]]
    assert (host["state"], host["versions"]["vLLM"]) == ("healthy", "0.32.0")
    assert host["versions"]["kernel"]
    [row] = found["usage"]["rows"]
    # Of two hosts it is not known, and half of a cost is none.
    assert (row["key"], row["tokens_out"], row["cost"]) == ("partner", 45, None)
    assert found["usage"]["unread"] == ["llm-2", "llm-3"]
    figures = {one["what"]: one for one in found["plan"][0]["rows"]}
    cache = figures["tokens in the KV cache"]
    assert cache["measured"] == 23296
    assert cache["predicted"] > 0
    assert found["drift"]["status"] == "not looked at"
    # What a host said is text on the page.
    assert "<script" not in page and "&lt;script&gt;" in page
    assert len(page) < 30_000

    [listed] = found["components"]
    bill = (reported.folder / "report" / listed["file"]).read_text(encoding="utf-8")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    parts = {one["name"]: one for one in json.loads(bill)["components"]}
    assert parts["vllm"]["purl"] == "pkg:pypi/vllm@0.32.0"
    [file] = parts[host["model"]]["components"]
    assert file["hashes"] == [{"alg": "SHA-256", "content": "ab" * 32}]


def test_advice(reported: Site) -> None:
    del reported.servers["llm-2"]
    target = reported.folder / "advice.json"
    reported.variables |= {
        "monitoring_enabled": True,
        "__advise_prometheus": f"127.0.0.1:{reported.variables['llm_api_port']}",
    }
    options = ("-e", f"advise_output={target}", "-e", "usage_hour_price=2")
    said = reported.ok("advise", *options, "--check", changed=0)
    [found] = json.loads(target.read_text(encoding="utf-8"))["hosts"]
    assert found["window"]["prometheus_hours"] == 5
    assert found["window"]["ledger_days"] == 1
    assert found["window"]["server_requests"] == 10
    assert found["advice"] == []
    assert "Nothing to change." in said
    assert "Office hours are not judged before 7 days of usage." in said


def test_there_is_nothing(site: Site) -> None:
    found, page, said = report(site)
    assert found["hosts"] == []
    assert found["instances"][0]["status"] == "MISSING"
    assert "instance llm-server" in {one["object"] for one in found["drift"]["differences"]}
    assert "No host runs" in said
    assert "MISSING" in page
