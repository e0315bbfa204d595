# SPDX-License-Identifier: Apache-2.0
"""Levels of load, as the load tool and as people are told them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

DOCUMENTATION = r"""
name: load_levels
short_description: Levels of load with their numbers of requests
version_added: 0.2.0
description:
  - A level of a closed loop gets four rounds of requests. One of an open loop gets ten seconds of
    them. Either gets at least eight requests.
positional: rates
options:
  _input:
    description: For closed loops, how many requests are under way at once.
    type: list
    elements: int
    required: true
  rates:
    description: For open loops, requests a second.
    type: list
    elements: float
    default: []
author:
  - gce-vllm maintainers (@llmops)
"""

EXAMPLES = r"""
- name: See what would be sent
  ansible.builtin.debug:
    msg: "{{ ([1, 8] | llmops.gce_vllm.load_levels([0.5])).text }}"
"""

RETURN = r"""
_value:
  description: C(closed) and C(open), each level as C(NUMBER:REQUESTS), C(requests) of all levels
    together, and C(text) for people.
  type: dict
"""

LEAST_REQUESTS = 8
ROUNDS = 4
SECONDS = 10


def load_levels(
    concurrency: Iterable[int | str], rates: Iterable[float | str] = ()
) -> dict[str, Any]:
    """See DOCUMENTATION."""
    closed = [(str(one), max(LEAST_REQUESTS, ROUNDS * int(one))) for one in concurrency]
    opened = [(str(one), max(LEAST_REQUESTS, int(SECONDS * float(one)))) for one in rates]
    return {
        "closed": [f"{number}:{requests}" for number, requests in closed],
        "open": [f"{number}:{requests}" for number, requests in opened],
        "requests": sum(requests for _, requests in closed + opened),
        "text": "; ".join(
            [f"{requests} requests, {number} at once" for number, requests in closed]
            + [f"{requests} requests, {number} a second" for number, requests in opened]
        ),
    }


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Names of the filters."""
        return {"load_levels": load_levels}
