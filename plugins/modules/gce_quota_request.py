#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.gce_quota_request."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gce_quota_request
short_description: Ask Google for more quota
version_added: 0.2.0
description:
  - Files a request for a higher limit with the Cloud Quotas API. Waits for the decision, and
    reports it.
  - Nothing is filed where the limit suffices, or where anyone's request for as much or more is
    pending. A value that was denied is not requested again, but less or more than that is.
  - A request that is denied or still pending is a result, not a failure; see RV(outcome).
  - Needs C(cloudquotas.googleapis.com) to be enabled, and the role C(roles/cloudquotas.admin).
author:
  - gce-vllm maintainers (@llmops)
extends_documentation_fragment:
  - llmops.gce_vllm.gce
  - llmops.gce_vllm.gce.attributes
options:
  metric:
    description: A quota by the name that RV(llmops.gce_vllm.gce_quota_info#module:quotas) has, for
      example V(NVIDIA_L4_GPUS). Either this or O(quota_id).
    type: str
  quota_id:
    description: A quota by its id in Cloud Quotas, for example
      V(NVIDIA-L4-GPUS-per-project-region). Newer GPUs have only that.
    type: str
  region:
    description: The region, for quotas that are counted in each. The same as a dimension C(region).
    type: str
  dimensions:
    description: What else the quota is divided by, for example C(gpu_family).
    type: dict
    default: {}
  value:
    description: The limit that is needed, the whole of it and not what is to be added.
    type: int
    required: true
  justification:
    description: What the quota is for, in technical terms. People at Google read it.
    type: str
    required: true
  contact_email:
    description: Where Google writes to about the request.
    type: str
    required: true
  wait:
    description: Seconds to wait for the decision. Many come within a minute, some take days.
    type: int
    default: 60
  service:
    description: The service whose quota it is.
    type: str
    default: compute.googleapis.com
  quotas_endpoint:
    description:
      - Address of the Cloud Quotas API, up to and including the version. By default Google's own,
        or where O(endpoint) is not Google's the same machine.
      - The environment variable E(GCE_VLLM_QUOTAS_ENDPOINT) is used if this is not given.
    type: str
"""

EXAMPLES = r"""
- name: One L4 in Iowa
  llmops.gce_vllm.gce_quota_request:
    project: my-project-123456
    metric: NVIDIA_L4_GPUS
    region: us-central1
    value: 1
    justification: One g2-standard-8 that serves a language model with vLLM for internal tests.
    contact_email: ops@example.com
  register: request

- name: Stop where Google has not granted it
  ansible.builtin.assert:
    that: request.outcome == 'granted'
    fail_msg: "{{ request.outcome }}: {{ request.state_detail }}"

- name: H100s, which only Cloud Quotas counts
  llmops.gce_vllm.gce_quota_request:
    project: my-project-123456
    quota_id: GPUS-PER-GPU-FAMILY-per-project-region
    region: us-central1
    dimensions:
      gpu_family: NVIDIA_H100
    value: 8
    justification: One a3-highgpu-8g that serves a language model with vLLM.
    contact_email: ops@example.com
"""

RETURN = r"""
outcome:
  description: V(granted) (as much as O(value) may be used), V(pending), or V(denied) (all or
    part of it). Null in check mode where a request would be filed.
  returned: success
  type: str
  sample: granted
state_detail:
  description: Google's own words on the state; may be empty.
  returned: success
  type: str
  sample: The quota increase request was approved.
limit:
  description: Limit in force before; -1 is without limit, null where Google doesn't say.
  returned: success
  type: int
  sample: 0
requested:
  description: Limit asked for, now or before; null where none ever was.
  returned: success
  type: int
  sample: 1
granted:
  description: Limit that Google granted on request; null where it has not said.
  returned: success
  type: int
  sample: 1
quota_id:
  description: Id of the quota in Cloud Quotas.
  returned: success
  type: str
  sample: NVIDIA-L4-GPUS-per-project-region
dimensions:
  description: All dimensions of the request.
  returned: success
  type: dict
  sample: {"region": "us-central1"}
preference:
  description: Name of the request; null where there is none.
  returned: success
  type: str
  sample: projects/123456789012/locations/global/quotaPreferences/gce-vllm-nvidia-l4-gpus-1a2b3c4d
"""

from dataclasses import replace
from typing import Any

from ansible.module_utils.basic import AnsibleModule, env_fallback

from ..module_utils.errors import GceError
from ..module_utils.gce import endpoints
from ..module_utils.gce.client import GceClient
from ..module_utils.gce.module import common_spec, run
from ..module_utils.gce.quota.request import COMPUTE, DEFAULT_ENDPOINT, QuotaRequest, QuotasClient


def core(client: GceClient, params: dict[str, Any], check: bool) -> dict[str, Any]:
    """Desired state to the module's result."""
    for name, wrong, remedy in (
        ("value", params["value"] < 1, "give the limit that is needed, from 1 up."),
        ("contact_email", "@" not in params["contact_email"], "give an e-mail address."),
        ("justification", not params["justification"].strip(), "say what the quota is for."),
    ):
        if wrong:
            raise GceError(
                f"{name} is {params[name]!r}, with which Google takes no request.",
                reason="badRequest",
                remedy=remedy,
            )
    endpoint = endpoints.sibling(DEFAULT_ENDPOINT, client.endpoint, params["quotas_endpoint"])
    settings = replace(client.settings, endpoint=endpoint)
    with QuotasClient(settings) as quotas:
        return QuotaRequest(quotas, params, check).reach()


def main() -> None:
    """Entry point."""
    spec: dict[str, Any] = {
        "metric": {"type": "str"},
        "quota_id": {"type": "str"},
        "region": {"type": "str"},
        "dimensions": {"type": "dict", "default": {}},
        "value": {"type": "int", "required": True},
        "justification": {"type": "str", "required": True},
        "contact_email": {"type": "str", "required": True},
        "wait": {"type": "int", "default": 60},
        "service": {"type": "str", "default": COMPUTE},
        "quotas_endpoint": {
            "type": "str",
            "fallback": (env_fallback, ["GCE_VLLM_QUOTAS_ENDPOINT"]),
        },
    }
    which = [("metric", "quota_id")]
    module = AnsibleModule(
        argument_spec={**common_spec(), **spec},
        supports_check_mode=True,
        mutually_exclusive=which,
        required_one_of=which,
    )
    run(module, core)


if __name__ == "__main__":
    main()
