# SPDX-License-Identifier: Apache-2.0
"""Fingerprints: short hashes by which a client says which state it changes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any


def of(value: Any) -> str:
    """A fingerprint of any JSON value: 8 bytes in URL-safe base64, which is what gcloud returns."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(canonical).digest()[:8]).decode()


def same(given: str, current: str) -> bool:
    """Whether two fingerprints are equal, in either base64 alphabet, padded or not."""
    try:
        return _bytes(given) == _bytes(current)
    except (binascii.Error, ValueError):
        return False


def _bytes(text: str) -> bytes:
    text = text.replace("+", "-").replace("/", "_").rstrip("=")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
