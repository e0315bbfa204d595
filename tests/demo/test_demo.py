# SPDX-License-Identifier: Apache-2.0
"""One demo, used, broken and repaired. The tests stand in the order in which they run."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2.service_account import Credentials

from tests.demo.commands import ROOT, TIMEOUT_S, first_key, on_instance, outcome, run, site
from tests.demo.watched import alerts, until
from tests.support.exhaustive import only_in_full, part

SUMMARY_KEYS = {
    "endpoint",
    "api_key_file",
    "try_it",
    "dashboard",
    "ca_file",
    "emulator",
    "project",
    "zone",
    "instance",
    "ssh",
    "changed",
    "phases",
    "checklist",
}
CHECKLIST = ["quota", "instance", "vLLM", "server", "local API", "external API", "monitoring"]


def changed_tasks() -> set[str]:
    """Names of the tasks that changed something in the last `make demo`, without the role."""
    return {entry["task"].split(" : ")[-1] for entry in outcome()["changed_tasks"]}


def api(demo: dict[str, Any], method: str, path: str, body: object = None) -> Any:
    """Call the emulated Compute Engine as somebody with the console open would."""
    credentials = Credentials.from_service_account_file(
        ROOT / ".demo" / "emulator" / "credentials.json",
        scopes=["https://www.googleapis.com/auth/cloud-platform"],
    )
    url = f"{demo['emulator']}/compute/v1/projects/{demo['project']}/{path}"
    credentials.refresh(Request())
    headers = {"Authorization": f"Bearer {credentials.token}"}
    answer = requests.request(method, url, json=body, headers=headers, timeout=TIMEOUT_S)
    answer.raise_for_status()
    return answer.json()


def test_summary_is_complete(demo: dict[str, Any]) -> None:
    assert set(demo) == SUMMARY_KEYS
    assert list(demo["checklist"]) == CHECKLIST
    assert all(demo["checklist"][item]["ok"] for item in CHECKLIST)
    assert "Paris" in demo["checklist"]["external API"]["evidence"]
    assert (
        "all of alertmanager, llm, node, prometheus answer"
        in (demo["checklist"]["monitoring"]["evidence"])
    )
    assert {"preflight", "provision", "configure", "verify"} <= set(demo["phases"])
    # The image has them: nothing is fetched each time that somebody tries the demo.
    assert "Install Prometheus, Alertmanager and node exporter" not in changed_tasks()


def test_printed_curl_line_generates(demo: dict[str, Any]) -> None:
    done = run("bash", "-c", demo["try_it"])
    answer = json.loads(done.stdout)
    assert "Paris" in answer["choices"][0]["message"]["content"]


def test_generate_continues_a_prompt(demo: dict[str, Any]) -> None:
    answer = requests.post(
        f"{demo['endpoint']}/generate",
        json={"prompt": "The capital of France is", "temperature": 0, "max_tokens": 8},
        headers={"Authorization": f"Bearer {first_key()}"},
        timeout=TIMEOUT_S,
    ).json()
    assert set(answer) == {"text", "prompt", "model", "finish_reason", "usage"}
    assert "Paris" in answer["text"]


def test_without_the_key_nothing_but_health(demo: dict[str, Any]) -> None:
    for path, expected in [("/health", "200"), ("/", "401"), ("/metrics", "401"), ("/docs", "401")]:
        done = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", demo["endpoint"] + path)
        assert done.stdout == expected, path


def test_outside_the_source_range_times_out(demo: dict[str, Any]) -> None:
    url = demo["endpoint"] + "/health"
    command = ["curl", "-s", "--max-time", "4", url]
    done = run(
        ".venv/bin/python", "-m", "emulator.machines", "client", "--owner", "demo", "t", *command
    )
    assert done.returncode == 28, done.stdout  # curl's code for a time-out


def tunnel(demo: dict[str, Any]) -> str:
    """The process that leads to the dashboard."""
    port = demo["dashboard"].rpartition(":")[2]
    return run("pgrep", "-f", f"ssh .*127.0.0.1:{port}:").stdout.strip()


def test_second_run_changes_nothing(demo: dict[str, Any]) -> None:
    before = tunnel(demo)
    done = run("make", "demo")
    assert done.returncode == 0, done.stdout
    assert tunnel(demo) == before != "", "whoever has the dashboard open keeps the connection"
    summary = json.loads((ROOT / ".demo" / "summary.json").read_text())
    assert set(summary["changed"]) == {"localhost", "llm-server"}
    assert set(summary["changed"].values()) == {0}, outcome()["changed_tasks"]


# What `drift.yml` finds clean, below, is such a run too.
@only_in_full
def test_check_mode_reports_nothing(demo: dict[str, Any]) -> None:
    done = site("--check", "--diff")
    assert done.returncode == 0, done.stdout
    recap = [line for line in done.stdout.splitlines() if "changed=" in line]
    assert recap
    assert all("changed=0" in line for line in recap), done.stdout
    assert "--- before" not in done.stdout


def drift(target: Path) -> tuple[int, dict[str, Any]]:
    """Run drift.yml without --check: its exit status and its report."""
    command = [".venv/bin/ansible-playbook", "-i", "inventories/demo", "playbooks/drift.yml"]
    done = run(*command, "-e", f"drift_output={target}")
    assert first_key() not in done.stdout + target.read_text()
    report: dict[str, Any] = json.loads(target.read_text())
    assert done.returncode == (0 if report["status"] == "clean" else 2), done.stdout
    return done.returncode, report


def fields(report: dict[str, Any]) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """Differences by layer, object and field."""
    return {
        (one["layer"], one["object"], one["field"]): (one["is"], one["should_be"])
        for one in report["differences"]
    }


def test_status_sees_the_endpoint(demo: dict[str, Any], tmp_path: Path) -> None:
    command = [".venv/bin/ansible-playbook", "-i", "inventories/demo", "playbooks/status.yml"]
    done = run(*command, "-e", f"status_output={tmp_path / 'status.json'}")
    assert done.returncode == 0, done.stdout
    report = json.loads((tmp_path / "status.json").read_text())
    assert report["endpoint"] == {"url": demo["endpoint"], "healthy": True, "health": "healthy"}


def test_drift_in_every_layer_is_named_and_left_alone(demo: dict[str, Any], tmp_path: Path) -> None:
    api(demo, "PATCH", f"global/firewalls/{demo['instance']}-api", {"priority": 900})
    unit, settings = "/etc/systemd/system/llm-server.service", "/etc/llm-server/settings.yaml"
    weights = "/var/lib/llm-server/models/SmolLM2-135M-Instruct"
    on_instance(
        demo,
        f"sudo sed -i 's/^Restart=.*/Restart=no/' {unit} && sudo sed -i s/1024/512/ {settings}"
        f" && sudo truncate -s 10 {weights}/config.json",
    )
    code, first = drift(tmp_path / "first.json")
    assert (code, first["status"]) == (2, "drift"), first
    found = fields(first)
    assert ("host", weights, "config.json") in found, first
    del found["host", weights, "config.json"]
    assert found == {
        ("cloud", f"firewall rule {demo['instance']}-api", "priority"): (900, 1000),
        ("service", unit, "Service.Restart"): ("no", "on-failure"),
        ("service", settings, "vllm_args.max_model_len"): (512, 1024),
    }
    # Drift was named and nothing else: all of it is still there to be repaired.
    assert repaired(demo) == {
        "Converge the firewall rules",
        "Fetch the model to the host",
        "Write the settings",
        "Write the unit",
        "Enable and start the service, or restart it",
    }
    code, clean = drift(tmp_path / "clean.json")
    assert (code, clean["status"]) == (0, "clean"), clean
    assert clean["differences"] == clean["errors"] == []
    assert set(clean["layers_checked"].values()) == {True}


def demo_status() -> str:
    """What `make demo-status` says."""
    return run(".venv/bin/python", "-m", "demo", "status").stdout


def test_stop_and_start(demo: dict[str, Any], tmp_path: Path) -> None:
    command = [".venv/bin/ansible-playbook", "-i", "inventories/demo"]
    assert f"dashboard  {demo['dashboard']}\n" in demo_status()
    assert run(*command, "playbooks/stop.yml").returncode == 0
    code, report = drift(tmp_path / "drift.json")
    assert (code, report["status"]) == (2, "drift"), report
    row = ("cloud", f"instance {demo['instance']}", "status")
    assert fields(report)[row] == ("TERMINATED", "RUNNING")
    gone = f"dashboard  {demo['dashboard']} (no tunnel leads there now"
    assert gone in until(demo_status, lambda said: gone in said)
    done = run(*command, "playbooks/start.yml")
    assert done.returncode == 0, done.stdout
    instance = api(demo, "GET", f"zones/{demo['zone']}/instances/{demo['instance']}")
    address = instance["networkInterfaces"][0]["accessConfigs"][0]["natIP"]
    assert address in done.stdout
    assert requests.get(f"http://{address}:8000/health", timeout=TIMEOUT_S).status_code == 200
    # The next `make demo`, below, learns it; until then the tests do by themselves.
    before = demo["ssh"].rpartition("@")[2]
    texts = {name: text for name, text in demo.items() if isinstance(text, str)}
    demo.update({name: text.replace(before, address) for name, text in texts.items()})


def repaired(demo: dict[str, Any]) -> set[str]:
    """Run the demo again and return which tasks changed something."""
    done = run("make", "demo")
    assert done.returncode == 0, done.stdout
    return changed_tasks()


@pytest.fixture(scope="module")
def broken(demo: dict[str, Any]) -> None:
    """What somebody changed in the console and on the host, who also stopped the server."""
    instance = f"zones/{demo['zone']}/instances/{demo['instance']}"
    now = api(demo, "GET", instance)
    labels = {k: v for k, v in now["labels"].items() if k != "managed-by"} | {"team": "search"}
    body = {"labels": labels, "labelFingerprint": now["labelFingerprint"]}
    api(demo, "POST", f"{instance}/setLabels", body)
    api(demo, "DELETE", f"global/firewalls/{demo['instance']}-api")
    on_instance(
        demo,
        "sudo /opt/vllm/uv/bin/uv pip uninstall --quiet -p /opt/vllm/venv/bin/python gguf"
        " && sudo systemctl stop llm-server",
    )


@pytest.mark.usefixtures("broken")
def test_what_was_changed_is_predicted() -> None:
    predicted = site("--check", "--diff")
    assert "managed-by" in predicted.stdout


ONLY_HERE: list[tuple[str, Sequence[str], Sequence[str]]] = [
    ("empty project", ["-e", "gce_project="], ["gce_project is empty"]),
    (
        "no GPU",
        ["-e", "gce_instance_machine_type=e2-standard-4", "-e", "llm_device=cuda"],
        ["e2-standard-4 has no GPU", "g2-standard-4"],
    ),
    (
        "model that no package carries",
        ["-e", "llm_model=Nope"],
        ["No package carries the model Nope", "SmolLM2-135M-Instruct"],
    ),
    (
        "model path on an instance that is not there",
        ["-e", "llm_model=/srv/models/none", "-e", "llm_model_source=path"],
        ["/srv/models/none", "no instance yet"],
    ),
    ("no model", ["-e", "llm_model="], ["llm_model is empty"]),
    ("unknown tag", ["--tags", "nonsense"], ["no tag 'nonsense'", "preflight"]),
    (
        "wrong choice",
        ["-e", "gce_instance_provisioning_model=spot"],
        ["gce_instance_provisioning_model", "STANDARD, SPOT"],
    ),
]
# Those that the emulator's tests try too.
ELSEWHERE_TOO: list[tuple[str, Sequence[str], Sequence[str]]] = [
    ("unknown project", ["-e", "gce_project=no-such-project"], ["no-such-project"]),
    ("zone syntax", ["-e", "gce_zone=moon"], ["gce_zone is 'moon'"]),
    ("unknown zone", ["-e", "gce_zone=us-central1-q"], ["us-central1-q", "us-central1-a"]),
    ("unknown machine type", ["-e", "gce_instance_machine_type=g2-standard-5"], ["g2-standard-4"]),
    (
        "accelerator that the machine type does not take",
        [
            "-e",
            '{"gce_instance_machine_type": "e2-standard-4", '
            '"gce_instance_accelerators": [{"type": "nvidia-tesla-t4", "count": 1}]}',
        ],
        ["e2-standard-4", "nvidia-tesla-t4", "n1-"],
    ),
    (
        "image family that is gone",
        ["-e", "gce_instance_image_family=pytorch-2-7-cu128-ubuntu-2204-nvidia-570"],
        ["pytorch-2-7-cu128-ubuntu-2204-nvidia-570", "common-cu129-ubuntu-2404-nvidia-580"],
    ),
    (
        "boot disk smaller than the image",
        ["-e", "gce_instance_boot_disk_size_gb=10"],
        ["gce_instance_boot_disk_size_gb is 10", "needs 50"],
    ),
    (
        "misspelt variable",
        ["-e", "gce_instance_machine_typ=x"],
        ["gce_instance_machine_typ", "gce_instance_machine_type"],
    ),
    (
        "missing key file",
        ["-e", "gce_service_account_file=/nonexistent/key.json"],
        ["/nonexistent/key.json"],
    ),
    (
        "no credentials",
        ["-e", "gce_service_account_file="],
        ["gcloud auth application-default login"],
    ),
    (
        "world-open API",
        ["-e", '{"gce_network_api_source_ranges": ["0.0.0.0/0"]}'],
        ["0.0.0.0/0", "gce_network_allow_world"],
    ),
]
BAD_INPUT = ONLY_HERE + part("bad input", ELSEWHERE_TOO, 5)


@pytest.mark.parametrize(
    ("arguments", "said"), [row[1:] for row in BAD_INPUT], ids=[row[0] for row in BAD_INPUT]
)
def test_bad_input_is_one_message_and_creates_nothing(
    demo: dict[str, Any],
    arguments: Sequence[str],
    said: Sequence[str],
    tmp_path: Any,
) -> None:
    before = api(demo, "GET", "aggregated/instances"), api(demo, "GET", "global/firewalls")
    environment = {
        "HOME": str(tmp_path),
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "NO_GCE_CHECK": "true",
    }
    done = site("-e", "gce_name=another", *arguments, environment=environment)
    assert done.returncode != 0, done.stdout
    text = " ".join(done.stdout.split())  # long messages are wrapped
    for words in said:
        assert words in text
    assert "Traceback" not in done.stdout
    after = api(demo, "GET", "aggregated/instances"), api(demo, "GET", "global/firewalls")
    assert after == before


def test_no_quota_is_one_message_and_creates_nothing(demo: dict[str, Any]) -> None:
    quota = f"{demo['emulator']}/emulator/v1/projects/{demo['project']}/regions/us-central1/quotas"

    def limit(value: int) -> None:
        answer = requests.put(f"{quota}/NVIDIA_L4_GPUS", json={"limit": value}, timeout=TIMEOUT_S)
        answer.raise_for_status()

    limit(0)
    try:
        done = site("-e", "gce_name=another")
    finally:
        limit(8)
    assert done.returncode != 0
    assert "NVIDIA_L4_GPUS" in done.stdout
    assert "us-central1" in done.stdout
    assert "another" not in json.dumps(api(demo, "GET", "aggregated/instances"))


# Meanwhile the tests above ran, as the alert waits for two minutes.
@pytest.mark.usefixtures("broken")
def test_a_server_that_is_down_rings(demo: dict[str, Any]) -> None:
    found = until(partial(alerts, demo), lambda found: "LLMServerDown" in found, seconds=600)
    assert found["LLMServerDown"]["state"] == "active", found
    assert found["LLMServerDown"]["instance"] == demo["instance"]
    assert found["Watchdog"]["state"] == "active"


@pytest.mark.usefixtures("broken")
def test_what_was_changed_or_stopped_is_repaired(demo: dict[str, Any]) -> None:
    assert repaired(demo) == {
        "Converge the firewall rules",
        "Converge the instance",
        "Install what the lock says",
        "Remember that it passed",
        "Enable and start the service, or restart it",
    }
    demo.update(json.loads((ROOT / ".demo" / "summary.json").read_text()))
    labels = api(demo, "GET", f"zones/{demo['zone']}/instances/{demo['instance']}")["labels"]
    assert labels["managed-by"] == "gce-vllm"
    assert labels["team"] == "search", "somebody else's label was removed"
    over = until(partial(alerts, demo), lambda found: "LLMServerDown" not in found, seconds=900)
    assert "LLMServerDown" not in over
