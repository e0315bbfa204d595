# SPDX-License-Identifier: Apache-2.0
"""The modules as people use them: through ansible-playbook, ansible-doc, and in reasonable time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.llmops.gce_vllm.plugins.plugin_utils import direct_execution

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import Emulator

BIN = Path(sys.executable).parent
MODULE_FOLDER = m.ROOT / "plugins" / "modules"
MODULES = sorted(
    path.stem for path in [*MODULE_FOLDER.glob("gce_*.py"), MODULE_FOLDER / "os_login_key.py"]
)


def ansible(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run one of Ansible's programs with the clone's collection."""
    return subprocess.run(
        [str(BIN / program), *arguments],
        env={
            **{key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"},
            "ANSIBLE_COLLECTIONS_PATH": str(m.ROOT / "collections"),
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
            "ANSIBLE_NOCOLOR": "1",
            **environment,
        },
        cwd="/",  # the clone's ansible.cfg has its own way of showing things
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def playbook(emulator: Emulator, tmp_path: Path) -> Path:
    """A rule and an instance, with the shared options given once for the whole group."""
    instance = m.machine("llm-server", metadata={"hf-token": "correct-horse", "zone-name": "a"})
    tasks: list[dict[str, Any]] = [
        {
            "name": "Rule",
            "llmops.gce_vllm.gce_firewall": {
                "name": "llm-server-api",
                "source_ranges": ["203.0.113.7"],
                "allowed": [{"protocol": "tcp", "ports": [8000]}],
            },
        },
        {"name": "Instance", "llmops.gce_vllm.gce_instance": instance},
    ]
    play = {
        "name": "Converge",
        "hosts": "localhost",
        "gather_facts": False,
        "vars": {"ansible_python_interpreter": sys.executable},
        "module_defaults": {
            "group/llmops.gce_vllm.gce": {
                "project": emulator.project,
                "service_account_file": str(emulator.credentials_file),
            }
        },
        "tasks": tasks,
    }
    path = tmp_path / "play.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return path


def test_check_then_run_then_run_again(emulator: Emulator, playbook: Path) -> None:
    cloud = m.Cloud(emulator)

    def play(*options: str) -> str:
        run = ansible(
            "ansible-playbook",
            str(playbook),
            "--diff",
            *options,
            GCE_VLLM_ENDPOINT=emulator.endpoint,
        )
        assert run.returncode == 0, run.stdout + run.stderr
        assert "correct-horse" not in run.stdout + run.stderr
        return run.stdout

    predicted = play("--check")
    assert "changed=2" in predicted
    assert cloud.stored("instances") == []
    made = play()
    assert made == predicted
    assert '+    "machine_type": "g2-standard-8"' in made
    assert "changed=0" in play("-vvv")
    assert "changed=0" in play("--check")
    assert [one["name"] for one in cloud.stored("instances")] == ["llm-server"]


def test_action_group_holds_every_module() -> None:
    runtime = yaml.safe_load((m.ROOT / "meta" / "runtime.yml").read_text())
    assert runtime["action_groups"]["gce"] == sorted([*MODULES, "plan_cost_info"])


def test_every_module_for_the_controller_is_run_without_a_python_of_its_own() -> None:
    runtime = yaml.safe_load((m.ROOT / "meta" / "runtime.yml").read_text())
    routed = runtime["plugin_routing"]["modules"]
    # The action of this name is found without being named.
    more = {"known_host", "llm_endpoint_info", "vllm_plan"}
    expected = {*runtime["action_groups"]["gce"], *more} - {"gce_instance"}
    assert {n for n, one in routed.items() if "action_plugin" in one} == expected
    assert {one.get("action_plugin") for one in routed.values()} <= {direct_execution.ACTION, None}


@pytest.fixture(scope="module")
def documented() -> dict[str, Any]:
    """What ansible-doc knows of all modules."""
    names = [f"llmops.gce_vllm.{name}" for name in MODULES]
    shown = ansible("ansible-doc", "--json", *names)
    assert shown.returncode == 0, shown.stderr
    assert "WARNING" not in shown.stderr, shown.stderr
    result: dict[str, Any] = json.loads(shown.stdout)
    return result


def same(spec: dict[str, Any], options: dict[str, Any], where: str) -> None:
    """Assert that an argument spec and its documentation agree, all the way down."""
    assert set(spec) == set(options), where
    for name, argument in spec.items():
        option, here = options[name], f"{where}.{name}"
        assert argument.get("type", "str") == option.get("type", "str"), here
        assert argument.get("required", False) == option.get("required", False), here
        assert argument.get("default") == option.get("default"), here
        assert argument.get("choices") == option.get("choices"), here
        assert argument.get("elements") == option.get("elements"), here
        same(argument.get("options", {}), option.get("suboptions", {}), here)


@pytest.mark.parametrize("name", MODULES)
def test_documentation_agrees_with_the_argument_spec(
    name: str, documented: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    module = importlib.import_module(f"{m.MODULES}.{name}")
    seen: dict[str, Any] = {}

    class CaughtError(Exception):
        pass

    def catch(**arguments: Any) -> None:
        seen.update(arguments)
        raise CaughtError

    # Of its own class where options hold secrets within them.
    kind = "InstanceModule" if name == "gce_instance" else "AnsibleModule"
    monkeypatch.setattr(module, kind, catch)
    with pytest.raises(CaughtError):
        module.main()
    page = documented[f"llmops.gce_vllm.{name}"]
    same(seen["argument_spec"], page["doc"]["options"], name)
    assert seen["supports_check_mode"] is True
    assert page["doc"]["attributes"]["check_mode"]["support"] == "full"
    assert page["doc"]["attributes"]["diff_mode"]["support"] == "full"
    assert yaml.safe_load(page["examples"])
    assert page["return"]
