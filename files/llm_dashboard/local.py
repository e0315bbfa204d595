# SPDX-License-Identifier: Apache-2.0
"""Asks services of this host for JSON, never by a proxy."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from typing import Any

#: Longest that one answer may take, and how long it may be.
TIMEOUT_S = 5.0
MOST_BYTES = 32 * 2**20
#: A body that ends early and a line that is not HTTP are neither of the other two.
_FAILURES = (OSError, ValueError, http.client.HTTPException)


class UnavailableError(Exception):
    """There is no answer, or none that can be read; the text says why."""


class Fetch:
    """Gets what is at an address."""

    def __init__(self, timeout: float = TIMEOUT_S) -> None:
        self._timeout = timeout
        context = ssl.create_default_context()
        # This host's own server, by an address that is not in its certificate.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )

    def __call__(self, url: str) -> Any:
        """The body, also of a failure that has one in JSON: /health says so how the server is.

        Raises:
            UnavailableError: nothing that can be read.
        """
        try:
            with self._opener.open(url, timeout=self._timeout) as answer:
                return json.loads(answer.read(MOST_BYTES))
        except urllib.error.HTTPError as error:
            with error:
                return _told(error)
        except _FAILURES as error:
            raise UnavailableError(str(getattr(error, "reason", error))) from None


def _told(error: urllib.error.HTTPError) -> Any:
    try:
        found = json.loads(error.read(MOST_BYTES))
    except _FAILURES:
        raise UnavailableError(f"status {error.code}") from None
    # Prometheus says what it does not like about an expression.
    if isinstance(found, dict) and found.get("status") == "error":
        raise UnavailableError(str(found.get("error", f"status {error.code}")))
    return found
