# SPDX-License-Identifier: Apache-2.0
"""Modules run in a fork of their task's worker say and do what they do in a Python of their own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support import modules_fixtures as m
from tests.support.emulator_fixture import ROOT, Emulator
from tests.support.playbook_runs import ansible_playbook

Json = dict[str, Any]
SECRET = "correct-horse-battery"
# A module that does what it is told.
SPEAKS = """
import json, os, sys, time
from ansible.module_utils.basic import AnsibleModule

REMOVED = {"removed_in_version": "9.0.0", "removed_from_collection": "test.direct"}

def main():
    spec = {"say": {"type": "str", "required": True}, "secret": {"type": "str", "no_log": True}}
    module = AnsibleModule(
        argument_spec={**spec, "old": REMOVED},
        supports_check_mode=True,
    )
    say = module.params["say"]
    if say == "place":
        with open(os.path.join(module.tmpdir, "left"), "w") as left:
            left.write("here")
        module.exit_json(
            folder=os.getcwd(), tmpdir=module.tmpdir, stdin=os.fstat(0).st_size,
            check=module.check_mode, diffing=module._diff, umask=os.umask(0o077),
            variable=os.environ.get("SPOKEN"),
            forked="ansible.executor.task_executor" in sys.modules,
        )
    if say == "change":
        diff = {"before": "a\\n", "after": "b\\n"}
        module.exit_json(changed=True, diff=diff, ansible_facts={"spoken": True})
    if say == "warn":
        module.warn("A warning")
        module.deprecate("An old thing", version="9.0.0", collection_name="test.direct")
        module.exit_json(stdout="one\\ntwo", results={"not": "a list"})
    if say == "secret":
        module.log("with " + module.params["secret"])
        module.exit_json(said="it is " + module.params["secret"], stderr=module.params["secret"])
    if say == "fail":
        why = "It is wrong. Next: put it right."
        module.fail_json(msg=why, remedy="put it right", text=module.params["secret"])
    if say == "crash":
        raise KeyError("lost")
    if say == "junk":
        print("before")
        os.write(1, b"below Python\\n")
        module.exit_json(said="after \\u00e4 \\U0001f600")
    if say == "much":
        os.write(2, b"e" * 300000)
        module.exit_json(said="m" * 300000)
    if say == "silent":
        return
    if say == "text":
        sys.exit("ended with a text")
    if say == "killed":
        os.kill(os.getpid(), 9)
    if say == "sleep":
        with open(module.params["secret"], "w") as told:
            told.write(str(os.getpid()))
        time.sleep(600)
    module.exit_json()

if __name__ == "__main__":
    main()
"""
CASES: list[Json] = [
    {"say": "nothing"},
    {"say": "place"},
    {"say": "change"},
    {"say": "warn", "old": "x"},
    {"say": "secret", "secret": SECRET},
    {"say": "fail", "secret": SECRET},
    {"say": "crash", "secret": SECRET},
    {"say": "junk"},
    {"say": "silent"},
    {"say": "text"},
    {"say": "killed"},
    {"sya": "misspelled"},
    {"say": ["of", {"another": "type"}], "secret": SECRET},
    {"say": "{{ 'temp' ~ 'lated' }}"},
]


@pytest.fixture(scope="module")
def collections(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the collection test.direct, whose module speaks by our action plugin."""
    folder = tmp_path_factory.mktemp("collections")
    home = folder / "ansible_collections" / "test" / "direct"
    (home / "plugins" / "modules").mkdir(parents=True)
    (home / "meta").mkdir()
    (home / "plugins" / "modules" / "speaks.py").write_text(SPEAKS, encoding="utf-8")
    routing = {"speaks": {"action_plugin": "llmops.gce_vllm.gce_instance"}}
    runtime = {"requires_ansible": ">=2.19.0", "plugin_routing": {"modules": routing}}
    (home / "meta" / "runtime.yml").write_text(json.dumps(runtime), encoding="utf-8")
    (home / "galaxy.yml").write_text(
        json.dumps({"namespace": "test", "name": "direct", "version": "1.0.0"}), encoding="utf-8"
    )
    return folder


def play(
    folder: Path, tasks: list[Json], *options: str, collections: Path = ROOT, **environment: str
) -> str:
    """What the run said; it may not fail."""
    here = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}
    (folder / "play.json").write_text(json.dumps([{"name": "Say", **here}]), encoding="utf-8")
    paths = f"{collections}{os.pathsep}{ROOT / 'collections'}"
    done = ansible_playbook(
        *("-i", "localhost,", "-e", f"ansible_python_interpreter={sys.executable}", *options),
        folder / "play.json",
        cwd=folder,
        environment={
            "ANSIBLE_COLLECTIONS_PATH": paths,
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            **environment,
        },
        merged=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def speaking(cases: list[Json], **more: Any) -> list[Json]:
    """A task for each."""
    return [
        {
            "name": f"Case {number}",
            "test.direct.speaks": case,
            "ignore_errors": True,
            "register": f"said_{number}",
            **more,
        }
        for number, case in enumerate(cases)
    ]


def shown(text: str) -> list[str]:
    """Without what tells of the way the module was started, and what no two runs have the same."""
    text = re.sub(r"ansible-(moduletmp|tmp|local)-[\w.-]+", "TMP", text)
    text = re.sub(r'(?s)("exception": )"Traceback.*?[^\\]",?\n', r"\1TRACEBACK\n", text)
    # A traceback has other files of Ansible's on its way.
    text = re.sub(r"(?m)^Traceback \(most recent call last\):\n( .*\n)+", "TRACEBACK\n", text)
    text = text.replace('"forked": true', '"forked": BOTH').replace(
        '"forked": false', '"forked": BOTH'
    )
    started = ("<localhost>", "Using module file", "Pipelining is enabled", "direct execution")
    return [line for line in text.splitlines() if not line.startswith(started)]


def results(text: str) -> list[Json]:
    """The results of tasks that ended well, as they were shown."""
    found = re.findall(r"(?ms)^(?:ok|changed): \[localhost\] => (\{.*?^\})", text)
    return [json.loads(one) for one in found]


@pytest.mark.parametrize(
    "options", [("-vvv",), ("--check", "--diff", "-vvv"), ()], ids=["verbose", "check", "quiet"]
)
def test_says_the_same(tmp_path: Path, collections: Path, options: tuple[str, ...]) -> None:
    cases = CASES if options == ("-vvv",) else CASES[:7]
    after = {"name": "Facts", "ansible.builtin.debug": {"var": "spoken"}}
    tasks = [*speaking(cases), after]
    direct = play(tmp_path, tasks, *options, collections=collections)
    packed = play(
        tmp_path, tasks, *options, collections=collections, GCE_VLLM_DIRECT_EXECUTION="no"
    )
    assert shown(direct) == shown(packed)
    assert SECRET not in direct
    if options:
        assert '"forked": true' in direct
        assert '"forked": false' in packed
        place = next(one for one in results(direct) if "tmpdir" in one)
        assert place["folder"] == str(tmp_path)
        assert place["check"] == place["diffing"] == ("--check" in options)
        assert not Path(place["tmpdir"]).exists()


def test_hides_what_the_task_hides(tmp_path: Path, collections: Path) -> None:
    tasks = speaking(
        [{"say": "secret", "secret": SECRET}, {"say": SECRET}, {"say": "crash", "secret": SECRET}],
        no_log=True,
    )
    said = [
        play(tmp_path, tasks, "-vvv", collections=collections, GCE_VLLM_DIRECT_EXECUTION=on)
        for on in ("yes", "no")
    ]
    assert shown(said[0]) == shown(said[1])
    assert SECRET not in "".join(said)
    assert "censored" in said[0]


def test_takes_output_of_any_size(tmp_path: Path, collections: Path) -> None:
    tasks = [
        *speaking([{"say": "much"}]),
        {"name": "Whole", "ansible.builtin.assert": {"that": "said_0.said | length == 300000"}},
    ]
    play(tmp_path, tasks, collections=collections)


def test_several_in_one_worker_do_not_know_of_each_other(tmp_path: Path, collections: Path) -> None:
    loop = {
        "name": "Loop",
        "test.direct.speaks": {"say": "{{ item }}"},
        "loop": ["warn", "place", "crash", "place"],
        "ignore_errors": True,
        "register": "said",
    }
    check = {
        "name": "Alone",
        "ansible.builtin.assert": {
            "that": [
                "said.results | map(attribute='forked', default=true) | unique == [true]",
                # The one before has changed it for itself.
                "said.results[1].umask == said.results[3].umask",
                "said.results[1].warnings is not defined",
            ]
        },
    }
    said = play(tmp_path, [loop, check], collections=collections)
    assert said.count("A warning") == 1


@pytest.mark.parametrize(
    ("more", "variables", "forked"),
    [
        ({}, {}, True),
        ({"environment": {}}, {}, True),
        ({"delegate_to": "localhost"}, {}, True),
        ({"environment": {"SPOKEN": "so"}}, {}, False),
        ({"async": 60, "poll": 1}, {}, False),
        ({"become": True, "become_method": "test.direct.same"}, {}, False),
        ({}, {"ansible_python_interpreter": "OTHER"}, False),
        ({}, {"ansible_pipelining": False}, True),
        ({}, {"ansible_connection": "test.direct.local"}, False),
    ],
    ids=[
        "as-it-is",
        "no-variables",
        "delegated",
        "variables",
        "async",
        "become",
        "other-python",
        "unpiped",
        "connection",
    ],
)
def test_only_where_it_comes_to_the_same(
    tmp_path: Path, collections: Path, more: Json, variables: Json, forked: bool
) -> None:
    other = tmp_path / "python"
    other.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n', encoding="utf-8")
    other.chmod(0o755)
    _plugins(collections)
    given = {name: str(other) if value == "OTHER" else value for name, value in variables.items()}
    expected = [f"said_0.forked == {str(forked).lower()}"]
    if more.get("environment"):
        expected.append("said_0.variable == 'so'")
    tasks = [
        *speaking([{"say": "place"}], **more, vars=given),
        {"name": "Judge", "ansible.builtin.assert": {"that": expected}},
    ]
    said = play(tmp_path, tasks, "-e", json.dumps(given), "-vvvv", collections=collections)
    assert ("direct execution: yes" in said) is forked


def _plugins(collections: Path) -> None:
    """A way to become somebody, which is who one is; and a connection of another name."""
    plugins = collections / "ansible_collections" / "test" / "direct" / "plugins"
    (plugins / "become").mkdir(exist_ok=True)
    (plugins / "become" / "same.py").write_text(
        'DOCUMENTATION = """\nname: same\nshort_description: The same user\ndescription: x\n'
        "options:\n  become_user:\n    default: root\n    vars: [{name: ansible_become_user}]\n"
        '  become_exe: {default: "", vars: [{name: ansible_become_exe}]}\n'
        '  become_flags: {default: "", vars: [{name: ansible_become_flags}]}\n'
        '  become_pass: {vars: [{name: ansible_become_pass}]}\n"""\n'
        "from ansible.plugins.become import BecomeBase\n"
        "class BecomeModule(BecomeBase):\n    name = 'test.direct.same'\n"
        "    def build_become_command(self, cmd, shell):\n"
        "        super().build_become_command(cmd, shell)\n"
        "        return self._build_success_command(cmd, shell)\n",
        encoding="utf-8",
    )
    (plugins / "connection").mkdir(exist_ok=True)
    (plugins / "connection" / "local.py").write_text(
        'DOCUMENTATION = """\nname: local\nshort_description: Here\ndescription: x\nauthor: x\n'
        'extends_documentation_fragment: [connection_pipelining]\noptions: {}\n"""\n'
        "from ansible.plugins.connection.local import Connection as Local\n"
        "class Connection(Local):\n    transport = 'test.direct.local'\n",
        encoding="utf-8",
    )


def test_ends_with_its_task(tmp_path: Path, collections: Path) -> None:
    told = tmp_path / "pid"
    for limit in (5, 20, 80):  # a busy machine takes long to get there
        tasks = speaking([{"say": "sleep", "secret": str(told)}], timeout=limit)
        said = play(tmp_path, tasks, collections=collections)
        assert f"Timed out after {limit} second(s)" in said or "timed out" in said.lower()
        if told.exists() and told.read_text(encoding="utf-8"):
            break
    until = time.monotonic() + 60
    with contextlib.suppress(psutil.NoSuchProcess):
        left = psutil.Process(int(told.read_text(encoding="utf-8")))
        while left.is_running() and left.status() != psutil.STATUS_ZOMBIE:
            assert time.monotonic() < until, "it outlives its task"
            time.sleep(0.05)


def test_modules_of_the_collection_say_the_same(emulator: Emulator, tmp_path: Path) -> None:
    def tasks(project: str) -> list[Json]:
        rule = {"name": "rule", "allowed": [{"protocol": "tcp", "ports": [8000]}]}
        ours = "203.0.113.7"
        calls: list[tuple[str, Json]] = [
            ("gce_firewall", {**rule, "source_ranges": [ours]}),
            ("gce_firewall", {**rule, "source_ranges": [ours]}),
            ("gce_firewall", {**rule, "source_ranges": ["0.0.0.0/0"]}),
            ("gce_instance", m.machine("llm-server", metadata={"hf-token": SECRET})),
            ("gce_instance", {"name": "llm-server", "zone": m.ZONE, "machine_typ": "wrong"}),
            ("gce_machine_type_info", {"zone": m.ZONE, "machine_type": "g9-standard-1"}),
            ("gce_quota_info", {"region": m.REGION, "needs": {"NVIDIA_L4_GPUS": 1000}}),
        ]
        return [
            {
                "name": f"Call {number}",
                f"llmops.gce_vllm.{module}": options,
                "ignore_errors": True,
            }
            for number, (module, options) in enumerate(calls)
        ]

    said = []
    for switch in ("yes", "no"):
        project = f"{emulator.project}-{switch}"
        emulator.admin("PUT", f"projects/{project}")
        shared = {"project": project, "service_account_file": str(emulator.credentials_file)}
        grouped = [
            {
                "module_defaults": {"group/llmops.gce_vllm.gce": shared},
                "block": tasks(project),
            }
        ]
        text = play(
            *(tmp_path, grouped, "-vvv", "--diff"),
            GCE_VLLM_ENDPOINT=emulator.endpoint,
            GCE_VLLM_DIRECT_EXECUTION=switch,
        )
        assert SECRET not in text
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.+-]+", "TIME", text.replace(project, "PROJECT"))
        text = re.sub(r"203\.0\.113\.\d+", "ADDRESS", text)
        said.append(shown(re.sub(r"\b\d{10,}\b|[A-Za-z0-9_+/-]{10,}=", "ID", text)))
    assert said[0] == said[1]
    whole = "\n".join(said[0])
    assert whole.count("changed: [localhost]") == 2
    assert "Next: " in whole
    assert "machine_typ" in whole


def test_a_module_alone_runs_as_ever(emulator: Emulator) -> None:
    options = {
        "project": emulator.project,
        "endpoint": emulator.endpoint,
        "service_account_file": str(emulator.credentials_file),
        "zone": m.ZONE,
        "machine_type": "g2-standard-8",
    }
    command = [
        *(str(Path(sys.executable).with_name("ansible")), "localhost", "-m"),
        *("llmops.gce_vllm.gce_machine_type_info", "-a", json.dumps(options)),
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nvidia-l4" in done.stdout
