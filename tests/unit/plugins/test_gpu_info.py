# SPDX-License-Identifier: Apache-2.0
"""The module gpu_info through its own main(), on a recording."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.module_runs import run_module

RECORDED = Path(__file__).parents[2] / "fixtures" / "nvidia_smi" / "h100" / "idle.xml"
SMI = """\
#!/bin/sh
case $1 in
--query-gpu=*) echo "GPU-00000000-0000-0000-0000-000000000001, 9.0" ;;
-q) cat {log}; exit {code} ;;
*) exit 1 ;;
esac
"""


@pytest.mark.parametrize(("code", "told"), [(0, []), (14, ["A GPU warns that its infoROM"])])
def test_what_nvidia_smi_warned_of(tmp_path: Path, code: int, told: list[str]) -> None:
    """A fact of its own, and a warning of Ansible's: of that name no module may return a fact."""
    program = tmp_path / "nvidia-smi"
    program.write_text(SMI.format(log=RECORDED, code=code))
    program.chmod(0o755)
    found = run_module("gpu_info", {"nvidia_smi": str(program)})
    assert (found["status"], len(found["gpus"])) == ("ok", 1)
    assert [text[: len(told[0])] for text in found["nvidia_smi_warnings"]] == told
    # Before core 2.19 texts, since then objects with a text.
    shown = [str(one) for one in found.get("warnings", [])]
    assert len(shown) == len(told) and all("infoROM" in one for one in shown)
    assert "deprecations" not in found
