#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_quota_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_quota_info
short_description: Whether the Compute Engine quota suffices for a plan
version_added: 0.1.0
description:
  - Compares what a plan needs with what is free in a region and in the whole project.
  - Does not fail where quota is short; see RV(sufficient) and RV(shortfalls).
  - A metric that Google does not list has an unknown limit, not a limit of zero; it is in
    RV(unknown) and does not
    count against RV(sufficient).
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.attributes_info
options:
  region:
    description: Region, for example V(us-central1).
    type: str
    required: true
  needs:
    description:
      - Metric to amount, as RV(llmops.gce_vllm.gce_machine_type_info#module:quota_needs) has it.
      - Where empty, all metrics of region and project are returned and nothing is compared.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Is there room for one L4 machine
  llmops.gce_vllm.gce_quota_info:
    project: my-project-123456
    region: us-central1
    needs:
      NVIDIA_L4_GPUS: 1
      GPUS_ALL_REGIONS: 1
  register: quota

- name: Stop where there is not
  ansible.builtin.assert:
    that: quota.sufficient
    fail_msg: "{{ quota.shortfalls }}"
"""

RETURN = r"""
quotas:
  description: One entry a metric.
  returned: success
  type: list
  elements: dict
  contains:
    metric:
      description: Google's name of the quota.
      type: str
    instead_of:
      description: The preemptible metric that the project has no quota for, so that the standard
        one counts.
      type: str
      returned: when that is so
    region:
      description: The region, or V(global).
      type: str
    limit:
      description: Limit; null where Google lists none.
      type: float
    usage:
      description: In use now.
      type: float
    free:
      description: Limit minus usage.
      type: float
    needed:
      description: What the plan needs; 0 where O(needs) is empty.
      type: float
    ok:
      description: Whether it suffices; null where not known.
      type: bool
  sample: [{"metric": "NVIDIA_L4_GPUS", "region": "us-central1", "limit": 1, "usage": 0, "free": 1,
    "needed": 1, "ok": true}]
sufficient:
  description: Whether no metric falls short.
  returned: success
  type: bool
  sample: true
shortfalls:
  description: A sentence for each metric that falls short, with what to do next.
  returned: success
  type: list
  elements: str
  sample: ["NVIDIA_L4_GPUS (us-central1): 1 needed, 0 free (limit 0, in use 0). Next: ask for a
    limit of 1 at …"]
unknown:
  description: Metrics that Google does not list.
  returned: success
  type: list
  elements: str
  sample: []
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule

from ..module_utils import quota
from ..module_utils.arguments import common_spec, run
from ..module_utils.errors import GceError
from ..module_utils.gce_client import GceClient


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Needs to the module's result."""
    needs = {}
    for metric, amount in (params["needs"] or {}).items():
        try:
            needs[str(metric)] = int(amount)
        except (TypeError, ValueError):
            raise GceError(
                f"needs has {metric}: {amount!r}, which is not a whole number.",
                reason="badNeeds",
                remedy="write needs as metric: amount, for example NVIDIA_L4_GPUS: 1.",
            ) from None
    here, everywhere = quota.read(client, params["region"], needs)
    asked = needs or dict.fromkeys([*here, *everywhere], 0)
    rows = quota.headroom(asked, params["region"], here, everywhere)
    return {
        "changed": False,
        "quotas": rows,
        "sufficient": not needs or all(row["ok"] is not False for row in rows),
        "shortfalls": quota.shortfalls(rows, client.project) if needs else [],
        "unknown": [row["metric"] for row in rows if row["ok"] is None],
    }


def main() -> None:
    """Entry point."""
    spec = {
        "region": {"type": "str", "required": True},
        "needs": {"type": "dict", "default": {}},
    }
    run(AnsibleModule(argument_spec={**common_spec(), **spec}, supports_check_mode=True), core)


if __name__ == "__main__":
    main()
