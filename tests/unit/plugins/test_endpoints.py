# SPDX-License-Identifier: Apache-2.0
"""Where the other APIs are asked: no token may go where the user did not send it."""

from __future__ import annotations

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.errors import GceError
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce import endpoints
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.client import GceClient, Settings

OWN = "https://cloudquotas.googleapis.com/v1"


@pytest.mark.parametrize(
    ("compute", "given", "expected"),
    [
        ("https://compute.googleapis.com/compute/v1", None, OWN),
        ("https://www.googleapis.com/compute/v1", "", OWN),
        ("http://127.0.0.1:8080/compute/v1", None, "http://127.0.0.1:8080/v1"),
        ("https://evilgoogleapis.com/compute/v1", None, "https://evilgoogleapis.com/v1"),
        ("http://127.0.0.1:8080/compute/v1", "https://q.example/v1", "https://q.example/v1"),
    ],
)
def test_sibling(compute: str, given: str | None, expected: str) -> None:
    assert endpoints.sibling(OWN, compute, given) == expected


@pytest.mark.parametrize(
    ("endpoint", "taken"),
    [
        ("https://compute.googleapis.com/compute/v1", True),
        ("https://gateway.example/compute/v1", True),
        ("http://127.0.0.1:8080/compute/v1", True),
        ("http://localhost:8080/compute/v1", True),
        ("http://[::1]:8080/compute/v1", True),
        ("http://gateway.example/compute/v1", False),
        ("http://compute.googleapis.com/compute/v1", False),
        ("http://127.0.0.1.evil.example/compute/v1", False),
        ("http://127.0.0.1@evil.example/compute/v1", False),
        ("http://10.0.0.2/compute/v1", False),
    ],
)
def test_no_token_goes_over_plain_http(endpoint: str, taken: bool) -> None:
    assert endpoints.in_clear(endpoint) is not taken
    if taken:
        GceClient(Settings("p", endpoint=endpoint))
    else:
        with pytest.raises(GceError, match="could be read on the way"):
            GceClient(Settings("p", endpoint=endpoint))
