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
  - Limits and usage come from Compute Engine. Cloud Quotas is asked for what falls short, and for
    what Compute Engine does not list. That is GPUs from H100 on, and vCPUs of newer machine
    families. Their usage is counted from the project's instances, since Cloud Quotas tells limits
    alone.
  - If Cloud Quotas can't be read, the module warns and continues with what Compute Engine lists.
    Its API may be off, or the account may have no role for it.
  - Does not fail where quota is short; see RV(sufficient), RV(table) and RV(shortfalls).
  - A metric whose limit nobody tells is unknown and not zero; it is in RV(unknown) and does not
    count against RV(sufficient).
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.shared
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
  quotas_endpoint:
    description:
      - Address of the Cloud Quotas API, up to and including the version. By default Google's own,
        or where O(endpoint) is not Google's the same machine.
      - The environment variable E(GCE_VLLM_QUOTAS_ENDPOINT) is used if this is not given.
    type: str
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
    fail_msg: "{{ quota.lines }}"

- name: Ask for what is short
  llmops.gce_vllm.gce_quota_request:
    project: my-project-123456
    quota_id: "{{ item.quota_id }}"
    dimensions: "{{ item.dimensions }}"
    value: "{{ item.request }}"
    justification: One g2-standard-8 that serves a language model with vLLM.
    contact_email: ops@example.com
  loop: "{{ quota.table | rejectattr('request', 'none') }}"
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
      description: Limit; V(-1) is none at all, null is not known.
      type: float
    usage:
      description: In use now.
      type: float
    free:
      description: Limit minus usage; null where there is no limit or it is not known.
      type: float
    source:
      description: V(compute) or V(cloud_quotas); null where not known.
      type: str
    needed:
      description: What the plan needs; 0 where O(needs) is empty.
      type: float
    ok:
      description: Whether it suffices; null where not known.
      type: bool
  sample: [{"metric": "NVIDIA_L4_GPUS", "region": "us-central1", "limit": 1, "usage": 0, "free": 1,
    "needed": 1, "ok": true}]
table:
  description: What RV(quotas) has, one entry a metric, and what to do where it does not suffice.
  returned: success
  type: list
  elements: dict
  contains:
    metric:
      description: Google's name of the quota. One that is counted by family has the family behind
        a slash.
      type: str
    instead_of:
      description: As in RV(quotas).
      type: str
      returned: when that is so
    region:
      description: The region, or V(global).
      type: str
    limit:
      description: As in RV(quotas).
      type: float
    usage:
      description: In use now.
      type: float
    free:
      description: As in RV(quotas).
      type: float
    needed:
      description: What the plan needs.
      type: float
    sufficient:
      description: Whether it suffices; null where not known.
      type: bool
    source:
      description: As in RV(quotas).
      type: str
    next_step:
      description: What to do; empty where it suffices.
      type: str
    quota_id:
      description: Id for M(llmops.gce_vllm.gce_quota_request).
      type: str
    dimensions:
      description: Dimensions for M(llmops.gce_vllm.gce_quota_request).
      type: dict
    request:
      description: The limit to ask for; null where it suffices or is not known.
      type: float
  sample: [{"metric": "GPUS_PER_GPU_FAMILY/NVIDIA_H100", "region": "us-central1", "limit": 8,
    "usage": 0, "free": 8, "needed": 8, "sufficient": true, "source": "cloud_quotas",
    "next_step": "", "quota_id": "GPUS-PER-GPU-FAMILY-per-project-region",
    "dimensions": {"region": "us-central1", "gpu_family": "NVIDIA_H100"}, "request": null}]
lines:
  description: RV(table) as lines of text.
  returned: success
  type: list
  elements: str
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
  description: Metrics whose limit is not known.
  returned: success
  type: list
  elements: str
  sample: []
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..module_utils.errors import GceError
from ..module_utils.gce import endpoints
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run, shared_spec
from ..module_utils.gce.quota import cloud_quotas
from ..module_utils.gce.quota import headroom as quota
from ..module_utils.gce.quota import request as quota_request


def core(client: GceClient, params: dict[str, Any], _check: bool) -> dict[str, Any]:
    """Needs to the module's result."""
    needs, region = _whole_numbers(params["needs"] or {}), params["region"]
    known = quota.read(client, region, needs)
    asked = needs or dict.fromkeys([*known.here, *known.everywhere], 0)
    rows = quota.headroom(asked, region, known)
    missing = quota.unlisted(needs, known)
    # Of what is short, Cloud Quotas knows whether Google would raise it.
    short = [row["metric"] for row in rows if row["ok"] is False]
    warnings = []
    if needs and (missing or short):
        endpoint = endpoints.sibling(
            quota_request.DEFAULT_ENDPOINT, client.endpoint, params["quotas_endpoint"]
        )
        infos, problem = cloud_quotas.read(client, endpoint, region, [*missing, *short])
        if problem:
            unread = ", ".join(one for one in missing if one not in infos)
            warnings.append(
                f"Cloud Quotas could not be read, so {f'{unread} is not known' if unread else ''}"
                f"{'' if unread else 'only what Compute Engine lists was looked at'}. {problem}"
            )
        limited = [metric for metric in missing if metric in infos]
        counted = cloud_quotas.in_use(client, region, limited)
        known = replace(known, infos=infos, counted=counted)
        rows = quota.headroom(asked, region, known)
    table = quota.table(rows, client.project, known.infos)
    return {
        "changed": False,
        "quotas": rows,
        "table": table,
        "lines": quota.lines(table),
        "sufficient": not needs or all(row["ok"] is not False for row in rows),
        "shortfalls": quota.shortfalls(rows, client.project, known.infos) if needs else [],
        "unknown": [row["metric"] for row in rows if row["ok"] is None],
        "warnings": warnings,
    }


def _whole_numbers(given: dict[str, Any]) -> dict[str, int]:
    needs = {}
    for metric, amount in given.items():
        try:
            needs[str(metric)] = int(amount)
        except (TypeError, ValueError):
            raise GceError(
                f"needs has {metric}: {amount!r}, which is not a whole number.",
                reason="badNeeds",
                remedy="write needs as metric: amount, for example NVIDIA_L4_GPUS: 1.",
            ) from None
    return needs


def main() -> None:
    """Entry point."""
    spec = {
        "region": {"type": "str", "required": True},
        "needs": {"type": "dict", "default": {}},
        "quotas_endpoint": {
            "type": "str",
            "fallback": (env_fallback, ["GCE_VLLM_QUOTAS_ENDPOINT"]),
        },
    }
    run(
        AnsibleModule(
            argument_spec={**common_spec(), **shared_spec(), **spec}, supports_check_mode=True
        ),
        core,
    )


if __name__ == "__main__":
    main()
