# SPDX-License-Identifier: Apache-2.0
"""Checks every variable that looks like one of ours against the roles' argument specs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.errors import UnsupportedError
from ansible.plugins.action import ActionBase

from ..plugin_utils.expected_host import expected

Spec = dict[str, dict[str, Any]]


def load_specs(roles_dir: Path) -> Spec:
    """Merge the options of every role's `main` entry point below a folder of roles."""
    merged: Spec = {}
    for path in sorted(roles_dir.glob("*/meta/argument_specs.yml")):
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        merged.update(document["argument_specs"]["main"].get("options", {}))
    return merged


def looks_like_ours(name: str, prefixes: Iterable[str]) -> bool:
    """Whether a variable's name claims to be one of this collection's."""
    return any(name.startswith(prefix) for prefix in prefixes)


def unknown_names(
    names: Iterable[str], known: Iterable[str], prefixes: Iterable[str]
) -> dict[str, list[str]]:
    """Names with one of our prefixes that nothing reads, each with its closest matches."""
    known_names = set(known)
    strangers = sorted(n for n in set(names) - known_names if looks_like_ours(n, prefixes))
    return {n: difflib.get_close_matches(n, sorted(known_names), n=2) for n in strangers}


def type_errors(spec: Spec, values: Mapping[str, Any]) -> list[str]:
    """What Ansible's own validator says of the values that are set, in its words."""
    used = {name: _without_defaults(spec[name]) for name in values if name in spec}
    result = ArgumentSpecValidator(used).validate({name: values[name] for name in used})
    # Ansible lists unsupported keys without saying that this is what they are.
    return [
        f"Unsupported setting {error.msg}"
        if isinstance(error, UnsupportedError)
        else plain_words(error.msg)
        for error in result.errors
    ]


def plain_words(message: str) -> str:
    """Ansible's message, with an empty choice that can be seen, and two of the words for yes."""
    message = re.sub(r"must be one of: (?=,)", "must be one of: '' (none)", message)
    return re.sub(
        r"(?s)argument '(.+)' is of type .*The value '(.*)' is not a valid boolean\..*",
        r"\1 is '\2'. Give true or false.",
        message,
    )


def _without_defaults(option: Mapping[str, Any]) -> dict[str, Any]:
    # Role defaults may be templates, which the validator would take for values of the wrong type.
    kept = {k: v for k, v in option.items() if k not in {"default", "description", "required"}}
    if "options" in option:
        kept["options"] = {
            name: {k: v for k, v in sub.items() if k not in {"default", "description"}}
            for name, sub in option["options"].items()
        }
    return kept


class ActionModule(ActionBase):  # type: ignore[misc]
    """Runs on the controller; touches no host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: object = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Fail with one message that lists every problem, or say how many names were checked."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        args = self._task.args
        spec = load_specs(Path(args["roles_dir"]))
        known = set(spec) | set(args["shared"])
        names = set(variables)
        hostvars = variables.get("hostvars", {})
        for host in hostvars:
            names |= set(hostvars[host])
        for host, group in (args.get("expected") or {}).items():
            names |= set(expected(hostvars, host, group))

        problems = [
            f"There is no variable '{name}'."
            + (f" Did you mean {' or '.join(near)}?" if near else " The roles' READMEs list all.")
            for name, near in unknown_names(names, known, args["prefixes"]).items()
        ]
        # The defaults of the role that this task belongs to are in scope too: nobody set them.
        own = f"{Path(variables['role_path']).name}_" if "role_path" in variables else None
        values = {
            name: self._templar.template(variables[name])
            for name in spec
            if name in variables and not (own and name.startswith(own))
        }
        problems += type_errors(spec, values)
        if problems:
            result.update(failed=True, msg="\n".join(problems))
        else:
            result.update(changed=False, checked=len(names & known))
        return result
