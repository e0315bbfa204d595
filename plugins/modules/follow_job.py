#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a long command has said since; the action of the same name shows it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: follow_job
short_description: Wait for a command that runs in the background, and show what it says meanwhile
version_added: 0.2.0
description:
  - For a task that was started with C(async) and C(poll=0). Shows each line that the command adds
    to a file as it comes, and ends when the command has ended.
  - Fails where the command failed, or ran longer than its C(async) allows.
options:
  jid:
    description: The job, C(ansible_job_id) of the task that started it.
    type: str
    required: true
  progress:
    description: File on the host that the command adds lines to. It need not be there yet.
    type: path
    required: true
  heartbeat:
    description: File on the host that is touched at least every O(wait) seconds. It tells the
      command that somebody waits for it.
    type: path
  results_file:
    description: File on the host that the job's result is written to, as the task that started it
      returns it. With it the end of the job ends the waiting at once.
    type: path
  wait:
    description: Seconds that the host waits for a new line before it is asked how the job is.
    type: int
    default: 15
  offset:
    description: Bytes of O(progress) that were shown before.
    type: int
    default: 0
attributes:
  check_mode:
    description: In check mode there is no job, and it is skipped.
    support: full
  diff_mode:
    description: There is nothing to compare.
    support: none
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Start something long
  ansible.builtin.command: /usr/local/bin/measure --progress /run/measure/progress
  async: 3600
  poll: 0
  register: started
  changed_when: false

- name: Wait for it
  llmops.gce_vllm.follow_job:
    jid: "{{ started.ansible_job_id }}"
    progress: /run/measure/progress
"""

RETURN = r"""
lines:
  description: What was shown.
  type: list
  elements: str
  returned: always
rc:
  description: The command's exit status.
  type: int
  returned: when the command ended by itself
"""

import contextlib
import json
import os
import time

from ansible.module_utils.basic import AnsibleModule


def read_lines(path: str, offset: int) -> tuple[list[str], int]:
    """Whole lines after so many bytes, and how many bytes there are then."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            file.seek(offset)
            new = file.read()
    except FileNotFoundError:
        return [], offset
    whole = new[: new.rfind(b"\n") + 1]
    return whole.decode(errors="replace").splitlines(), offset + len(whole)


def ended(path: str | None) -> bool:
    """Whether a job has written its result; an empty or half-written file is none."""
    try:
        with open(path or "", encoding="utf-8") as file:  # noqa: PTH123
            found = json.load(file)
    except (OSError, ValueError):
        return False
    # As async_status takes it: only what a job says of its beginning has this mark.
    return "started" not in found


def touch(path: str | None) -> None:
    """Sets the file's time to now; one that is gone stays so."""
    if path:
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)


def main() -> None:
    """Waits for new lines, at most as long as asked to."""
    module = AnsibleModule(
        {
            "jid": {"type": "str", "required": True},
            "progress": {"type": "path", "required": True},
            "heartbeat": {"type": "path"},
            "results_file": {"type": "path"},
            "wait": {"type": "int", "default": 15},
            "offset": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    path, offset = module.params["progress"], module.params["offset"]
    until = time.monotonic() + module.params["wait"]
    lines, size = read_lines(path, offset)
    while not lines and time.monotonic() < until and not ended(module.params["results_file"]):
        touch(module.params["heartbeat"])
        time.sleep(0.5)
        lines, size = read_lines(path, offset)
    touch(module.params["heartbeat"])
    module.exit_json(changed=False, lines=lines, offset=size)


if __name__ == "__main__":
    main()
