# SPDX-License-Identifier: Apache-2.0
"""report.yml's parts: what is read, put together, hidden, and written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.action.deployment_report import read_host
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import gpu_probe
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host.metrics_text import samples
from ansible_collections.llmops.gce_vllm.plugins.module_utils.reports import (
    beside_plan,
    deployment,
)
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.benchmark_found import newest
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.bill_of_materials import bill
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.hiding import without_secrets
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.report_page import page, shown
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils.secret_options import secret_values
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.module_runs import run_module
from tests.unit.plugins.test_broken_hosts import H100, answering

ROOT = Path(__file__).parents[3]
TEMPLATE = (ROOT / "playbooks/templates/report.html.j2").read_text(encoding="utf-8")
REAL = (ROOT / "tests/fixtures/metrics/vllm-0.32.0.txt").read_text(encoding="utf-8")
STATUS = {
    "name": "llm",
    "project": "p",
    "zone": "us-central1-a",
    "status": "RUNNING",
    "since": "2026-11-30T08:00:00Z",
    "machine_type": "g2-standard-4",
    "provisioning_model": "STANDARD",
    "stopped": None,
    "gpus": [{"type": "nvidia-l4", "count": 1}],
    "addresses": {"external": "203.0.113.1", "internal": None},
    "disks": [],
    "cost": {"hourly": 0.7, "monthly": 511.0},
    "prices": {"text": "list prices"},
}
USED = {
    "exists": True,
    "since": "2026-11-01",
    "first": "2026-11-01",
    "last": "2026-11-30",
    "by": "month",
    "rows": [
        {"period": "2026-11", "key": "partner", "model": "m", "requests": 2, "ok": 2,
         "client_error": 0, "server_error": 0, "client_gone": 0, "refused": 0, "refusals": {},
         "tokens_in": 10, "tokens_out": 1000},
    ],
    "ran": [{"period": "2026-11", "model": "m", "seconds": 3600}],
}  # fmt: skip
ANSWERED: dict[str, Any] = {
    "host": "llm",
    "reached": True,
    "samples": samples(REAL),
    "facts": {"ansible_distribution": "Debian", "ansible_distribution_version": "12.11"},
    "usage": USED,
    "packages": [{"name": "torch", "version": "2.13.0", "license": "BSD-3-Clause"}],
    "gpu": {
        "status": "ok",
        "driver": "580.1",
        "cuda": "13.0",
        "gpus": [{"pci_bus_id": "0:4", "name": "NVIDIA L4", "memory_mib": {"used": 1024}}],
        "findings": [{"gpu": "0:4", "kind": "xid", "text": "Xid 79", "action": "reset"}],
        "problems": ["Xid 79", "too few"],
    },
    "plan": {"plan": {"fits": True, "kv_tokens": 23_000, "max_concurrency": 22.5,
                      "per_gpu": {"used_when_serving_bytes": 2**30}}},
}  # fmt: skip


def made(hosts: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    found = {
        "name": "llm",
        "made_at": "2026-11-30T12:00:00Z",
        "hosts": hosts,
        "instances": [STATUS],
        "checklist": {"server": {"ok": False, "evidence": "failed"}},
        "drift": None,
        "prices": {one["host"]: 0.7 for one in hosts},
        "benchmarks": {},
    }
    return deployment.document({**found, **more})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("up 1", ("up", {}, 1.0)),
        ("up 1 1700000000000", ("up", {}, 1.0)),
        ('a{b="c"} 2.5e3', ("a", {"b": "c"}, 2500.0)),
        (r'a{b="} 7",c="x\"y\\n\nz"} 2', ("a", {"b": "} 7", "c": 'x"y\\n\nz'}, 2.0)),
        ("a NaN", None),
        ("a +Inf", None),
        ("# HELP a b", None),
        ("a{", None),
        ("", None),
    ],
)
def test_a_line_of_metrics(line: str, value: tuple[str, dict[str, str], float] | None) -> None:
    found = [(one["name"], one["labels"], one["value"]) for one in samples(line)]
    assert found == ([value] if value else [])


def test_only_metrics_that_were_asked_for() -> None:
    names = {one["name"] for one in samples(REAL, ["llm_state", "vllm:cache_*"])}
    assert names == {"llm_state", "vllm:cache_config_info"}
    assert len(samples(REAL)) > 400


def test_the_packages_of_an_environment(tmp_path: Path) -> None:
    texts = {
        "a-1.0": "Name: A\nVersion: 1.0\nLicense-Expression: MIT\n",
        "b-2": "Name: b\nVersion: 2\nLicense: " + "long " * 40 + "\n"
        "Classifier: License :: OSI Approved :: BSD License\n",
        "c-3": "Name: c\nVersion: 3\n",
        "torn-1": "",
    }
    for name, text in texts.items():
        info = tmp_path / f"lib/python3.12/site-packages/{name}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(text)
    (tmp_path / "lib/python3.12/site-packages/cut-1.dist-info").mkdir()
    answer = run_module("python_packages_info", {"path": str(tmp_path)})
    assert [tuple(one.values()) for one in answer["packages"]] == [
        ("A", "1.0", "MIT"),
        ("b", "2", "BSD License"),
        ("c", "3", ""),
    ]
    missing = run_module("python_packages_info", {"path": str(tmp_path / "none")})
    assert missing["failed"] and "There is no environment" in missing["msg"]


def test_a_server_that_does_not_answer() -> None:
    answer = run_module("llm_metrics_info", {"url": "http://127.0.0.1:1", "api_key": "k3y-secret"})
    assert answer["failed"]
    assert "/metrics could not be read" in answer["msg"]
    assert "k3y-secret" not in json.dumps(answer)


def test_the_plan_beside_what_happened() -> None:
    found = beside_plan.measured(samples(REAL), [1024.0, 2048.0])
    assert found == {"kv_tokens": 23296, "max_concurrency": 22.75, "gpu_gib": 2.0}
    rows = beside_plan.rows(ANSWERED["plan"]["plan"], found)
    assert [(one["predicted"], one["measured"], one["difference_percent"]) for one in rows] == [
        (23_000, 23_296, 1.3),
        (22.5, 22.75, 1.1),
        (1.0, 2.0, 100.0),
    ]
    assert beside_plan.rows({}, beside_plan.measured([], [])) == []


def test_what_a_million_tokens_cost() -> None:
    plan = {
        "gpu": "nvidia-l4",
        "gpus": 1,
        "machine_types": [
            {"gpu": "nvidia-l4", "gpus": 1, "price_per_million_tokens": 0.2},
            {"gpu": "nvidia-l4", "gpus": 2, "price_per_million_tokens": 0.4},
        ],
    }
    usage = {"cost": {"total": 3.0}, "total": {"tokens_out": 2_000_000}}
    row = beside_plan.token_price(plan, usage)
    assert row is not None
    assert (row["predicted"], row["measured"]) == (0.2, 1.5)
    assert beside_plan.token_price(plan, {**usage, "cost": None}) is None
    assert beside_plan.token_price(plan, {**usage, "total": {"tokens_out": 0}}) is None


def test_a_deployment_put_together() -> None:
    drift = {
        "status": "drift",
        "checked_at": "2026-11-30T12:00:00Z",
        "differences": [{"layer": "host", "host": "llm", "object": "o", "field": "f", "is": 1,
                         "should_be": None}],
        "errors": [],
        "at_rest": [],
        "layers_checked": {"cloud": True, "host": False},
    }  # fmt: skip
    found = made([ANSWERED], drift=drift)
    assert found["missing"] == []
    [host] = found["hosts"]
    assert (host["place"], host["state"], host["model"]) == (
        "us-central1-a", "healthy", "test-model",
    )  # fmt: skip
    assert host["versions"]["torch"] == "2.13.0"
    assert host["versions"]["system"] == "Debian 12.11"
    assert [one["text"] for one in found["findings"]] == ["Xid 79", "too few"]
    assert found["drift"]["not_looked_at"] == ["host"]
    assert found["summary"] == [
        "1 of 1 hosts answer.",
        "The checklist fails at: server.",
        "1 difference from the settings.",
        "2 findings on GPUs.",
        "Used since 2026-11-01: USD 0.70 (list price).",
    ]
    text = page(TEMPLATE, found)
    assert "Xid 79" in text and "Not looked at." not in text


def test_what_real_gpus_said() -> None:
    facts = gpu_probe.collect(answering(H100))
    found = made([{**ANSWERED, "gpu": facts}])
    assert [one["name"] for one in found["gpus"]] == ["NVIDIA H100 80GB HBM3"] * len(found["gpus"])
    assert found["gpus"]
    assert all(one["memory_mib"] > one["memory_used_mib"] >= 0 for one in found["gpus"])
    assert found["hosts"][0]["versions"]["NVIDIA driver"] == facts["driver"]
    assert found["gpus"][0]["gpu"] in page(TEMPLATE, found)


def test_what_is_not_known_is_said() -> None:
    silent = {"host": "b", "reached": False, "why": "no route"}
    empty = {"host": "c", "reached": True, "samples_why": "answered 401", "plan": {"msg": "no hub"}}
    found = made([silent, empty], instances=[], checklist=None, prices={})
    assert found["missing"][0] == "b did not answer, so nothing of it is here: no route"
    assert "c: the server's metrics could not be read: answered 401" in found["missing"]
    assert "No instance of Compute Engine was looked at." in found["missing"]
    assert found["plan"] == [
        {"host": "c", "fits": None, "rows": [], "note": "Whether it fits was not known: no hub"}
    ]
    assert page(TEMPLATE, found)
    nobody = made([], instances=[], checklist=None, prices={})
    assert "No host runs, so none was asked." in nobody["missing"]
    assert page(TEMPLATE, nobody)


@pytest.mark.parametrize(
    "other",
    [
        {"host": "b", "reached": False, "why": "no route"},
        {"host": "b", "reached": True, "usage": None, "usage_why": "not a database"},
    ],
)
def test_part_of_the_cost_is_not_told_as_all(other: dict[str, Any]) -> None:
    alone = made([other])
    assert not [line for line in alone["summary"] if line.startswith("Used since")]
    assert alone["usage"]["cost"] is None
    text = page(TEMPLATE, alone)
    assert "Usage of b could not be read" in text
    assert "No request was counted" not in text and "USD 0.00" not in text

    both = made([ANSWERED, other])
    said = "Usage of b could not be read, so the cost is not known."
    assert said in both["summary"]
    assert both["usage"]["cost"] is None
    assert [row["cost"] for row in both["usage"]["rows"]] == [None]
    text = page(TEMPLATE, both)
    # What was counted is shown, with the word that it is not all.
    assert "partner" in text and "Usage of b could not be read" in text
    assert "because the price of an hour is not" not in text
    assert [row["what"] for row in both["plan"][0]["rows"]] == [
        row["what"] for row in made([ANSWERED], prices={"llm": None})["plan"][0]["rows"]
    ]


def test_results_of_tasks_become_what_was_read() -> None:
    variables = {
        "__report_reached": {"ping": "pong"},
        "__report_metrics": {"failed": False, "msg": "refused\nand more", "failed_when_result": 0},
        "__report_packages": {"packages": [1]},
        "__report_usage": {"rows": [], "by": "month"},
        "__gpu_host_state": {"failed": True, "msg": "Missing sudo password"},
    }
    found = read_host("h", variables)
    assert (found["reached"], found["samples"], found["samples_why"]) == (True, None, "refused")
    assert (found["packages"], found["gpu"]) == ([1], None)
    assert found["usage"] == {"rows": [], "by": "month"}
    assert not read_host("h", {"__report_reached": {"unreachable": True, "msg": "m"}})["reached"]


def test_gpus_that_could_not_be_looked_at() -> None:
    result = {"failed": True, "msg": "Missing sudo password"}
    variables = {"__report_reached": {"ping": "pong"}, "__gpu_host_state": result}
    text = "h: the state of its GPUs could not be read: Missing sudo password"
    assert text in made([read_host("h", variables)])["missing"]
    # A host that serves on its CPU is not asked.
    del variables["__gpu_host_state"]
    assert "GPUs" not in "".join(made([read_host("h", variables)])["missing"])


def test_hosts_cannot_write_into_the_page() -> None:
    bad = "</td><img src=x onerror=alert(1)>\"'{{ 7*7 }}"
    host = {**ANSWERED, "host": bad, "gpu": {"gpus": [{"name": bad}], "findings": [{"text": bad}]}}
    found = made([host], checklist={bad: {"ok": True, "evidence": bad}}, name=bad)
    text = page(TEMPLATE, found)
    assert "<img" not in text
    assert "49" not in text
    # Nothing is loaded, and nothing runs.
    assert "default-src 'none'" in text
    assert not [word for word in ("<script", 'src="', "href=", "url(") if word in text]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), ("", "-"), (True, "yes"), (1234567, "1,234,567"), (2.0, "2"), (2.345, "2.35"),
     (["a", "b"], "a, b"), ("x", "x")],
)  # fmt: skip
def test_cells(value: Any, text: str) -> None:
    assert shown(value) == text
    assert shown(4.0, money=True) == "4.00"


def test_secrets_are_left_out_wherever_they_stand() -> None:
    secrets = {"s3cret-one", "s3cret", "4711"}
    found = without_secrets(
        {"s3cret": ["x s3cret-one y"], "n": 4711, "url": "https://me:pw@host/", "ok": True}, secrets
    )
    assert found == {
        "********": ["x ******** y"], "n": "********", "url": "https://********@host/", "ok": True,
    }  # fmt: skip


def test_which_values_are_secret() -> None:
    variables = {
        "h": {
            "llm_api_key": "first-key",
            "llm_server_api_keys": ["second-key"],
            "llm_server_keys": [{"name": "partner", "key": "third-key", "scope": "inference"}],
            "llm_model_token": "hub-token",
            "monitoring_slack_api_url": "https://hooks.example/secret",
            "monitoring_email_password": "abc",
            "gce_zone": "us-central1-a",
        }
    }
    assert secret_values(ROOT / "roles", variables) == {
        "first-key", "second-key", "third-key", "hub-token", "https://hooks.example/secret",
    }  # fmt: skip


def test_the_list_of_components_is_what_the_standard_says() -> None:
    host = {
        "host": "llm",
        "model": "m",
        "versions": {"system": "Debian 12.11", "kernel": "6.1", "Python": "3.12.3",
                     "NVIDIA driver": "580.1", "server": "0.2.0"},
        "packages": [
            {"name": "vllm", "version": "0.32.0", "license": "Apache-2.0"},
            {"name": "odd", "version": "1", "license": "Apache-2.0 AND (MIT OR Zlib)"},
            {"name": "own", "version": "1+cu130", "license": "Our own terms"},
            {"name": "bare", "version": "1", "license": ""},
        ],
    }  # fmt: skip
    text, number = bill(host, {"resolved": "c0ffee", "files": {"a": {"sha256": "ab" * 32}}})
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = json.loads(text)
    assert len(found["components"]) == number == 10
    kinds = {one["name"]: one["type"] for one in found["components"]}
    assert kinds["nvidia"] == "device-driver"
    assert kinds["m"] == "machine-learning-model"
    assert {one["purl"] for one in found["components"] if "purl" in one} >= {
        "pkg:pypi/vllm@0.32.0", "pkg:pypi/own@1%2Bcu130",
    }  # fmt: skip
    [root] = [one for one in found["dependencies"] if one["ref"] == "host:llm"]
    assert len(root["dependsOn"]) == number
    assert bill({**host, "model": "", "versions": {}, "packages": []}, None)[1] == 0


def test_the_newest_benchmark_of_a_host(tmp_path: Path) -> None:
    level = {"concurrency": 4, "input_tokens": 256, "output_tokens": 128, "output_throughput": 9.5}
    for name, text in {
        "llm-20261101T000000Z": json.dumps({"environments": [{"date": "d"}], "levels": [level]}),
        "llm-20261102T000000Z": "{",
        "llm-2-20261103T000000Z": json.dumps({"environments": [], "levels": []}),
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "summary.json").write_text(text)
    found = newest(tmp_path, "llm")
    assert found is not None
    assert found["folder"].endswith("llm-20261101T000000Z")
    assert found["levels"][0]["load"] == "4 at once"
    assert found["levels"][0]["output_throughput"] == 9.5
    assert newest(tmp_path, "other") is None
