# SPDX-License-Identifier: Apache-2.0
"""Each profile's arguments are ones that vLLM's own parser takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.module_utils.vllm import profiles

from tests.support.emulator_fixture import ROOT
from tests.support.server_fixture import run_in_vllm

pytestmark = pytest.mark.vllm
TABLE = yaml.safe_load((ROOT / "roles/llm_server/files/profiles.yml").read_text())
PROGRAM = """\
import json, sys
from llm_server.settings import ConfigError, Settings
from llm_server.vllm_api.compat import parse
found = {}
for name, given in json.loads(sys.argv[2]).items():
    settings = Settings(
        model_path=sys.argv[1], served_model_name="m", api_key_required=False, vllm_args=given
    )
    try:
        parsed = parse(settings)
        found[name] = {key: getattr(parsed, key) for key in given}
    except ConfigError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


def test_vllm_takes_every_profile(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    asked: dict[str, dict[str, Any]] = {
        f"{profile} {kind}": profiles.merge(args, {})
        for profile, known in TABLE["profiles"].items()
        for kind, args in known["arguments"].items()
    }
    wrong = {"wrong": {"max_num_batched_token": 1}}
    done = run_in_vllm(PROGRAM, str(tmp_path), json.dumps(asked | wrong))
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "did you mean max_num_batched_tokens" in found.pop("wrong")
    assert found == asked
