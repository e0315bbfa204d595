# SPDX-License-Identifier: Apache-2.0
"""The role gpu_host on hosts whose nvidia-smi is a recording: what it picks, and what it refuses.

It looks only: what it writes on a host is in the molecule scenario.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.emulator_fixture import ROOT
from tests.support.playbook_runs import ansible_playbook

FIXTURES = ROOT / "tests" / "fixtures" / "nvidia_smi"
UUID = "GPU-00000000-0000-0000-0000-00000000000"
NEW = ("530.30.02", "580.95.05")
# name: (recording, compute capability, what is changed in it, further variables)
HOSTS: dict[str, tuple[str, str, tuple[str, str], dict[str, Any]]] = {
    "h100": ("h100x2/held.xml", "9.0", ("3599 MiB", "18 MiB"), {"gpu_host_count": 2}),
    "t4": ("t4/held.xml", "7.5", NEW, {}),
    "old-driver": ("t4/held.xml", "7.5", ("x", "x"), {}),
    "old-gpu": ("t4/held.xml", "7.0", NEW, {}),
    "old-python": ("t4/held.xml", "7.5", NEW, {"vllm_venv_python": "python3.8"}),
    "two-things": ("t4/held.xml", "7.5", ("x", "x"), {"gpu_host_count": 2}),
    "not-locked": ("t4/held.xml", "7.5", NEW, {"gpu_host_version": "9.9"}),
    "debian-11": ("t4/held.xml", "7.5", NEW, {}),
    "cpu": ("t4/held.xml", "7.5", NEW, {"gpu_host_device": "cpu"}),
    # An H100 beside a card that no build runs on, as in a workstation.
    "two-kinds": ("h100x2/held.xml", "9.0 6.1", ("3599 MiB", "18 MiB"), {}),
    "hidden": (
        "h100x2/held.xml",
        "9.0 6.1",
        ("3599 MiB", "18 MiB"),
        {"llm_server_environment": {"CUDA_VISIBLE_DEVICES": f"{UUID}1"}},
    ),
}
SMI = """\
#!/bin/sh
case $1 in
--query-gpu=*)
    echo "{uuid}1, {first}"; echo "{uuid}2, {last}" ;;
-q) cat {log} ;;
*) exit 1 ;;
esac
"""


def machine(folder: Path, name: str) -> dict[str, Any]:
    """Variables of a host, and its programs in a folder."""
    recording, capability, (was, becomes), more = HOSTS[name]
    programs = folder / name
    programs.mkdir()
    text = (FIXTURES / recording).read_text().replace(was, becomes).replace("3590 MiB", "9 MiB")
    (programs / "log.xml").write_text(text)
    first, last = capability.split()[0], capability.split()[-1]
    smi = SMI.format(uuid=UUID, first=first, last=last, log=programs / "log.xml")
    old = '#!/bin/sh\n[ "$1" = -Sc ] && echo 3.8\n'
    for program, script in (("nvidia-smi", smi), ("python3.8", old)):
        (programs / program).write_text(script)
        (programs / program).chmod(0o755)
    if "vllm_venv_python" in more:
        more = {"vllm_venv_python": str(programs / more["vllm_venv_python"])}
    return {"programs": str(programs), **more}


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """Each host's result, and all that was said, in one run."""
    folder = tmp_path_factory.mktemp("hosts")
    inventory = {
        "all": {
            "hosts": {name: machine(folder, name) for name in HOSTS},
            "vars": {
                "ansible_connection": "local",
                "ansible_python_interpreter": sys.executable,
                "llm_device": "cuda",
                "gpu_host_packages": "leave",
                "gpu_host_persistence": False,
                "gpu_host_boot_check": False,
                "gpu_host_reach": [],
                "gpu_host_space": [],
            },
        }
    }
    play = {
        "hosts": "all",
        "gather_facts": False,
        "environment": {"PATH": "{{ programs }}:" + os.environ["PATH"]},
        "pre_tasks": [
            {
                "name": "Tell the Python of Debian 11",
                "ansible.builtin.set_fact": {"python_version": "3.9.2", "cacheable": True},
                "when": "inventory_hostname == 'debian-11'",
            }
        ],
        "roles": [{"role": "llmops.gce_vllm.gpu_host"}],
        "tasks": [
            {
                "name": "Keep it",
                "ansible.builtin.copy": {
                    "content": "{{ gpu_host_result | to_json }}",
                    "dest": "{{ programs }}/result.json",
                    "mode": "0600",
                },
            }
        ],
    }
    (folder / "hosts.yml").write_text(yaml.safe_dump(inventory))
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    done = ansible_playbook("-i", folder / "hosts.yml", folder / "play.yml", timeout=600)
    assert done.returncode == 2, done.stdout + done.stderr
    results = {path.parent.name: path.read_text() for path in folder.glob("*/result.json")}
    return {name: json.loads(text) for name, text in results.items()}, done.stdout


@pytest.mark.parametrize(
    ("name", "build", "dtype"),
    [
        ("h100", "cu130", "bfloat16"),
        ("t4", "cu130", "half"),
        ("not-locked", "cu130", "half"),
        ("cpu", "cpu", "float32"),
        ("hidden", "cu130", "bfloat16"),
    ],
)
def test_a_host_that_fits_gets_its_build_and_number_format(
    seen: tuple[dict[str, Any], str], name: str, build: str, dtype: str
) -> None:
    assert (seen[0][name]["build"], seen[0][name]["dtype"]) == (build, dtype)


def test_the_others_get_none(seen: tuple[dict[str, Any], str]) -> None:
    refused = {"old-driver", "old-gpu", "old-python", "two-things", "debian-11", "two-kinds"}
    assert set(HOSTS) - set(seen[0]) == refused


def test_only_what_vllm_sees_is_counted(seen: tuple[dict[str, Any], str]) -> None:
    assert [gpu["uuid"] for gpu in seen[0]["hidden"]["gpus"]] == [f"{UUID}1"]
    assert len(seen[0]["h100"]["gpus"]) == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old-driver", "old-driver: NVIDIA driver 530.30.02 runs, and vLLM 0.32.0 for CUDA 13.0"),
        ("old-driver", "or the version: 0.32.0 cu129 (no lock of it is here, its wheels are on"),
        ("old-gpu", "old-gpu: vLLM 0.32.0 for CUDA 13.0 (cu130) has code for compute capabilities"),
        ("old-gpu", "Tesla T4 7.0. No driver and no image helps. Choose another machine type or"),
        ("old-python", "is made for Python 3.12, and there is 3.8, which vllm_venv_python="),
        ("debian-11", "debian-11 has Python 3.9.2, and the modules need 3.10 or newer. Debian 12"),
        ("two-things", "two-things: There are 1 GPU(s): Tesla T4. vLLM needs 2. Choose another"),
        ("two-things", "two-things: NVIDIA driver 530.30.02 runs"),
        ("two-kinds", "Hide it: llm_server_environment: {CUDA_VISIBLE_DEVICES: " + UUID + "1}"),
        ("not-locked", "not-locked: vLLM 9.9 is not in the compatibility contract"),
    ],
)
def test_each_is_told_what_is_wrong_with_it(
    seen: tuple[dict[str, Any], str], name: str, said: str
) -> None:
    assert name in seen[1]
    assert " ".join(said.split()) in " ".join(seen[1].split())


def test_no_reference_of_an_expression_is_left_in_a_message(
    seen: tuple[dict[str, Any], str],
) -> None:
    assert "\\1" not in seen[1]
    assert "\\n" not in seen[1]
