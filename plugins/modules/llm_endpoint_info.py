#!/usr/bin/python
# SPDX-License-Identifier: Apache-2.0
"""Ansible module: asks an endpoint that has a model behind it, and judges what it answers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: llm_endpoint_info
short_description: Ask an endpoint for a completion, and tell whether it generates and is locked
version_added: 0.2.0
description:
  - Asks for the root page, the health, and a completion with the API key and without.
  - Changes nothing. What is wrong is no error of this module; it is told in RV(probes).
options:
  url:
    description: Address of the endpoint, without a path.
    type: str
    required: true
  api_key:
    description: The endpoint's key. Empty for an endpoint without one.
    type: str
    default: ""
  prompt:
    description: What the completion is asked for, at temperature 0.
    type: str
    default: What is the capital of France?
  expect:
    description: Regular expression that the answer must hold. Empty accepts any text.
    type: str
    default: ""
  max_tokens:
    description: Length of the completion at most.
    type: int
    default: 32
  timeout:
    description: Seconds that one request may take.
    type: int
    default: 60
  retries:
    description: How often, two seconds apart, an endpoint that can't be reached is tried again.
    type: int
    default: 3
  ca_path:
    description: Certificate file that an https endpoint is trusted by. Empty for the machine's own.
    type: path
    default: ""
  validate_certs:
    description: Whether the certificate of an https endpoint must be valid for its name.
    type: bool
    default: true
extends_documentation_fragment:
  - llmops.gce_vllm.host.attributes_info
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Ask for a completion
  llmops.gce_vllm.llm_endpoint_info:
    url: http://127.0.0.1:8000
    api_key: "{{ llm_api_key }}"
    expect: Paris
  register: endpoint

- name: It generates
  ansible.builtin.assert:
    that: endpoint.probes.completion.ok
    fail_msg: "{{ endpoint.probes.completion.evidence }}"
"""

RETURN = r"""
probes:
  description: What was asked, and how it went.
  returned: always
  type: dict
  contains:
    root:
      description: The root page names the model.
      type: dict
      sample: {ok: true, evidence: "GET / answered 200, model Qwen2.5-1.5B-Instruct"}
    health:
      description: The server is well, and the model is loaded.
      type: dict
    completion:
      description: With the key there is a text, which holds what was expected.
      type: dict
    locked:
      description: Without the key there is none.
      type: dict
"""

import json
import re
import time
from typing import Any

from ansible.module_utils.urls import fetch_url

from ..module_utils.host.endpoint_probe import NOTHING, Answer, Ask, Json, Question, parsed, probes
from ..module_utils.redacting_module import AddressModule


class EndpointModule(AddressModule):
    """Hides user and password of the address, which stand in it where a proxy asks for them."""

    address_options = ("url",)


def asking(module: EndpointModule) -> Ask:
    """How the endpoint is asked."""
    options = module.params
    # What is posted is never sent elsewhere as a plain request; Ansible's own uri module has it so.
    options["follow_redirects"] = "safe"
    # By this the server tells a probe from a use, which keeps an idle machine from being stopped.
    options["http_agent"] = "gce-vllm-probe"

    def ask(method: str, path: str, headers: dict[str, str], body: Json | None) -> Answer:
        response, info = fetch_url(
            module,
            options["url"].rstrip("/") + path,
            method=method,
            headers={**headers, "Content-Type": "application/json"} if body else headers,
            data=json.dumps(body).encode() if body else None,
            timeout=options["timeout"],
            ca_path=options["ca_path"] or None,
        )
        if info["status"] == NOTHING:
            return Answer(NOTHING, reason=str(info["msg"]))
        try:
            text = info.get("body") or (response.read() if response else b"")
        except OSError as error:
            return Answer(NOTHING, reason=f"the answer broke off: {error}")
        return Answer(info["status"], parsed(text))

    return ask


def collect(module: EndpointModule) -> dict[str, Any]:
    """What the module returns."""
    options = module.params
    question = Question(options["prompt"], options["expect"], options["max_tokens"])
    found = probes(
        asking(module), question, options["api_key"], max(options["retries"], 0), time.sleep
    )
    return {"changed": False, "probes": found}


def main() -> None:
    """Entry point of the module."""
    module = EndpointModule(
        argument_spec={
            "url": {"type": "str", "required": True},
            "api_key": {"type": "str", "default": "", "no_log": True},
            "prompt": {"type": "str", "default": "What is the capital of France?"},
            "expect": {"type": "str", "default": ""},
            # no_log: it is a number of words.
            "max_tokens": {"type": "int", "default": 32, "no_log": False},
            "timeout": {"type": "int", "default": 60},
            "retries": {"type": "int", "default": 3},
            "ca_path": {"type": "path", "default": ""},
            "validate_certs": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    try:
        re.compile(module.params["expect"])
    except re.error as error:
        module.fail_json(
            f"expect is {module.params['expect']!r}, which is no regular expression ({error}). "
            "Give one, or leave it empty to accept any text."
        )
    module.exit_json(**collect(module))


if __name__ == "__main__":
    main()
