#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: what a host's journal says of the server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: server_logs_info
short_description: Read what a host's journal says of the server
version_added: 0.2.0
description:
  - Reads the lines of the service and what systemd says of it. Also reads what the kernel says of
    GPUs, memory and disks.
  - What looks like a key, a token or a password is masked, whoever wrote it into the journal.
  - It has to run as root, or as a user who may read the journal.
options:
  units:
    description: Systemd services whose lines are read.
    type: list
    elements: str
    default: [llm-server.service, llm-server-preemption.service, gpu-check.service]
  since:
    description: Start of the time that is read. Give an age, as V(90s), V(30m), V(2h) or V(3d), or
      a time in UTC, as V(2026-11-30T08:00). Empty for all that the journal has.
    type: str
    default: 1h
  before:
    description: Its end, written alike. Empty for now.
    type: str
    default: ""
  lines:
    description: How many of the newest records are returned. A line with its traceback is one.
    type: int
    default: 200
  errors:
    description: Only warnings and worse, requests that failed (status 500 and higher), and what
      systemd and the kernel say.
    type: bool
    default: false
  request:
    description: Only what belongs to the request of this id.
    type: str
    default: ""
  key:
    description: Only requests with the API key of this name.
    type: str
    default: ""
  content:
    description: Also what was asked, where the server logs that (C(llm_server_log_content)).
    type: bool
    default: false
  hidden:
    description: Texts that are masked wherever they stand.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds after which reading is given up; RV(in_time) tells.
    type: float
    default: 60
  follow:
    description: Wait for what comes after O(cursor) instead.
    type: bool
    default: false
  cursor:
    description: A place in the journal, as RV(cursor) of an earlier run. Without one O(follow)
      begins now.
    type: str
    default: ""
  wait:
    description: With O(follow), seconds that are waited for a line.
    type: float
    default: 15
  follow_minutes:
    description: With O(follow), how long what comes is shown. Each line is shown by the machine
      that runs Ansible, about a second after it was written.
    type: int
    default: 0
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Read what went wrong in the last day
  llmops.gce_vllm.server_logs_info:
    since: 1d
    errors: true
  register: logs

- name: Show what comes in the next ten minutes
  llmops.gce_vllm.server_logs_info:
    follow: true
    follow_minutes: 10
    cursor: "{{ logs.cursor }}"
"""

RETURN = r"""
records:
  description: What was found, the oldest first.
  returned: always, but where O(follow_minutes) has it shown
  type: list
  elements: dict
  contains:
    time:
      description: When it was written, in UTC by the host's clock.
      type: str
      sample: '2026-11-30T08:23:40.020029Z'
    unit:
      description: The service that it is of; empty for the kernel's lines.
      type: str
    source:
      description: V(server), V(systemd) or V(kernel).
      type: str
    priority:
      description: V(emergency), V(alert), V(critical), V(error), V(warning), V(notice), V(info) or
        V(debug).
      type: str
    pid:
      description: The process.
      type: int
    text:
      description: What was written, a traceback with it.
      type: str
    request:
      description: Instead of RV(records[].text), the fields of a request's line.
      type: dict
    event:
      description: What systemd did, as V(started), V(exited), V(failed) or V(restart).
      type: str
    status:
      description: What the process ended with, a number or a signal's name.
      type: str
    result:
      description: Systemd's word for a failure, as V(watchdog), V(oom-kill) or V(signal).
      type: str
    meaning:
      description: What an Xid error of a GPU means, and what it asks for.
      type: str
complete:
  description: Whether these are all. Otherwise there are older ones.
  returned: always
  type: bool
in_time:
  description: Whether reading ended within O(timeout).
  returned: without O(follow)
  type: bool
reached:
  description: Time of the oldest line that was read, in seconds since 1970.
  returned: without O(follow)
  type: float
journal_begins:
  description: Time of the oldest line of the whole journal, in seconds since 1970.
  returned: without O(follow)
  type: float
since:
  description: O(since) as seconds since 1970, by the host's clock. Null where that is empty.
  returned: without O(follow)
  type: float
cursor:
  description: The place after the newest line.
  returned: always
  type: str
shown:
  description: How many records were shown.
  returned: with O(follow_minutes)
  type: int
"""

import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.logs import journal
from ..module_utils.logs.question import Question, moment


def answer(options: dict[str, Any], now: float) -> dict[str, Any]:
    """What the module returns.

    Raises:
        JournalError: the journal can't be read.
        ValueError: a time is none.
    """
    question = Question(
        lines=options["lines"],
        errors=options["errors"],
        request=options["request"],
        key=options["key"],
        content=options["content"],
    )
    if options["follow"]:
        return journal.after(options["units"], question, options["cursor"], now, options["wait"])
    since = moment(options["since"], now) if options["since"] else None
    before = moment(options["before"], now) if options["before"] else None
    found = journal.newest(options["units"], question, since, before, options["timeout"])
    return {**found, "since": since, "journal_begins": journal.begins()}


def main() -> None:
    """Entry point of the module."""
    units = ["llm-server.service", "llm-server-preemption.service", "gpu-check.service"]
    module = AnsibleModule(
        {
            "units": {"type": "list", "elements": "str", "default": units},
            "since": {"type": "str", "default": "1h"},
            "before": {"type": "str", "default": ""},
            "lines": {"type": "int", "default": 200},
            "errors": {"type": "bool", "default": False},
            "request": {"type": "str", "default": ""},
            "key": {"type": "str", "default": "", "no_log": False},  # its name
            "content": {"type": "bool", "default": False},
            "hidden": {"type": "list", "elements": "str", "default": [], "no_log": True},
            "timeout": {"type": "float", "default": 60},
            "follow": {"type": "bool", "default": False},
            "cursor": {"type": "str", "default": ""},
            "wait": {"type": "float", "default": 15},
            "follow_minutes": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    try:
        found = answer(module.params, time.time())
    except (journal.JournalError, OSError) as error:
        module.fail_json(msg=str(error))
    except ValueError as error:
        module.fail_json(msg=f"since, before: {error} is no time")
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
