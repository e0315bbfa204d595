# SPDX-License-Identifier: Apache-2.0
"""The options of this run's command line, for another run that has to mean the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible.parsing.splitter import parse_kv

from ..module_utils.diff import is_secret

# By Ansible's names for them.
REPEATED = {
    "inventory": "--inventory",
    "extra_vars": "--extra-vars",
    "vault_ids": "--vault-id",
    "vault_password_files": "--vault-password-file",
}
SINGLE = {
    "subset": "--limit",
    "forks": "--forks",
    "timeout": "--timeout",
    "remote_user": "--user",
    "private_key_file": "--private-key",
    "connection": "--connection",
    "ssh_common_args": "--ssh-common-args",
    "ssh_extra_args": "--ssh-extra-args",
    "sftp_extra_args": "--sftp-extra-args",
    "scp_extra_args": "--scp-extra-args",
    "become_method": "--become-method",
    "become_user": "--become-user",
    "become_password_file": "--become-password-file",
    "connection_password_file": "--connection-password-file",
}
ASKING = {
    "ask_pass": "--connection-password-file",
    "become_ask_pass": "--become-password-file",
    "ask_vault_pass": "--vault-password-file",
}
_SECRET = re.compile(r"(pass|passwd|password|token|secret|api_?keys?|private_?key)$", re.IGNORECASE)
_CREDENTIALS = re.compile(r"://[^/\s]+@")


def options(cli: Mapping[str, Any]) -> list[str]:
    """Options of a command line as Ansible has read it (`context.CLIARGS`), none that asks."""
    found = []
    for name, option in REPEATED.items():
        found += [f"{option}={value}" for value in cli.get(name) or []]
    for name, option in SINGLE.items():
        if cli.get(name):
            found.append(f"{option}={cli[name]}")
    return found + (["--become"] if cli.get("become") else [])


def asking(cli: Mapping[str, Any]) -> str:
    """The option that gives in a file what this run asked a person for; '' where it asked none."""
    named = next((option for name, option in ASKING.items() if cli.get(name)), "")
    prompts = any(str(one).rpartition("@")[2] == "prompt" for one in cli.get("vault_ids") or [])
    return named or ("--vault-id=NAME@FILE" if prompts else "")


def lasting(cli: Mapping[str, Any], folder: Path, dropped: str) -> dict[str, Any]:
    """The command line so that it means the same later and elsewhere.

    Args:
        folder: that this run began in; relative paths are below it.
        dropped: what the names of variables begin with that concern this run alone.
    """
    variables: list[str] = []
    for text in cli.get("extra_vars") or []:
        if text.startswith("@"):
            variables.append(f"@{(folder / Path(text[1:]).expanduser()).resolve()}")
            continue
        kept = {k: v for k, v in _given(text).items() if not str(k).startswith(dropped)}
        if kept:
            variables.append(json.dumps(kept, ensure_ascii=False))
    return {
        **cli,
        "extra_vars": variables,
        "vault_ids": [_vault_id(str(one), folder) for one in cli.get("vault_ids") or []],
        "vault_password_files": [
            str((folder / one).resolve()) for one in cli.get("vault_password_files") or []
        ],
    }


def secrets(cli: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Names of secret variables whose values stand on the command line itself.

    Args:
        known: names of variables that are secret; of others the name has to say so.
    """
    names = set(known)
    inline = [text for text in cli.get("extra_vars") or [] if not text.startswith("@")]
    return sorted({name for text in inline for name in _secret_names(_given(text), names)})


def _secret_names(tree: Any, known: set[str], path: str = "") -> Iterable[str]:
    if isinstance(tree, str) and _CREDENTIALS.search(tree) and "{{" not in tree:
        yield path
    if isinstance(tree, list):
        for one in tree:
            yield from _secret_names(one, known, path)
    if not isinstance(tree, Mapping):
        return
    for key, value in tree.items():
        where = f"{path}.{key}" if path else str(key)
        # Google's metadata takes scripts, which hold secrets without saying so.
        of_metadata = re.search(r"metadata(\.|$)", path) and is_secret(str(key))
        named = key in known or _SECRET.search(str(key)) or of_metadata
        # A template says where the value lies.
        if value and named and "{{" not in str(value):
            yield where
        else:
            yield from _secret_names(value, known, where)


def _given(text: str) -> dict[str, Any]:
    """Variables of one `--extra-vars` that is no file."""
    found = yaml.safe_load(text) if text[:1] in "[{" else parse_kv(text)
    return {str(key): _plain(value) for key, value in (found or {}).items()}


def _plain(value: Any) -> Any:
    """Without Ansible's marks of where a text came from."""
    return json.loads(json.dumps(value, default=str))


def _vault_id(text: str, folder: Path) -> str:
    name, at, source = text.rpartition("@")
    path = (folder / Path(source).expanduser()).resolve()
    return f"{name}{at}{path}" if path.exists() else text
