# SPDX-License-Identifier: Apache-2.0
"""Where Google's other APIs answer, seen from the address of Compute Engine. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def sibling(own: str, compute_endpoint: str, given: str | None = None) -> str:
    """Address of another API.

    What is given wins. Where Compute Engine is Google's, so is the other API. Anything else that
    stands in for Compute Engine (an emulator, a gateway) is asked under the other API's own path:
    a token that was made for it is never sent elsewhere.

    Args:
        own: Google's own address of the other API, with its version.
    """
    if given:
        return given
    if is_googles(compute_endpoint):
        return own
    compute = urlsplit(compute_endpoint)
    return f"{compute.scheme}://{compute.netloc}{urlsplit(own).path}"


def in_clear(address: str) -> bool:
    """Whether somebody on the way can read what is sent there; loopback has no way."""
    parts = urlsplit(address)
    return parts.scheme != "https" and (parts.hostname or "") not in LOOPBACK


def is_googles(endpoint: str) -> bool:
    """Whether an address is one of Google's own APIs."""
    host = urlsplit(endpoint).hostname or ""
    return host == "googleapis.com" or host.endswith(".googleapis.com")
