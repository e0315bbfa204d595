#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module llmops.gce_vllm.llm_metrics_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llm_metrics_info
short_description: Read a server's metrics
version_added: 0.3.0
description:
  - Reads C(/metrics) of an inference server, or of anything else that speaks Prometheus' text
    format. Changes nothing.
options:
  url:
    description: Address of the server, without a path.
    type: str
    required: true
  api_key:
    description: A key that opens its metrics. Empty for a server without one.
    type: str
    default: ""
  names:
    description: Names of the samples that are wanted. One that ends with C(*) stands for all that
      begin so. Without any, all are returned.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds that the answer may take.
    type: int
    default: 20
  validate_certs:
    description: Whether the certificate of an https server must be valid for its name.
    type: bool
    default: true
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: How many tokens the KV cache holds
  llmops.gce_vllm.llm_metrics_info:
    url: http://127.0.0.1:8000
    api_key: "{{ llm_api_key }}"
    names: ["vllm:cache_config_info"]
  register: metrics
"""

RETURN = r"""
samples:
  description: Each sample, without those that are no number.
  returned: success
  type: list
  elements: dict
  sample:
    - name: llm_in_flight
      labels: {}
      value: 3.0
read_at:
  description: Seconds since 1970 at which they were read, by the host's clock.
  returned: success
  type: float
"""

import time

from ansible.module_utils.urls import fetch_url

from ..module_utils.host.metrics_text import samples
from ..module_utils.redacting_module import AddressModule

#: Far more than a server with a hundred keys writes.
LONGEST = 16 * 2**20


class MetricsModule(AddressModule):
    """Hides user and password of the address."""

    address_options = ("url",)


def read(module: MetricsModule) -> str:
    """The text; ends the module where there is none."""
    options = module.params
    # By this the server tells it from a use.
    options["http_agent"] = "gce-vllm-probe"
    key = options["api_key"]
    response, info = fetch_url(
        module,
        options["url"].rstrip("/") + "/metrics",
        headers={"Authorization": f"Bearer {key}"} if key else {},
        timeout=options["timeout"],
    )
    if info["status"] != 200:
        said = info["msg"] if info["status"] == -1 else f"it answered {info['status']}"
        module.fail_json(f"/metrics could not be read: {said}.")
    try:
        text = response.read(LONGEST + 1)
    except OSError as error:
        module.fail_json(f"/metrics could not be read: the answer broke off ({error}).")
    if len(text) > LONGEST:
        module.fail_json(f"/metrics is longer than {LONGEST} bytes, so it is not read.")
    return str(text.decode("utf-8", "replace"))


def main() -> None:
    """Entry point of the module."""
    module = MetricsModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "api_key": {"type": "str", "default": "", "no_log": True},
            "names": {"type": "list", "elements": "str", "default": []},
            "timeout": {"type": "int", "default": 20},
            "validate_certs": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    text = read(module)
    module.exit_json(
        changed=False, samples=samples(text, module.params["names"]), read_at=time.time()
    )


if __name__ == "__main__":
    main()
