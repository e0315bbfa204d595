#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a release of vLLM served with, kept so that it can be put back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llm_deployment
short_description: Remember what a release of vLLM served with, or put that back
version_added: 0.2.0
description:
  - A release serves with settings, a unit and the server's package, and another release may refuse
    them. This keeps them together, in the release's own folder.
  - Keys are no part of it, since one that was revoked must not come back.
extends_documentation_fragment:
  - llmops.gce_vllm.releases
options:
  state:
    description:
      - V(recorded) keeps what the running service was started with, in the release that it runs
        from. Nothing is kept where the service is not ready, or has not read what is on disk.
      - V(restored) writes the files that O(release) served with. The service is not restarted.
      - V(refused) notes that O(release) did not serve, or is not to.
      - V(accepted) forgets such a note.
    type: str
    choices: [recorded, restored, refused, accepted]
    required: true
  release:
    description: Folder of the release. Needed unless O(state=recorded).
    type: path
  settings:
    description: The server's settings file.
    type: path
    default: /etc/llm-server/settings.yaml
  package:
    description: Folder of the server's package.
    type: path
    default: /opt/llm-server/llm_server
  unit:
    description: The service's unit file, whose name is the unit's.
    type: path
    default: /etc/systemd/system/llm-server.service
  runtime:
    description: Folder that systemd recreates at each start of the service.
    type: path
    default: /run/llm-server
  accept:
    description: For O(state=recorded), forget that this release failed before, or was left by hand.
    type: bool
    default: false
  reason:
    description: For O(state=refused), why.
    type: str
    default: ""
  fingerprint:
    description:
      - For O(state=refused), what tells the settings that it failed with from others. Empty for a
        release that is not to be tried again with any.
    type: str
    default: ""
  successor:
    description:
      - For O(state=refused), name of the release that is to serve in its place. Who finds this note
        knows where a run that was interrupted was going.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Says what would change without changing it.
  diff_mode:
    support: full
    description: Shows each file that is put back.
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Keep what serves now
  llmops.gce_vllm.llm_deployment:
    state: recorded
    link: /opt/vllm/venv
    releases: /opt/vllm/releases
"""

RETURN = r"""
release:
  description: Folder of the release that the state was brought about for; empty where none was.
  returned: success
  type: str
files:
  description: Files that were put back or removed.
  returned: success
  type: list
  elements: str
settings:
  description: For O(state=restored), the text of the settings that were put back.
  returned: success
  type: str
"""

import os
import time
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.venv import releases as known

Result = dict[str, Any]


class Deployment:
    """The files that a service is made of, and the notes about releases."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        params = module.params
        self._link, self._folder = Path(params["link"]), Path(params["releases"])
        self._release = Path(params["release"] or "")
        self._unit = Path(params["unit"])
        self._single = [Path(params["settings"]), self._unit]
        self._package = Path(params["package"])
        self._runtime = Path(params["runtime"])

    def recorded(self) -> Result:
        """Keep what the running service was started with."""
        release = self._serving_from()
        if release is None:
            return {"changed": False, "release": "", "files": []}
        files = {str(path): path.read_text(encoding="utf-8") for path in self._files()}
        note = known.read_note(release / known.SERVED)
        others = [one.served_at for one in known.list_releases(self._folder, self._link)]
        refused = release / known.REFUSED
        clears = self._module.params["accept"] and refused.exists()
        fresh = note.get("files") == files and note.get("at", "") >= max(others, default="")
        changed = not fresh or clears
        if changed and not self._module.check_mode:
            if not fresh:
                known.write_note(release / known.SERVED, {"at": _now(), "files": files})
            if clears:
                refused.unlink()
        return {"changed": changed, "release": str(release), "files": []}

    def restored(self) -> Result:
        """Write the files that a release served with."""
        release = self._release
        files: dict[str, str] = known.read_note(release / known.SERVED).get("files", {})
        if not files:
            self._module.fail_json(msg=f"Nothing is known of what {release} served with.")
        now = {str(path): _text(path) for path in self._files()}
        differing = sorted(
            path for path in {*files, *now} if files.get(path) != now.get(path, _text(Path(path)))
        )
        diff = [
            {
                "before_header": path,
                "after_header": path,
                "before": now.get(path) or "",
                "after": files.get(path, ""),
            }
            for path in differing
        ]
        if not self._module.check_mode:
            for path in differing:
                _put(Path(path), files.get(path))
        return {
            "changed": bool(differing),
            "release": str(release),
            "files": differing,
            "settings": files.get(self._module.params["settings"], ""),
            "diff": diff,
        }

    def refused(self) -> Result:
        """Note that a release did not serve, or is not to."""
        release = self._release
        names = ("reason", "fingerprint", "successor")
        note = {name: self._module.params[name] for name in names}
        before = known.read_note(release / known.REFUSED)
        changed = {name: before.get(name, "") for name in names} != note
        if changed and not self._module.check_mode and release.is_dir():
            known.write_note(release / known.REFUSED, {**note, "at": _now()})
        return {"changed": changed, "release": str(release), "files": []}

    def accepted(self) -> Result:
        """Forget that a release was refused."""
        note = self._release / known.REFUSED
        changed = note.exists()
        if changed and not self._module.check_mode:
            note.unlink()
        return {"changed": changed, "release": str(self._release), "files": []}

    def _files(self) -> list[Path]:
        package = [path for path in self._package.rglob("*") if "__pycache__" not in path.parts]
        return [path for path in [*self._single, *package] if path.is_file()]

    def _serving_from(self) -> Path | None:
        """The release that a ready service runs from, if it has read all that is on disk."""
        code, out, _err = self._module.run_command(
            ["systemctl", "show", self._unit.name, "--property=ActiveState,MainPID"]
        )
        state = dict(line.partition("=")[::2] for line in out.splitlines())
        if code != 0 or state.get("ActiveState") != "active" or not self._runtime.is_dir():
            return None
        started = self._runtime.stat().st_mtime_ns
        if any(path.stat().st_ctime_ns > started for path in self._files()):
            return None
        name = known.release_of(state["MainPID"], self._folder, self._link)
        release = Path(os.path.realpath(self._folder)) / name
        return release if name and release.is_dir() else None


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(0o644)
    new.replace(path)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["recorded", "restored", "refused", "accepted"],
                "required": True,
            },
            **known.ARGUMENTS,
            "release": {"type": "path"},
            "settings": {"type": "path", "default": "/etc/llm-server/settings.yaml"},
            "package": {"type": "path", "default": "/opt/llm-server/llm_server"},
            "unit": {"type": "path", "default": "/etc/systemd/system/llm-server.service"},
            "runtime": {"type": "path", "default": "/run/llm-server"},
            "accept": {"type": "bool", "default": False},
            "reason": {"type": "str", "default": ""},
            "fingerprint": {"type": "str", "default": ""},
            "successor": {"type": "str", "default": ""},
        },
        required_if=[
            ("state", state, ["release"]) for state in ("restored", "refused", "accepted")
        ],
        supports_check_mode=True,
    )
    module.exit_json(**getattr(Deployment(module), module.params["state"])())


if __name__ == "__main__":
    main()
