# SPDX-License-Identifier: Apache-2.0
"""Long sentences and private words are found wherever a user or a reader meets them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from docs.tools import texts, words

LONG = "word " * 20 + "word"
MODULE = (
    f'DOCUMENTATION = """\noptions:\n  a:\n    description:\n      - Short.\n      - {LONG}\n"""\n'
)
FRAGMENT = f'class ModuleDocFragment:\n    DOCUMENTATION = """\nnotes:\n  - {LONG}\n"""\n'
RETURN = f'RETURN = """\nb:\n  description: {LONG}\n"""\n'
TASKS = f"- name: Play\n  tasks:\n    - block:\n        - name: {LONG}\n"
FAILS = f"- ansible.builtin.fail:\n    msg: 'Short. {LONG}'\n"
ASSERTS = f"- ansible.builtin.assert:\n    that: a\n    fail_msg: >-\n      {LONG}\n"
SPEC = f"argument_specs:\n  main:\n    options:\n      a:\n        description: {LONG}\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plugins/modules/one.py", MODULE),
        ("plugins/filter/one.py", RETURN),
        ("plugins/doc_fragments/one.py", FRAGMENT),
        ("plugins/module_utils/a/one.py", f'raise GceError("a b", remedy="{LONG}")\n'),
        ("files/a/one.py", f'raise ValueError("word " + f"{LONG[5:]}")\n'),
        ("plugins/action/one.py", f'module.fail_json(msg="{LONG}")\n'),
        ("roles/a/meta/argument_specs.yml", SPEC),
        ("roles/a/tasks/b/main.yml", FAILS),
        ("roles/a/handlers/main.yml", ASSERTS),
        ("playbooks/site.yml", TASKS),
    ],
)
def test_a_long_sentence_is_found(tmp_path: Path, name: str, text: str) -> None:
    file = tmp_path / name
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
    assert words.long_sentences(tmp_path) == [
        f"{name}: a sentence has 21 words (20 allowed): {LONG}"
    ]
    file.write_text(text.replace("word word ", "word "), encoding="utf-8")
    assert words.long_sentences(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two: three; four", ["One.", "Two:", "three;", "four"]),
        (
            "With O(a.b), V(two words) and L(a link, https://x).",
            ["With a.b, two_words and a_link."],
        ),
        ("{{ a | join(', ') }} has {% if b %}c{% endif %}.", ["X has XcX."]),
        ("- one\n- two", ["- one", "- two"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert texts.sentences(text) == expected


def test_vaults_and_unsafe_texts_are_read(tmp_path: Path) -> None:
    file = tmp_path / "playbooks" / "a.yml"
    file.parent.mkdir()
    file.write_text("- name: !unsafe Play\n  vars: {a: !vault text}\n", encoding="utf-8")
    assert list(texts.texts(tmp_path)) == [("playbooks/a.yml", "Play")]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.py", "x = 1\nwished = 2\n", ["a.py:2: 'wished'"]),
        ("a.py", "def made_anew(): ...\n", ["a.py:1: 'anew'"]),
        ("a.yml", "# Foretold, and in vain.\n", ["a.yml:1: 'Foretold'", "a.yml:1: 'in vain'"]),
        ("roles/a/templates/b.j2", "can't be had\n", ["roles/a/templates/b.j2:1: 'be had'"]),
        ("a.py", "# renewal, wishbone, had been, vainly\n", []),
        ("changelogs/fragments/a.yml", "- wished\n", []),
        ("benchmarks/results/a.md", "anew\n", []),
    ],
)
def test_private_words_are_found(tmp_path: Path, name: str, text: str, found: list[str]) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True, timeout=60)
    file = tmp_path / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    assert [one.split(" is no term")[0] for one in words.private_words(tmp_path)] == found


def test_each_private_word_has_a_term() -> None:
    assert all(words.TERMS.values())
