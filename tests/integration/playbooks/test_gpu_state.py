# SPDX-License-Identifier: Apache-2.0
"""What GPUs ask for, in status.yml and drift.yml, of a host whose nvidia-smi is a recording."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.support.emulator_fixture import ROOT
from tests.support.exhaustive import only_in_full
from tests.support.modules_fixtures import Json, free_port
from tests.support.site_fixture import DRIFT_KEYS, NAME, Site

RECORDED = ROOT / "tests" / "fixtures" / "nvidia_smi" / "h100" / "idle.xml"
SMI = """\
#!/bin/sh
case $1 in
--query-gpu=*) echo "GPU-00000000-0000-0000-0000-000000000001, 9.0" ;;
-q) cat {log} ;;
*) exit 1 ;;
esac
"""
BUS = "00000000:00:06.0"
HOT = {"gpu": BUS, "kind": "throttling", "text": "it is too hot", "action": "go on"}
WORN = {
    "gpu": BUS,
    "kind": "remap failure",
    "text": "no spare rows of memory are left",
    "action": "recreate elsewhere",
}


@pytest.fixture
def ailing(made: Site) -> Site:
    """A deployment on an H100 that is hot and has no spare memory left."""
    text = RECORDED.read_text()
    for tag in ("remapped_row_failure>No<", "hw_thermal_slowdown>Not Active<"):
        assert tag in text
        text = text.replace(tag, tag.replace("Not Active", "Active").replace("No<", "Yes<"), 1)
    (made.folder / "log.xml").write_text(text)
    program = made.folder / "nvidia-smi"
    program.write_text(SMI.format(log=made.folder / "log.xml"))
    program.chmod(0o755)
    made.variables |= {
        "llm_device": "cuda",
        "gpu_host_space": [],
        "gpu_host_reach": [],
        "preflight_skip_fit": True,
    }
    made.reach_locally()
    return made


def played(site: Site, name: str) -> tuple[int, str, Json]:
    """Exit status, output, and the JSON that is written."""
    target = site.folder / f"{name}.json"
    path = {"PATH": f"{site.folder}:{os.environ['PATH']}"}
    option = f"{name}_output={target}"
    done = site.play(f"playbooks/{name}.yml", "-e", option, environment={**os.environ, **path})
    return done.returncode, " ".join(done.stdout.split()), json.loads(Path(target).read_text())


def test_status_says_what_the_gpus_ask_for(ailing: Site) -> None:
    # Here it can't even be tried to log in, which Ansible takes for a failure.
    ailing.servers["far"] = {
        "gcp_labels": {"gce-vllm-name": NAME},
        "ansible_connection": "google.cloud.iap",
        "ansible_host": "127.0.0.1",
        "ansible_gcloud_executable": str(ailing.folder / "missing"),
        "ansible_ssh_timeout": 1,
    }
    code, said, found = played(ailing, "status")
    assert code == 0, said
    far, one = found["gpu_hosts"]
    assert (far["host"], far["looked_at"]) == ("far", False)
    assert "IAP tunnel" in far["why"]
    assert "GPUs of far: not looked at, " in said
    assert (one["host"], one["looked_at"], one["why"]) == (NAME, True, "")
    assert one["findings"] == [WORN, HOT]
    assert "has no spare rows of memory left" in one["problems"][0]
    assert f"GPUs of {NAME}: 1 x NVIDIA H100 80GB HBM3" in said
    assert f"GPU {BUS}: no spare rows of memory are left: recreate elsewhere" in said
    assert f"GPU {BUS}: it is too hot: go on" in said


# In every run tests/unit/plugins/test_gpu_report.py has the report, and what the callback keeps.
@only_in_full
def test_drift_says_so_too(ailing: Site) -> None:
    code, said, found = played(ailing, "drift")
    assert (code, set(found)) == (2, DRIFT_KEYS)
    assert found["gpu_findings"] == [{"host": NAME, **WORN}, {"host": NAME, **HOT}]
    assert f"{NAME}: GPU {BUS}: no spare rows of memory are left: recreate elsewhere" in said
    assert f"{NAME}: GPU {BUS}: it is too hot: go on" in said
    assert found["status"] == "error", "what asks for an action is refused besides"
    [error] = found["errors"]
    assert "has no spare rows of memory left" in error["message"]


@only_in_full
def test_status_of_a_host_that_does_not_answer_and_of_none(ailing: Site) -> None:
    ailing.servers = {NAME: {"ansible_host": "127.0.0.1", "ansible_port": free_port()}}
    code, said, found = played(ailing, "status")
    assert code == 0, said
    [one] = found["gpu_hosts"]
    assert (one["looked_at"], one["findings"]) == (False, [])
    assert f"GPUs of {NAME}: not looked at, the host does not answer by SSH" in said
    assert ailing.document("status", "-e", "status_gpus=false")["gpu_hosts"] == []
    ailing.ok("stop")
    assert ailing.document("status")["gpu_hosts"] == [], "there is nobody to ask"
