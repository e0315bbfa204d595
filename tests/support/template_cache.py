# SPDX-License-Identifier: Apache-2.0
"""Jinja's Python code for templates, kept on disk: each worker of a run would compile hundreds.

A template's code depends on its text and on its environment's settings alone. Ansible has Jinja's
optimizer switched off, so that nothing of a template is evaluated while it is compiled.
"""

from __future__ import annotations

import contextlib
import hashlib
import marshal
import os
import sys
from importlib.metadata import version
from pathlib import Path
from types import CodeType
from typing import Any

from ansible._internal._templating import _jinja_bits
from jinja2.environment import TemplateExpression

ENVIRONMENT = _jinja_bits.AnsibleEnvironment
SETTINGS = (
    "block_start_string",
    "block_end_string",
    "variable_start_string",
    "variable_end_string",
    "comment_start_string",
    "comment_end_string",
    "line_statement_prefix",
    "line_comment_prefix",
    "trim_blocks",
    "lstrip_blocks",
    "newline_sequence",
    "keep_trailing_newline",
    "optimized",
    "is_async",
)
#: Where all runs of tests keep them.
FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gce-vllm/templates"
VERSIONS = (sys.version, version("jinja2"), version("ansible-core"))


class _Known(str):
    """An expression's text, and its code."""

    code: CodeType


def install(folder: Path = FOLDER) -> None:
    """Have this process, and those that it forks, compile only what is not in `folder` yet."""
    folder.mkdir(parents=True, exist_ok=True)
    compile_, compile_expression = ENVIRONMENT.compile, ENVIRONMENT.compile_expression
    compiled: list[CodeType] = []

    def cached_compile(self: Any, source: Any, *others: Any, **named: Any) -> Any:
        if isinstance(source, _Known):
            return source.code
        if not isinstance(source, str) or others or named:
            compiled.append(compile_(self, source, *others, **named))
            return compiled[-1]
        file = folder / _name(self, "template", source)
        return _read(file) or _write(file, compile_(self, source))

    def cached_expression(self: Any, source: str, undefined_to_none: bool = True) -> Any:
        file = folder / _name(self, "expression", source)
        code = _read(file)
        if code is None:
            expression = compile_expression(self, source, undefined_to_none)
            # Jinja has given the parsed expression to `compile`.
            _write(file, compiled.pop())
            return expression
        known = _Known(source)
        known.code = code
        return TemplateExpression(self.from_string(known), undefined_to_none)

    ENVIRONMENT.compile, ENVIRONMENT.compile_expression = cached_compile, cached_expression


def _name(environment: Any, kind: str, source: str) -> str:
    context = _jinja_bits._TemplateCompileContext.current(optional=True)
    settings = [getattr(environment, name) for name in SETTINGS]
    facts = (VERSIONS, settings, context and context.escape_backslashes, kind, str(source))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _read(file: Path) -> CodeType | None:
    with contextlib.suppress(FileNotFoundError):
        # Written by these tests, where only their user writes.
        return marshal.loads(file.read_bytes())  # type: ignore[no-any-return]  # noqa: S302
    return None


def _write(file: Path, code: CodeType) -> CodeType:
    # Others may look for it meanwhile.
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_bytes(marshal.dumps(code))
    fresh.rename(file)
    return code
