# SPDX-License-Identifier: Apache-2.0
"""The table of broken hosts: each has one message of its own, with its remedy.

GPUs are a recorded H100, changed where it is broken. What only a booted host shows (locks, disks,
routes) is in the molecule scenario gpu_host too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import (
    gpu_health,
    gpu_probe,
    readiness,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import build_choice

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"
H100 = (RECORDED / "idle.xml").read_text()
TAKEN = (RECORDED / "loaded.xml").read_text()
T4 = (RECORDED.parent / "t4" / "held.xml").read_text().replace("530.30.02", "580.95.05")
# Its second GPU is held by a process, which is no matter here.
FABRIC = (RECORDED.parent / "h100x2" / "held.xml").read_text().replace("3590 MiB", "9 MiB")
FABRIC = FABRIC.replace("<used>3599 MiB<", "<used>18 MiB<")
UUID = "GPU-00000000-0000-0000-0000-000000000001"
NEEDS = gpu_health.Needs(build="cu130", driver="580", capability="7.5", count=1)
MISSING = (127, "", "")
SMI = ("nvidia-smi", "-q", "-x")
LOG = ("journalctl", "-k", "-b", "-o", "cat", "--no-pager")


@dataclass
class RecordedHost:
    """Answers from a table: what is not in it is not there."""

    commands: Mapping[tuple[str, ...], tuple[int, str, str]] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    vendors: Sequence[str] = ("0x8086", "0x10de")

    def run(self, *command: str) -> tuple[int, str, str]:
        return self.commands.get(command, MISSING)

    def read(self, path: str) -> str:
        return self.files.get(path, "")

    def pci_vendors(self) -> Sequence[str]:
        return self.vendors

    def machine(self) -> str:
        return "x86_64"


def answering(xml: str, capability: str = "9.0", log: str = "") -> RecordedHost:
    """A host whose nvidia-smi works."""
    query = ("nvidia-smi", "--query-gpu=uuid,compute_cap", "--format=csv,noheader")
    topology = (RECORDED / "topo.txt").read_text()
    return RecordedHost(
        {
            SMI: (0, xml, ""),
            query: (0, "".join(f"{UUID[:-1]}{n}, {capability}\n" for n in (1, 2)), ""),
            ("nvidia-smi", "topo", "-m"): (0, topology, ""),
            ("nvcc", "--version"): (0, (RECORDED / "nvcc.txt").read_text(), ""),
            LOG: (0, log or "Linux version 6.8.0-1015-gcp", ""),
        },
        {"/proc/driver/nvidia/version": (RECORDED / "proc_driver_version.txt").read_text()},
    )


def failing(code: int, text: str, **files: str) -> RecordedHost:
    return RecordedHost({SMI: (code, text, "")}, {f"/proc/{k}": v for k, v in files.items()})


def changed(text: str, was: str, becomes: str) -> str:
    assert was in text
    return text.replace(was, becomes, 1)


NO_DRIVER_ANSWERS = (
    "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that "
    "the latest NVIDIA driver is installed and running."
)
NOUVEAU = "nouveau 2396160 0 - Live 0x0\n"
XID_79 = "NVRM: Xid (PCI:0000:00:04): 79, GPU has fallen off the bus.\n"
# name: (host, what is wrong, what to do)
GPUS = {
    "no GPU": (RecordedHost(vendors=["0x8086"]), "No NVIDIA GPU", "machine type with one"),
    "no driver": (RecordedHost(), "nvidia-smi is not installed", "gpu_host_driver_install=true"),
    "driver not running": (failing(9, NO_DRIVER_ANSWERS), "not running", "Secure Boot"),
    "nouveau, no driver": (
        RecordedHost(files={"/proc/modules": NOUVEAU}),
        "gave to nouveau",
        "Blacklist nouveau",
    ),
    "nouveau beside a driver": (
        failing(9, NO_DRIVER_ANSWERS, modules=NOUVEAU),
        "gave to nouveau",
        "Blacklist nouveau",
    ),
    "driver/library version mismatch": (
        failing(18, "Failed to initialize NVML: Driver/library version mismatch"),
        "another version than the NVIDIA libraries",
        "Reboot the host",
    ),
    "GPU fell off the bus": (
        failing(15, "Unable to determine the device handle for GPU0000:00:04.0: GPU is lost."),
        "fallen off the bus",
        "Stop and start the instance",
    ),
    "GPU fell off the bus and came back": (
        answering(H100, log=XID_79),
        "Xid 79 (1 times), a GPU that fell off the bus",
        "stop and start the instance",
    ),
    "driver too old": (
        answering(changed(H100, "580.159.04", "570.133.20")),
        "NVIDIA driver 570.133.20 runs (CUDA 13.0); the cu130 build of vLLM needs 580",
        "ends in nvidia-580",
    ),
    "GPU too old": (
        answering(changed(H100, "NVIDIA H100 80GB HBM3", "Tesla P100"), "6.0"),
        "(too old or unknown: Tesla P100 6.0)",
        "Choose another machine type",
    ),
    "ECC errors": (
        answering(changed(H100, "<dram_uncorrectable>0<", "<dram_uncorrectable>2<")),
        "had 2 errors in its memory that could not be corrected",
        "reboot the host",
    ),
    "no spare rows": (
        answering(changed(H100, "remapped_row_failure>No<", "remapped_row_failure>Yes<")),
        "no spare rows of memory",
        "stop and start the instance",
    ),
    "memory held by another process": (
        answering(TAKEN),
        "held by others, VLLM::EngineCore (pid 910, no service, 76730 MiB)",
        "end them",
    ),
    "memory held by nobody who can be seen": (
        answering(TAKEN[: TAKEN.index("<process_info>")] + TAKEN[TAKEN.index("</processes>") :]),
        "76739 MiB of its memory are in use, and no process that can be seen",
        "fuser -v /dev/nvidia*",
    ),
    "memory held by a process that does not say how much": (
        answering(changed(TAKEN, "<used_memory>76730 MiB<", "<used_memory>N/A<")),
        "76739 MiB of its memory are held by others, VLLM::EngineCore (pid 910, no service, ? MiB)",
        "end them",
    ),
    "driver hangs": (
        RecordedHost({SMI: (124, "", "no answer within 60 s")}),
        "driver hangs: nvidia-smi gives no answer",
        "reboot the host",
    ),
    "pages of memory given up": (
        answering(changed(T4, "pending_blacklist>No<", "pending_blacklist>Yes<"), "7.5"),
        "has pages of memory that it gives up after a reset",
        "reboot the host",
    ),
    "too many pages of memory given up": (
        answering(changed(T4, "<retired_count>0<", "<retired_count>60<"), "7.5"),
        "had to give up 60 pages of its memory",
        "stop and start the instance",
    ),
    "memory that can't be repaired": (
        answering(changed(H100, "unrepairable_memory>No<", "unrepairable_memory>Yes<")),
        "has memory that can't be repaired",
        "stop and start the instance",
    ),
    "a channel of memory to repair": (
        answering(changed(H100, "channel_repair_pending>No<", "channel_repair_pending>Yes<")),
        "repairs a channel of its memory at the next reset",
        "reboot the host",
    ),
    "processors to repair": (
        answering(changed(H100, "tpc_repair_pending>No<", "tpc_repair_pending>Yes<")),
        "repairs its processors (TPC) at the next reset",
        "reboot the host",
    ),
    "NVSwitch not ready": (
        answering(changed(FABRIC, "<state>Completed<", "<state>In Progress<")),
        "not joined the NVSwitch fabric (state In Progress, status Success)",
        "nvidia-fabricmanager",
    ),
    "NVSwitch failed": (
        answering(changed(FABRIC, "<status>Success<", "<status>Insufficient Resources<")),
        "not joined the NVSwitch fabric (state Completed, status Insufficient Resources)",
        "nvidia-fabricmanager",
    ),
    "half a driver": (
        failing(
            12,
            "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system. Please make sure "
            "that the NVIDIA Display Driver is properly installed and present in your system.",
        ),
        "libnvidia-ml) is missing",
        "gpu_host_driver_install=true",
    ),
    "not root": (
        failing(4, "Failed to initialize NVML: Insufficient Permissions"),
        "lacks the right",
        "Run as root",
    ),
    "no access": (
        failing(255, "Failed to initialize NVML: Unknown Error"),
        "access to the GPU's devices was lost",
        "Restart the container or service",
    ),
    "no power": (failing(8, ""), "lacks its power cables", "moves to other hardware"),
    "interrupts": (failing(10, ""), "fault of a GPU's interrupts", "Reboot the host"),
    "nvidia-smi crashes": (failing(139, "Segmentation fault"), "not known here", "Segmentation"),
    "nvidia-smi prints something else": (
        RecordedHost({SMI: (0, "<html/>", "")}),
        "not known here",
        "'html'",
    ),
}


@pytest.mark.parametrize("name", GPUS)
def test_a_broken_gpu_has_one_message_with_its_remedy(name: str) -> None:
    host, wrong, remedy = GPUS[name]
    (sentence,) = gpu_probe.collect(host, needs=NEEDS)["problems"]
    assert wrong in sentence
    assert remedy in sentence


def test_a_sound_gpu_has_none() -> None:
    facts = gpu_probe.collect(answering(H100), needs=NEEDS)
    assert (facts["problems"], facts["status"]) == ([], "ok")
    assert (facts["driver"], facts["kernel_module"]) == ("580.159.04", "580.159.04")
    assert facts["topology"] == {"GPU0": {}}
    assert facts["cuda_toolkit"] == "13.0"


def test_two_gpus_were_asked_for() -> None:
    needs = gpu_health.Needs(build="cu130", driver="580", capability="7.5", count=2)
    (sentence,) = gpu_probe.collect(answering(H100), needs=needs)["problems"]
    assert "There are 1 GPU(s): NVIDIA H100 80GB HBM3. The cu130 build of vLLM needs 2" in sentence


def test_our_own_server_may_hold_the_memory() -> None:
    host = answering(TAKEN)
    host.files = {**host.files, "/proc/910/cgroup": "0::/system.slice/llm-server.service\n"}
    facts = gpu_probe.collect(host, own_units=["llm-server.service"], needs=NEEDS)
    assert facts["problems"] == []


def test_every_state_that_is_no_gpu_has_a_remedy() -> None:
    told = {
        gpu_probe.collect(host, needs=NEEDS)["status"] for host, _wrong, _remedy in GPUS.values()
    }
    assert told - {"ok"} == set(gpu_health.STATUSES)


UPGRADE = {"path": readiness.LOCKS[0], "pid": 812, "name": "unattended-upgr"}
RESTING: dict[str, Any] = {
    "cloud_init": "done",
    "locks": [],
    "busy_units": [],
    "interrupted": False,
    "machine": "x86_64",
    "machines": ["x86_64"],
    "python": "3.12",
    "python_wanted": "/usr/bin/python3",
    "space": [{"path": "/opt/vllm", "mib": 4096, "free_mib": 4096}],
    "unreached": [],
}
# name: (what is different, what is wrong, what to do)
HOSTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "wrong architecture": (
        {"machine": "aarch64"},
        "processor of the kind aarch64",
        "Choose another machine type",
    ),
    "no Python there": (
        {"python": "", "python_wanted": "/opt/python3.12/bin/python3"},
        "has no Python at /opt/python3.12/bin/python3",
        "vllm_venv_python=auto",
    ),
    "disk full": (
        {"space": [{"path": "/opt/vllm", "mib": 4096, "free_mib": 4095}]},
        "4095 MiB free for /opt/vllm, and 4096 are needed",
        "gce_instance_boot_disk_size_gb",
    ),
    "apt locked": (
        {"locks": [{**UPGRADE, "unit": "apt-daily-upgrade.service"}]},
        "locked by unattended-upgr (pid 812, apt-daily-upgrade.service), still after 600 s",
        "Wait until that is done",
    ),
    "apt locked by a person": (
        {"locks": [{**UPGRADE, "name": "apt", "unit": None}], "interrupted": True},
        "locked by apt (pid 812, no service)",
        "or end it",
    ),
    "updates between two locks": (
        {"busy_units": ["apt-daily-upgrade.service"]},
        "still updating itself (apt-daily-upgrade.service)",
        "Wait until that is done",
    ),
    "dpkg was interrupted": (
        {"interrupted": True},
        "packages half installed",
        "dpkg --configure -a",
    ),
    "cloud-init never ends": (
        {"cloud_init": "running"},
        "set up by cloud-init (running) after 600 s",
        "cloud-init status --long",
    ),
    "no network": (
        {"unreached": [{"url": "https://mirror.example/", "reason": "Network is unreachable"}]},
        "can't reach https://mirror.example/: Network is unreachable",
        "Cloud NAT",
    ),
}


@pytest.mark.parametrize("name", HOSTS)
def test_a_broken_host_has_one_message_with_its_remedy(name: str) -> None:
    different, wrong, remedy = HOSTS[name]
    (sentence,) = readiness.problems({**RESTING, **different}, 600)
    assert wrong in sentence
    assert remedy in sentence


L4 = {"name": "NVIDIA L4", "compute_capability": "8.9"}
FITTING = {"driver": "580.95.05", "gpus": [L4], "python": "3.12", "machine": "x86_64"}
# name: (what is different, what is wrong, what to do)
UNFIT: dict[str, tuple[dict[str, Any], str, str]] = {
    "Python too old": (
        {"python": "3.10"},
        "is made for Python 3.12, and there is 3.10, which vllm_venv_python=/usr/bin/python3 names",
        "set vllm_venv_python=auto, so that uv fetches 3.12, or choose an image that brings it",
    ),
    "Python too new": (
        {"python": "3.13"},
        "is made for Python 3.12, and there is 3.13",
        "set vllm_venv_python=auto",
    ),
    "wrong architecture": (
        {"machine": "aarch64"},
        "the processor is of the kind aarch64",
        "Change the machine type",
    ),
    "driver too old": (
        {"driver": "570.133.20"},
        "NVIDIA driver 570.133.20 runs",
        "Change the driver (update it on the host, then reboot), the image (a family that ends in "
        "nvidia-580 or a higher number), or the version: 0.32.0 cu129",
    ),
    "GPU too old": (
        {"gpus": [{"name": "Tesla P100", "compute_capability": "6.0"}]},
        "unknown: Tesla P100 6.0",
        "Choose another machine type or accelerator",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_a_host_that_no_build_fits_has_one_message_with_its_remedy(name: str) -> None:
    different, wrong, remedy = UNFIT[name]
    seen = build_choice.Seen(**{**FITTING, **different})
    (sentence,) = build_choice.choose(seen, python="/usr/bin/python3").reasons
    assert wrong in sentence
    assert remedy in sentence


def test_a_host_at_rest_has_none() -> None:
    assert readiness.problems(RESTING, 600) == []


@pytest.mark.parametrize(
    ("printed", "state", "works"),
    [
        ("status: running\n", "running", True),
        ("status: not run\n", "not run", True),
        ("status: not started\n", "not started", True),
        ("status: done\n", "done", False),
        ("status: error\nextended_status: error - done\n", "error", False),
        ("status: disabled\n", "disabled", False),
        ("", "unknown", False),
    ],
)
def test_what_cloud_init_says(printed: str, state: str, works: bool) -> None:
    assert readiness.cloud_init_state(printed) == state
    assert readiness.cloud_init_works(state) is works


def test_services_at_work() -> None:
    shown = (
        "Id=apt-daily.service\nActiveState=inactive\n\n"
        "Id=apt-daily-upgrade.service\nActiveState=activating\n"
    )
    assert readiness.busy_units(shown) == ["apt-daily-upgrade.service"]
    assert readiness.busy_units("") == []
