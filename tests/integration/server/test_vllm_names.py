# SPDX-License-Identifier: Apache-2.0
"""The installed vLLM is as the server knows it, by its sources and as it is imported."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from llm_server.vllm_api.names import NAMES

from tests.support.server_fixture import ROOT, setting
from tests.vllm_sources import Sources, differences, key

pytestmark = pytest.mark.vllm

LOOK = """
import sysconfig
from llm_server.engine import head_start
from llm_server.vllm_api import compat as vllm_compat
from llm_server.vllm_api import names as vllm_names
print(sysconfig.get_paths()["purelib"])
print(vllm_compat.differences(vllm_names.NAMES), head_start.differences())
"""


def test_the_installed_vllm_has_every_name() -> None:
    done = subprocess.run(
        [setting("GCE_VLLM_TEST_PYTHON"), "-c", LOOK],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *_, place, said = done.stdout.splitlines()
    assert said == "[] []"
    sources = Sources.of(Path(place))
    assert differences({key(name): sources.takes(name) for name in NAMES}) == []
