# SPDX-License-Identifier: Apache-2.0
"""The filter llmops.gce_vllm.api_url."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

DOCUMENTATION = r"""
name: api_url
short_description: The address of an API, by host, port and certificate
version_added: 0.2.0
description:
  - C(https) where there is a certificate, else C(http). An address of IPv6 is put in brackets.
positional: port, certificate
options:
  _input:
    description: A name or an address.
    type: str
    required: true
  port:
    description: The port.
    type: int
    required: true
  certificate:
    description: The certificate that the API shows; empty or null without TLS.
    type: str
    default: ""
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: Where the API is
  ansible.builtin.debug:
    msg: "{{ ansible_host | llmops.gce_vllm.api_url(8000, llm_server_tls_certificate) }}"
"""

RETURN = r"""
_value:
  description: The URL, without a slash at its end.
  type: str
"""


def api_url(host: str, port: int | str, certificate: str | None = "") -> str:
    """Scheme, host and port."""
    scheme = "https" if certificate else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"api_url": api_url}
