# SPDX-License-Identifier: Apache-2.0
"""What a module writes into the machine's log when it starts, and what it says when it fails."""

from __future__ import annotations

import contextlib
import importlib
import io
import syslog
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args

MODULES = "ansible_collections.llmops.gce_vllm.plugins.modules"
TOKEN, SCRIPT, NOTE = "hf-4711-0815", 'echo "pa55word"\nexit 0', "n" * 200
METADATA = {"hf-token": TOKEN, "startup-script": SCRIPT, "db-password": "abc", "notes": NOTE}
INSTANCE = {"project": "p", "zone": "z", "name": "llm", "endpoint": "ftp://nowhere"}
INDEX = "https://reader:pa55word@index.example/simple"
BARE = "https://bare-tok3n@index.example/simple"
INDEXES = {"uv": "/nowhere/uv", "index_url": INDEX, "extra_index_urls": [BARE]}
VENV = {"venv": "/nowhere/venv", "lock": "/dev/null", **INDEXES}
WEIGHTS = {"dest": "/nowhere/model", "source": "hub", "repository": "a/b", **INDEXES}
SECRETS = [TOKEN, "pa55word", "bare-tok3n", "'abc'", '"abc"', NOTE]
Json = dict[str, Any]


def run(module: str, options: Json) -> str:
    """Everything that a run prints."""
    written = io.StringIO()
    entry = importlib.import_module(f"{MODULES}.{module}").main
    with (
        patch_module_args(options),
        contextlib.redirect_stdout(written),
        contextlib.suppress(SystemExit),
    ):
        entry()
    return written.getvalue()


@pytest.mark.parametrize("journal", [False, True], ids=["syslog", "journal"])
@pytest.mark.parametrize(
    ("module", "options", "reaches_code"),
    [
        ("gce_instance", {**INSTANCE, "metadata": METADATA}, True),
        # Refused by Ansible itself, before the module's own code runs.
        ("gce_instance", {**INSTANCE, "metadata": METADATA, "placements": []}, False),
        ("gce_instance", {**INSTANCE, "metadata": METADATA, "nonsense": 1}, False),
        ("gce_instance", {**INSTANCE, "metadata": f'["{TOKEN}"]'}, False),
        ("uv_sync", VENV, True),
        ("uv_sync", {**VENV, "nonsense": 1}, False),
        ("model_weights", {**WEIGHTS, "_ansible_check_mode": True}, True),
        ("model_weights", {**WEIGHTS, "nonsense": 1}, False),
        ("host_ready", {"reach": [{"url": INDEX}, {"url": BARE}], "nonsense": 1}, False),
    ],
)
def test_no_secret_is_logged_or_told(
    monkeypatch: pytest.MonkeyPatch, module: str, options: Json, reaches_code: bool, journal: bool
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", journal)
    monkeypatch.setattr(
        basic, "journal", SimpleNamespace(send=lambda **told: logged.append(repr(told))), False
    )
    monkeypatch.setattr(syslog, "syslog", lambda _level, text: logged.append(text))
    told = run(module, options)
    assert reaches_code or '"failed": true' in told
    assert bool(logged) == reaches_code
    for secret in SECRETS:
        assert secret not in told, secret
        assert not [text for text in logged if secret in text], secret
