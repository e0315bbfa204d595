# SPDX-License-Identifier: Apache-2.0
"""A session that may read Cloud Storage, for those who know nothing of Google's credentials."""

from __future__ import annotations

import time
from typing import Any

from ..errors import GceError
from .credentials import Login, authorized_session
from .endpoints import in_clear


def bucket_session(service_account_file: str, storage: str) -> Any:
    """A `requests.Session` for the address `storage`; without credentials if they can't be used."""
    import requests  # noqa: PLC0415 - on the controller only

    if in_clear(storage):
        return requests.Session()
    try:
        # Storage is asked through the same policy as Compute Engine, within a minute.
        return authorized_session(Login(service_account_file), time.monotonic() + 60)
    except GceError:
        return requests.Session()  # Public buckets need none.
