# SPDX-License-Identifier: Apache-2.0
"""The check at boot waits for GPUs that are well, and says why it gave up."""

from __future__ import annotations

from pathlib import Path

import gpu_check.__main__ as gpu_check
import pytest

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100"
UUID = "GPU-00000000-0000-0000-0000-000000000001"
REQUIREMENTS = ["--build=cu130", "--driver=580", "--capability=7.5", "--count=1", "--timeout=10"]


class BootingHost:
    """A host whose driver answers from the third look on."""

    def __init__(self, silent: int) -> None:
        self.silent = silent
        self.seconds = 0.0

    def run(self, *command: str) -> tuple[int, str, str]:
        if command == ("nvidia-smi", "-q", "-x"):
            self.silent -= 1
            if self.silent >= 0:
                return 9, "couldn't communicate with the NVIDIA driver", ""
            return 0, (RECORDED / "idle.xml").read_text(), ""
        if command[0] == "nvidia-smi" and "--query-gpu=uuid,compute_cap" in command:
            return 0, f"{UUID}, 9.0\n", ""
        return 127, "", ""

    def read(self, _path: str) -> str:
        return ""

    def pci_vendors(self) -> list[str]:
        return ["0x10de"]

    def machine(self) -> str:
        return "x86_64"

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def test_it_waits_for_the_driver(capsys: pytest.CaptureFixture[str]) -> None:
    host = BootingHost(silent=2)
    assert gpu_check.main(REQUIREMENTS, host, host.now, host.sleep) == 0
    assert host.seconds == 2 * gpu_check.PAUSE
    assert "driver 580.159.04, 1 GPU(s) well: NVIDIA H100" in capsys.readouterr().out


def test_it_gives_up_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    host = BootingHost(silent=99)
    assert gpu_check.main(REQUIREMENTS, host, host.now, host.sleep) == 1
    assert 10 <= host.seconds < 10 + gpu_check.PAUSE
    assert "installed and not running" in capsys.readouterr().err


@pytest.mark.parametrize("requirement", ["--count=2", "--driver=999", "--capability=9.9"])
def test_it_compares_with_what_is_needed(requirement: str) -> None:
    host = BootingHost(silent=0)
    assert (
        gpu_check.main([*REQUIREMENTS, requirement, "--timeout=0"], host, host.now, host.sleep) == 1
    )


def test_a_program_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_check.this_host, "LONGEST_COMMAND", 0.05)
    host = gpu_check.this_host.ThisHost()
    assert host.run("sleep", "5") == (124, "", "no answer within 0.05 s")
    assert host.run("no-such-program") == (127, "", "")


def test_the_host_gets_the_same_files_as_the_modules() -> None:
    shared = Path(gpu_check.__file__).parent
    links = {path.name for path in shared.iterdir() if path.is_symlink()}
    assert links == {
        f"{name}.py"
        for name in (
            "gpu_findings",
            "gpu_health",
            "gpu_probe",
            "kernel_gpu",
            "kernel_log",
            "nvidia_gpu",
            "nvidia_smi",
            "nvidia_xid",
            "this_host",
        )
    }
    for name in links:
        assert (shared / name).resolve().parent.name == "host"
