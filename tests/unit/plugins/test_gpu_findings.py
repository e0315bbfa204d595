# SPDX-License-Identifier: Apache-2.0
"""What the kernel's log and nvidia-smi say in other words: table by table, a line a case."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.llmops.gce_vllm.plugins.filter import machine_gpus
from ansible_collections.llmops.gce_vllm.plugins.module_utils.host import (
    gpu_health,
    gpu_probe,
    kernel_gpu,
    kernel_log,
    nvidia_smi,
    nvidia_xid,
    readiness,
)
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import compatibility

from tests.unit.plugins.test_broken_hosts import (
    FABRIC,
    H100,
    NEEDS,
    SMI,
    RecordedHost,
    answering,
    changed,
)

BUS = "NVRM: Xid (PCI:0000:cb:00): "
TO_REBOOT = "GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)"
# Each line of the log, and what it asks for.
XIDS = {
    "62, 2192, 00000000": "reset",
    "109, pid=1797828, name=pt_main_thread, Ch 00000008, errorString CTX SWITCH TIMEOUT": "reset",
    "110, pid=1, Security fault": "reset",
    "136, Link 3 training failed": "reset",
    "140, Unrecovered ECC Error": "reset",
    "151, key rotation": "reset",
    "156, Resource Retirement Event": "reset",
    "158, GPU Fatal Timeout": "reset",
    f"154, {TO_REBOOT}": "reset",
    f"154, pid='<unknown>', name=<unknown>, {TO_REBOOT}": "reset",
    "154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)": "reset",
    "154, GPU recovery action changed from 0x0 (None) to 0x4 (Drain and Reset)": "reset",
    "154, GPU recovery action changed from 0x2 (Node Reboot Required) to 0x0 (None)": "go on",
    "79, GPU has fallen off the bus.": "recreate elsewhere",
    "64, Row Remapper Error": "recreate elsewhere",
    "54, auxiliary power": "recreate elsewhere",
    "13, Graphics SM Warp Exception": "go on",
    "31, MMU Fault": "go on",
    "45, pid=1, Ch 00000010": "go on",
    "94, Contained: SM": "go on",
    "137, NVLink Privilege Error": "go on",
    # A link that is taken down on purpose is logged so, too.
    "155, NVLINK: Link down": "go on",
    "157, Resource Retirement Failure": "go on",
    "145, RLW_REMAP Fatal XC0 i0 Link 08 (0x00000042 0x00000040)": "reset",
    "149, NETIR_LINK_EVT Nonfatal XC0 i0 Link 00 (0x00000009 0x00000004)": "go on",
    "149, NETIR error": "reset",
    "999, a code of tomorrow": "go on",
}


def finding(log: str, xml: str = H100) -> list[dict[str, Any]]:
    facts = gpu_probe.collect(answering(xml, log=log), needs=NEEDS)
    asked = {one["action"] for one in facts["findings"]}
    # What asks for an action is a sentence for people, too, and nothing else is.
    assert bool(facts["problems"]) is bool(asked - {"go on"})
    return list(facts["findings"])


@pytest.mark.parametrize("line", XIDS)
def test_an_error_by_nvidias_catalog(line: str) -> None:
    (found,) = finding(BUS + line)
    assert (found["kind"], found["action"]) == ("xid", XIDS[line])


def test_the_whole_catalog_has_an_action() -> None:
    assert set(nvidia_xid.CATALOG) >= {
        *range(37, 42),
        46,
        48,
        62,
        63,
        64,
        74,
        79,
        92,
        *range(94, 111),
    }
    assert {*range(139, 173)} - set(nvidia_xid.CATALOG) == set()
    actions = {one.action for one in nvidia_xid.CATALOG.values()}
    assert actions == {"go on", "reset", "recreate elsewhere"}


def test_nvlink_4_is_not_on_blackwell() -> None:
    blackwell = changed(H100, "<product_architecture>Hopper<", "<product_architecture>Blackwell<")
    for xml, action in ((H100, "reset"), (blackwell, "go on")):
        (found,) = finding(f"{BUS}74, NVLink: fatal error", xml)
        assert found["action"] == action


def test_a_fatal_error_is_kept_over_a_later_one_that_is_not() -> None:
    log = f"{BUS}145, RLW_REMAP Fatal XC0\n{BUS}145, RLW_CTRL Nonfatal XC0\n"
    (found,) = kernel_gpu.xid_errors(log)
    assert found["count"] == 2 and "RLW_REMAP Fatal" in found["last"]


@pytest.mark.parametrize(
    ("line", "bus"),
    [
        ("NVRM: Xid (PCI:0000:01:00 GPU-I:05): 95, pid=7194, Uncontained: LTC", "0000:01:00"),
        ("NVRM: Xid (PCI:0000:3b:00 GPU-I:01 GPU-CI:02): 95, pid=1, Uncontained", "0000:3b:00"),
    ],
)
def test_lines_of_a_gpu_in_mig_mode(line: str, bus: str) -> None:
    (found,) = kernel_gpu.xid_errors(line)
    assert (found["pci_bus_id"], found["code"]) == (bus, 95)
    assert found["last"].startswith("GPU-I:")


NO_DEVICES = "No devices were found"
# A line of the kernel's log where the module is loaded and no GPU answers: its cause, and what to
# do.
CAUSES = {
    "NVRM: The NVIDIA GPU 0000:00:04.0 (PCI ID: 10de:1db1) installed in this system is not "
    "supported "
    "by open nvidia.ko because it does not include the required GPU System Processor (GSP).": (
        "open module on an older GPU", "gpu_host_driver_kernel_module=proprietary"),
    "NVRM: installed in this system requires use of the NVIDIA open kernel modules.": (
        "proprietary module on a newer GPU", "gpu_host_driver_kernel_module=open"),
    "NVRM: RmInitAdapter failed! (0x62:0x40:1860)": ("not initialised", "Stop and start"),
    "NVRM: _kgspBootGspRm: unexpected WPR2 already up, cannot proceed with booting GSP. (the GPU "
    "is "
    "likely in a bad state and may need to be reset)": ("firmware", "Stop and start"),
    "NVRM: GPU 0000:00:04.0: GPU has fallen off the bus.": ("fallen off the bus", "Stop and start"),
    "modprobe: ERROR: could not insert 'nvidia': Key was rejected by service": (
        "secure boot", "Secure Boot"),
    "Lockdown: modprobe: unsigned module loading is restricted; see man kernel_lockdown.7": (
        "secure boot", "Secure Boot"),
    "NVRM: API mismatch: the client has the version 580.1, but this kernel module has 570.2": (
        "API mismatch", "Reboot the host"),
    "nvidia: version magic '6.8.0-1 SMP' should be '6.8.0-2 SMP'": ("module not built", "dkms"),
    "NVRM: The NVIDIA probe routine was not called for 1 device(s).": (
        "held by another driver", "Another driver"),
    "NVRM: The NVIDIA Tesla K80 GPU installed in this system is supported through the NVIDIA "
    "470.xx "
    "Legacy drivers. Please visit": ("unsupported GPU", "another GPU"),
}  # fmt: skip


@pytest.mark.parametrize("line", CAUSES)
def test_the_kernels_log_says_why_no_gpu_answers(line: str) -> None:
    name, remedy = CAUSES[line]
    host = answering(H100, log=f"[    4.1] {line}\n")
    host.commands = {**host.commands, SMI: (6, NO_DEVICES, "")}
    facts = gpu_probe.collect(host, needs=NEEDS)
    assert facts["kernel_causes"][0] == name
    (sentence,) = facts["problems"]
    assert remedy in sentence
    if "NVRM" in line or "Lockdown" in line:
        assert f"The kernel's log says: {line[:80]}" in sentence
    assert "often the kernel was updated" not in sentence


def test_no_cause_in_the_log_leaves_the_common_remedies() -> None:
    assert "often the kernel was updated" in gpu_health.of_status("driver_not_running", "", "Linux")
    lines = kernel_log.last_lines("\n".join(f"NVRM: line {n}" for n in range(9)))
    assert lines == ["NVRM: line 6", "NVRM: line 7", "NVRM: line 8"]


def test_one_gpu_of_several_that_fell_off_the_bus() -> None:
    log = "NVRM: GPU 0000:00:05.0: GPU has fallen off the bus."
    facts = gpu_probe.collect(answering(H100, log=log), needs=NEEDS)
    (sentence,) = facts["problems"]
    assert "fell off the bus" in sentence and "0000:00:05.0" in sentence


def test_fewer_gpus_than_the_machine_type_brings() -> None:
    for brought, said in ((2, "Only 1 of the machine type's 2 GPUs answer"), (1, ""), (0, "")):
        needs = gpu_health.Needs(count=1, brought=brought)
        problems = gpu_probe.collect(answering(H100), needs=needs)["problems"]
        assert problems == [] if not said else said in problems[0]
    both = gpu_health.Needs(count=1, brought=2)
    assert not [
        text
        for text in gpu_probe.collect(answering(FABRIC), needs=both)["problems"]
        if "Only" in text
    ]


@pytest.mark.parametrize(
    ("machine_type", "accelerators", "number"),
    [
        ("a3-highgpu-8g", None, 8),
        ("n1-standard-8", [{"type": "nvidia-tesla-t4", "count": 2}], 2),
        ("e2-standard-4", None, 0),
        ("", None, 0),
    ],
)
def test_gpus_of_a_machine_type(machine_type: str, accelerators: Any, number: int) -> None:
    assert machine_gpus.number(machine_type, accelerators) == number


# nvidia-smi's exit status and what it prints, on a host with an NVIDIA GPU.
ANSWERS = [
    (0, "<nvidia_smi_log>", "ok"),
    (2, "Invalid argument", "unreadable"),
    (3, "The requested operation is not available", "unreadable"),
    (4, "", "no_right"),
    (6, "", "driver_not_running"),
    (8, "", "no_power"),
    (9, "", "driver_not_running"),
    (10, "", "interrupts"),
    (12, "", "no_library"),
    (13, "", "unreadable"),
    (14, "", "unreadable"),
    (15, "", "gpu_lost"),
    (12, "NVIDIA-SMI couldn't find libnvidia-ml.so library in your system.", "no_library"),
    (255, "Failed to initialize NVML: Unknown Error", "no_access"),
    (4, "Failed to initialize NVML: Insufficient Permissions", "no_right"),
    (
        255,
        "Unable to determine the device handle for GPU0000:01:00.0: Not Found",
        "driver_not_running",
    ),
    (255, "Unable to determine the device handle for GPU0000:01:00.0: GPU is lost.", "gpu_lost"),
    (6, NO_DEVICES, "driver_not_running"),
    (124, "", "hung"),
]


@pytest.mark.parametrize(("code", "output", "status"), ANSWERS)
def test_every_exit_status_that_is_documented(code: int, output: str, status: str) -> None:
    assert nvidia_smi.status_of(code, output, nvidia_on_pci=True) == status


def test_a_whole_log_with_a_warning_is_read() -> None:
    host = answering(H100)
    host.commands = {
        **host.commands,
        SMI: (14, H100, "WARNING: infoROM is corrupted at gpu 0000:00:04.0"),
    }
    facts = gpu_probe.collect(host, needs=NEEDS)
    assert (facts["status"], facts["problems"]) == ("ok", [])
    assert "infoROM" in facts["nvidia_smi_warnings"][0]


def test_a_log_is_no_message() -> None:
    facts = gpu_probe.collect(RecordedHost({SMI: (139, "clocks " * 1000, "")}), needs=NEEDS)
    assert len(facts["problems"][0]) < 500


@pytest.mark.parametrize(
    ("was", "word"),
    [
        ("<gpu_temp>30 C<", "[GPU requires reset]"),
        ("<gpu_temp>30 C<", "[Unknown Error]"),
        ("<gpu_temp>30 C<", "ERR!"),
        ("<gpu_temp>30 C<", "Unknown Error"),
    ],
)
def test_words_where_numbers_belong(was: str, word: str) -> None:
    start = H100.index("<gpu_temp>")
    text = H100[:start] + f"<gpu_temp>{word}</gpu_temp>" + H100[H100.index("</gpu_temp>") + 11 :]
    facts = gpu_probe.collect(answering(text), needs=NEEDS)
    (sentence,) = facts["problems"]
    assert f"gpu_temp is '{word}'" in sentence and "reboot the host" in sentence
    (found,) = facts["findings"]
    assert (found["kind"], found["action"]) == ("unread", "reset")


def mig(xml: str) -> str:
    """A recorded H100, split into two instances."""
    instance = (
        "<mig_device><index>{n}</index><fb_memory_usage><total>{size} MiB</total><used>1 MiB</used>"
        "</fb_memory_usage><ecc_error_count><volatile_count><sram_uncorrectable>{errors}"
        "</sram_uncorrectable></volatile_count></ecc_error_count></mig_device>"
    )
    both = instance.format(n=0, size=19968, errors=0) + instance.format(n=1, size=4864, errors=2)
    start, end = xml.index("<mig_devices>"), xml.index("</mig_devices>")
    split = xml[:start] + "<mig_devices>" + both + xml[end:]
    on = changed(split, "<current_mig>Disabled<", "<current_mig>Enabled<")
    return changed(on, "<pending_mig>Disabled<", "<pending_mig>Enabled<")


def test_instances_of_a_gpu_in_mig_mode() -> None:
    facts = gpu_probe.collect(answering(mig(H100)), needs=NEEDS)
    told = "\n".join(facts["problems"])
    assert "2 MIG instances (19968 MiB, 4864 MiB), of which vLLM gets one alone" in told
    assert facts["gpus"][0]["ecc_errors"]["uncorrected"] == 2
    assert "had 2 errors in its memory" in told


def test_a_process_may_be_called_with_anything() -> None:
    start, end = H100.index("<processes>"), H100.index("</processes>")
    process = (
        "<process_info><pid>7</pid><process_name>/usr/bin/browser --key=hunter2 --more=stuff"
        "</process_name><used_memory>9000 MiB</used_memory></process_info>"
    )
    text = H100[:start] + "<processes>" + process + H100[end:]
    told = "\n".join(gpu_probe.collect(answering(text), needs=NEEDS)["problems"])
    assert "/usr/bin/browser (pid 7" in told and "hunter2" not in told


def test_errors_that_nvidia_does_not_let_pass() -> None:
    text = H100.replace("sram_threshold_exceeded>No<", "sram_threshold_exceeded>Yes<", 1)
    facts = gpu_probe.collect(answering(text), needs=NEEDS)
    assert "more errors in its SRAM than NVIDIA lets pass: stop and start" in facts["problems"][0]
    assert facts["findings"][0]["action"] == "recreate elsewhere"


def test_states_of_a_gpu_are_findings() -> None:
    remap = changed(H100, "remapped_row_failure>No<", "remapped_row_failure>Yes<")
    (found,) = gpu_probe.collect(answering(remap), needs=NEEDS)["findings"]
    assert (found["kind"], found["action"]) == ("remap failure", "recreate elsewhere")
    tag = "hw_thermal_slowdown>Not Active<"
    hot = changed(H100, tag, "hw_thermal_slowdown>Active<")
    (found,) = gpu_probe.collect(answering(hot), needs=NEEDS)["findings"]
    assert (found["kind"], found["text"], found["action"]) == (
        "throttling",
        "it is too hot",
        "go on",
    )


@pytest.mark.parametrize(
    "gpu", ["nvidia-tesla-v100", "nvidia-tesla-p100", "nvidia-tesla-p4", "nvidia-tesla-p4-vws"]
)
def test_gpus_that_no_build_runs_on_are_refused_before_they_are_rented(gpu: str) -> None:
    place = {"machine_type": "n1-standard-4", "accelerators": [{"type": gpu, "count": 1}]}
    found = compatibility.of_place(place, "0.32.0", "cu130", "common-cu129-ubuntu-2204-nvidia-580")
    assert any("has code for compute capabilities 7.5 to" in text for text in found)
    t4 = {
        "machine_type": "n1-standard-4",
        "accelerators": [{"type": "nvidia-tesla-t4", "count": 1}],
    }
    assert not any(
        "compute capabilities" in text for text in compatibility.of_place(t4, "0.32.0", "cu130", "")
    )


@pytest.mark.parametrize(
    ("command", "is_one"),
    [
        ("/bin/bash /opt/deeplearning/install-driver.sh", True),
        ("python3 /opt/google/cuda-installer/cuda_installer.pyz install_driver", True),
        ("./NVIDIA-Linux-x86_64-580.95.05.run --silent", True),
        ("/usr/bin/python3 -m llm_server", False),
    ],
)
def test_what_installs_a_driver_at_the_first_boot(command: str, is_one: bool) -> None:
    assert readiness.installs_driver(command) is is_one


def test_a_driver_that_is_still_being_installed() -> None:
    (sentence,) = readiness._driver("pid 7, install-driver.sh", 600)
    assert "still installs NVIDIA's driver (pid 7, install-driver.sh) after 600 s" in sentence
