# SPDX-License-Identifier: Apache-2.0
"""The reference: markup, options within options, and playbooks' variables that really exist."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from docs.tools.generate_reference import playbooks_page, plugin_page
from docs.tools.plugin_docs import read_plugins, text

ROOT = Path(__file__).parents[3]
SETTINGS = yaml.safe_load((ROOT / "docs/tools/shared_variables.yml").read_text(encoding="utf-8"))
#: Playbooks that others import, and nobody runs.
PARTS = {
    "guard",
    "servers",
    *(f"phase_{name}" for name in ("preflight", "provision", "configure", "verify")),
}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Required with O(state=present).", "Required with `state=present`."),
        ("V(0.0.0.0/0) or C(gcloud auth (login)) of E(HOME)", None),
        ("See M(llmops.gce_vllm.gce_disk) and RV(report.cost)", None),
        ("P(llmops.gce_vllm.gce_secret#lookup)", "`llmops.gce_vllm.gce_secret`"),
        ("L(the page, https://example.com/a)", "[the page](https://example.com/a)"),
        ("B(never) I(here)", "**never** *here*"),
        ("VPC(s) and a call of it()", "VPC(s) and a call of it()"),
    ],
)
def test_markup_becomes_markdown(said: str, shown: str | None) -> None:
    assert "O(" not in text(said) and "V(" not in text(said)
    if shown is not None:
        assert text(said) == shown


def test_a_module_has_its_fragments_options_and_those_within(tmp_path: Path) -> None:
    for name, content in {
        "doc_fragments/gce.py": 'class ModuleDocFragment:\n    DOCUMENTATION = """\noptions:\n'
        '  project: {description: Its id., type: str, required: true}\n"""\n',
        "modules/thing.py": 'DOCUMENTATION = """\nshort_description: A thing\n'
        "extends_documentation_fragment: [llmops.gce_vllm.gce]\noptions:\n  disks:\n"
        "    description: Its O(disks[].name) | others.\n    type: list\n    elements: dict\n"
        '    suboptions:\n      size: {description: GB., type: int, default: 0}\n"""\n',
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    [thing] = read_plugins(tmp_path)
    page = plugin_page(thing)
    assert "| `disks` | list of dict |  | Its `disks[].name` \\| others. |" in page
    assert "| `disks[].size` | int | `0` | GB. |" in page
    assert "| `project` | str | required | Its id. |" in page


def test_every_playbook_is_described() -> None:
    there = {path.stem for path in (ROOT / "playbooks").glob("*.yml")} - PARTS
    assert set(SETTINGS["playbooks"]) == there
    assert all(f"## {name}\n" in playbooks_page(ROOT) for name in there)


def test_the_variables_of_playbooks_are_those_that_they_read() -> None:
    checked = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text(encoding="utf-8"))
    [timer] = [
        play["vars"]
        for play in yaml.safe_load((ROOT / "playbooks/timer.yml").read_text(encoding="utf-8"))
        if "vars" in play and "timer_state" in play["vars"]
    ]
    read = {*checked["__preflight_shared_settings"], "vllm_args", "confirm"}
    read |= {name for name in timer if not name.startswith("__")}
    told = set(SETTINGS["shared"])
    for one in SETTINGS["playbooks"].values():
        told |= set(one.get("settings", {}))
    assert told == read
