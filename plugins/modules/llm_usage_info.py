#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.llm_usage_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llm_usage_info
short_description: Who asked the server on this host, and how much
version_added: 0.2.0
description:
  - Reads requests and tokens by key, model and period from the server's ledger, and never writes.
  - The server may go on writing meanwhile. What it counted in the last second may be missing.
  - Runs on the host with the server, and needs root there.
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
options:
  path:
    description: File of the ledger.
    type: path
    default: /var/lib/llm-server-usage/ledger.sqlite
  first:
    description: The first day, as C(2026-11-30), or a month, as C(2026-11). Empty is the first of
      this month. All days are of UTC.
    type: str
    default: ""
  last:
    description: The last day, or the month that is the last. Empty is today.
    type: str
    default: ""
  by:
    description: How long a period is. Hours are there for 35 days; after that a day is as one that
      was at 00:00.
    type: str
    choices: [hour, day, month]
    default: month
"""

EXAMPLES = r"""
- name: Who used how much in November
  llmops.gce_vllm.llm_usage_info:
    first: 2026-11
    last: 2026-11
    by: day
  register: usage
"""

RETURN = r"""
exists:
  description: Whether there is a ledger.
  returned: success
  type: bool
since:
  description: The first day that it has; null where it is empty.
  returned: success
  type: str
first:
  description: The first day that was asked for.
  returned: success
  type: str
last:
  description: The last one.
  returned: success
  type: str
by:
  description: How long a period is.
  returned: success
  type: str
rows:
  description:
    - One for each period, key and model that has something. The key is empty for requests that had
      none. A request that did not get to the model counts for the model that is served.
    - C(requests) are C(ok), C(client_error), C(server_error), C(client_gone) and C(refused)
      together.
  returned: success
  type: list
  elements: dict
  sample:
    - period: "2026-11"
      key: partner
      model: my-model
      requests: 12
      ok: 9
      client_error: 1
      server_error: 0
      client_gone: 0
      refused: 2
      refusals: {rate_tokens: 2}
      tokens_in: 5210
      tokens_out: 1803
ran:
  description: For how many seconds the server ran in each period.
  returned: success
  type: list
  elements: dict
  sample: [{"period": "2026-11", "model": "my-model", "seconds": 3600}]
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.host import usage_ledger


def main() -> None:
    """Entry point of the module."""
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/var/lib/llm-server-usage/ledger.sqlite"},
            "first": {"type": "str", "default": ""},
            "last": {"type": "str", "default": ""},
            "by": {"type": "str", "choices": ["hour", "day", "month"], "default": "month"},
        },
        supports_check_mode=True,
    )
    params, today = module.params, usage_ledger.today()
    try:
        first = usage_ledger.first_day(params["first"], today)
        last = usage_ledger.last_day(params["last"], today)
    except ValueError as error:
        form = "Write a day as 2026-11-30, or a month as 2026-11."
        module.fail_json(msg=f"first, last: {error}. {form}")
    if first > last:
        module.fail_json(msg=f"first ({first}) is after last ({last}).")
    try:
        found = usage_ledger.read(Path(params["path"]), first, last, params["by"])
    except usage_ledger.LedgerError as error:
        module.fail_json(msg=f"{error}.")
    module.exit_json(changed=False, first=str(first), last=str(last), by=params["by"], **found)


if __name__ == "__main__":
    main()
