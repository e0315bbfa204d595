# SPDX-License-Identifier: Apache-2.0
"""The tests' cache of compiled templates changes nothing of what they give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template

from tests.support import template_cache

TEMPLATES = (
    "plain",
    "{{ number + 1 }}",
    r"{{ text | regex_replace('^(a)', '\1\1') }}",
    "{% for one in several %}{{ one }},{% endfor %}",
    "{{ several | map('upper') | list }}",
    "{{ {'a': nested} }}",
    "line\n{{ number }}\n",
)
EXPRESSIONS = ("number > 2", "text is match('a')", "several | length == 2", "missing is defined")
WRONG = ("{{ number + }}", "{{ number | no_such_filter }}", "{{ missing }}")


@pytest.fixture
def templar() -> Templar:
    variables = {"number": 2, "text": "abc", "several": ["x", "y"]}
    variables["nested"] = trust_as_template("{{ number }} and {{ text }}")
    return Templar(loader=DataLoader(), variables=variables)


def outcomes(templar: Templar) -> list[Any]:
    given = [templar.template(trust_as_template(one)) for one in TEMPLATES]
    given += [templar.evaluate_conditional(trust_as_template(one)) for one in EXPRESSIONS]
    for one in WRONG:
        with pytest.raises(AnsibleError) as raised:
            templar.template(trust_as_template(one))
        given.append(str(raised.value))
    return given


def test_gives_what_ansible_gives(
    templar: Templar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = template_cache.ENVIRONMENT
    expected = outcomes(templar)
    monkeypatch.setattr(environment, "compile", environment.compile)
    monkeypatch.setattr(environment, "compile_expression", environment.compile_expression)
    template_cache.install(tmp_path)
    assert outcomes(templar) == expected
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    assert len(kept) >= len(TEMPLATES) - 1 + len(EXPRESSIONS)
    compiled = []
    monkeypatch.setattr(
        "jinja2.environment.Environment._compile", lambda *_: compiled.append(_) or 1 / 0
    )
    # Only what can't be compiled, or needs what is not there, is tried again.
    right = [templar.template(trust_as_template(one)) for one in TEMPLATES]
    right += [templar.evaluate_conditional(trust_as_template(one)) for one in EXPRESSIONS]
    assert right == expected[: len(right)]
    assert not compiled
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == kept
