# SPDX-License-Identifier: Apache-2.0
"""Which failures are tried again: those that time may fix."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from ansible_collections.llmops.gce_vllm.plugins.module_utils.gce.retries import retry_policy
from urllib3.exceptions import MaxRetryError, ProtocolError, ProxyError, SSLError

BAD_CERTIFICATE = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"
Failure = Callable[[], Exception]


def failed(error: Exception) -> None:
    retry_policy(time.monotonic() + 60).increment("GET", "/x", error=error)


@pytest.mark.parametrize(
    "error",
    [
        lambda: SSLError(BAD_CERTIFICATE),
        lambda: ProxyError("proxy", SSLError(BAD_CERTIFICATE)),
        lambda: ProxyError("p", OSError("Tunnel connection failed: 407 Authentication Required")),
        lambda: ProxyError("p", OSError("Tunnel connection failed: 403 Forbidden")),
    ],
)
def test_what_time_does_not_mend_fails_at_once(error: Failure) -> None:
    with pytest.raises(MaxRetryError):
        failed(error())


@pytest.mark.parametrize(
    "error",
    [
        lambda: SSLError("EOF occurred in violation of protocol"),
        lambda: ProxyError("p", OSError("Tunnel connection failed: 503 Service Unavailable")),
        lambda: ProtocolError("Connection aborted"),
    ],
)
def test_what_time_may_mend_is_tried_again(error: Failure) -> None:
    failed(error())
