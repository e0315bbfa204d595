# SPDX-License-Identifier: Apache-2.0
"""The documentation's checks find what they look for, in a repository of a few lines."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from docs.tools import check_docs
from docs.tools.check_docs import problems
from docs.tools.names import SETTING
from docs.tools.page import Page

README = (
    "# Title\n\nOne sentence. [Page](docs/page.md#a-part)\n\n```\nmake demo  # what it does\n```\n"
)
TRANSLATION = "# 제목\n\n한 문장. [쪽](docs/page.md#a-part)\n\n```\nmake demo  # 설명\n```\n"
FILES = {
    "Makefile": "demo: ## shows it\n",
    "galaxy.yml": "build_ignore:\n  - tests\n",
    "meta/runtime.yml": "action_groups:\n  gce:\n    - gce_thing\n",
    "tests/run": "case $1 in\n    demo) demo ;;\nesac\n",
    "playbooks/site.yml": "- hosts: all\n",
    "roles/llm_model/defaults/main.yml": "llm_model_revision: ''\n",
    "plugins/modules/gce_thing.py": "",
    "README.md": README,
    "README.ko.md": TRANSLATION,
    "docs/page.md": "# Page\n\n## A part\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for name, content in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    return tmp_path


def added(repository: Path, text: str, page: str = "docs/page.md") -> list[str]:
    """What is wrong once a page has that text as well."""
    file = repository / page
    file.write_text(file.read_text(encoding="utf-8") + text, encoding="utf-8")
    return problems(repository)


def test_a_right_documentation_has_no_problems(repository: Path) -> None:
    assert problems(repository) == []


@pytest.mark.parametrize(
    "text",
    [
        "`make demo`, `playbooks/site.yml`, `site.yml`, `tests/run demo`, `llm_model_revision`\n",
        "`llmops.gce_vllm.site`, `llmops.gce_vllm.gce_thing`, `group/llmops.gce_vllm.gce`\n",
        "`roles/compute.viewer` is Google's, `docs/FOLDER/page.md` has a place holder\n",
        "[heading](#a-part), [file](../Makefile), [elsewhere](https://example.com/x)\n",
        "`[no](link)` and `docs/*.md`\n",
    ],
)
def test_what_is_there_may_be_named(repository: Path, text: str) -> None:
    assert added(repository, text) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[gone](gone.md)\n", "the link gone.md leads to no file"),
        ("[gone](#no-part)\n", "the link #no-part leads to no heading"),
        ("[gone](../README.md#no-part)\n", "the link ../README.md#no-part leads to no heading"),
        ("![picture](images/gone.png)\n", "the link images/gone.png leads to no file"),
        ("word " * 21 + "\n", "a sentence has 21 words (20 allowed): " + "word " * 20 + "word"),
        ("`make dmeo`\n", "there is no `make dmeo`"),
        ("```\nmake demo dmeo\n```\n", "there is no `make dmeo`"),
        ("`tests/run dmeo`\n", "tests/run has no step dmeo"),
        ("`playbooks/sote.yml`\n", "there is no file playbooks/sote.yml"),
        ("`ansible-playbook sote.yml`\n", "there is no playbook sote.yml"),
        ("`docs/gone.md`\n", "there is no file docs/gone.md"),
        ("`llmops.gce_vllm.gce_thong`\n", "the collection has no gce_thong"),
        ("`llm_model_revison`\n", "nothing is called llm_model_revison"),
        ("`monitoring_enabld`\n", "nothing is called monitoring_enabld"),
        ("`-e logs_sinc=2d`\n", "nothing is called logs_sinc"),
        ("`usage_form`\n", "nothing is called usage_form"),
        ("`report_outptu`\n", "nothing is called report_outptu"),
        ("`advise_outptu`\n", "nothing is called advise_outptu"),
    ],
)
def test_what_is_not_there_is_found(repository: Path, text: str, problem: str) -> None:
    assert f"docs/page.md: {problem}" in added(repository, text)


def test_pages_that_programs_write_are_checked_for_links_only(repository: Path) -> None:
    text = "<!-- Written by docs/tools/x.py -->\n`make dmeo` [gone](gone.md)\n"
    assert added(repository, text) == ["docs/page.md: the link gone.md leads to no file"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\n" * 150, "README.md: has 157 lines; 150 are allowed"),
        (
            "word " * 21 + "\n",
            "README.md: a sentence has 21 words (20 allowed): " + "word " * 20 + "word",
        ),
        ("## Part\n", "README.ko.md: has headings of the levels [1], README.md [1, 2]"),
        ("`make help`\n", "README.ko.md: lacks README.md's command: make help"),
        ("[x](Makefile)\n", "README.ko.md: lacks README.md's link: Makefile"),
        ("[x](tests/run)\n", "README.md: the link tests/run leads out of the built collection"),
    ],
)
def test_readme_is_short_and_translated(repository: Path, text: str, problem: str) -> None:
    assert problem in added(repository, text, "README.md")


def test_a_translation_has_nothing_beside(repository: Path) -> None:
    assert "README.ko.md: has a command that README.md lacks: make help" in added(
        repository, "`make help`\n", "README.ko.md"
    )


def test_anchors_are_as_hosts_make_them(repository: Path) -> None:
    headings = (
        "# It's `a.yml`, and more\n# 2026-11-30: two\n# 한국어 제목\n# A\n# A\n```\n# no\n```\n"
    )
    (repository / "docs/page.md").write_text(headings, encoding="utf-8")
    assert Page(repository, "docs/page.md").anchors == {
        "its-ayml-and-more",
        "2026-11-30-two",
        "한국어-제목",
        "a",
        "a-1",
    }


def settings() -> set[str]:
    """Every variable of a role or playbook that the reference has."""
    tools = check_docs.ROOT / "docs" / "tools"
    known = yaml.safe_load((tools / "shared_variables.yml").read_text(encoding="utf-8"))
    found = {*known["shared"]}
    for one in known["playbooks"].values():
        found |= {*one.get("settings", {})}
    for path in check_docs.ROOT.glob("roles/*/defaults/main.yml"):
        found |= {*yaml.safe_load(path.read_text(encoding="utf-8"))}
    return found


def test_every_setting_is_one_that_the_pages_are_checked_for() -> None:
    missed = {one for one in settings() if not SETTING.fullmatch(one)}
    # Without a prefix to know others like them by.
    assert missed == {"confirm", "vllm_args"}
    assert len(settings()) > 200


def test_this_repository_is_among_those_that_are_checked() -> None:
    names = {page.name for page in check_docs.pages(check_docs.ROOT)}
    assert {"README.md", "CONTRIBUTING.md", "docs/evidence.md", "emulator/README.md"} <= names
