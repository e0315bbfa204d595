# SPDX-License-Identifier: Apache-2.0
"""Public SSH host keys as an instance publishes them: one well-formed key of a known kind, or none.

Any process on an instance may write guest attributes, so that nothing about a value can be believed
that was not looked at.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

# Curve, and bytes of an uncompressed point on it (SEC 1, section 2.3.3).
_CURVES = {"nistp256": 65, "nistp384": 97, "nistp521": 133}
_RSA_BITS = range(1024, 16385)  # what OpenSSH takes (sshkey.h)


def problem(kind: str, value: object) -> str:
    """Why `value` is no public key of that kind in base64, on one line; empty where it is one."""
    if kind not in KINDS:
        return f"its kind is not one of {', '.join(KINDS)}"
    if not isinstance(value, str):
        return "it is no text"
    try:
        blob = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return "it is not one word of base64"
    # Other spellings of the same bytes, such as one with a line's end after it.
    if base64.b64encode(blob).decode() != value:
        return "it is not one word of base64"
    try:
        named, *fields = _fields(blob)
    except ValueError:
        return "it is truncated or has something after it"
    if named != kind.encode():
        return "the key within is of another kind"
    return "" if KINDS[kind](fields) else "the key within is malformed"


def _fields(blob: bytes) -> list[bytes]:
    """The strings that a key is made of, each with its length before it (RFC 4251, section 5)."""
    found = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        if len(blob) < 4 + size:
            raise ValueError("cut off")
        found.append(blob[4 : 4 + size])
        blob = blob[4 + size :]
    if not found:
        raise ValueError("empty")
    return found


def _ed25519(fields: list[bytes]) -> bool:
    return [len(field) for field in fields] == [32]


def _ecdsa(curve: str) -> Callable[[list[bytes]], bool]:
    def fits(fields: list[bytes]) -> bool:
        named = len(fields) == 2 and fields[0] == curve.encode()
        return named and len(fields[1]) == _CURVES[curve] and fields[1][0] == 4

    return fits


def _rsa(fields: list[bytes]) -> bool:
    if len(fields) != 2 or not all(fields) or any(field[0] & 0x80 for field in fields):
        return False
    exponent, modulus = (int.from_bytes(field, "big") for field in fields)
    return exponent >= 3 and exponent % 2 == 1 and modulus.bit_length() in _RSA_BITS


# Those that Google's guest agent makes.
KINDS: dict[str, Callable[[list[bytes]], bool]] = {
    "ssh-ed25519": _ed25519,
    **{f"ecdsa-sha2-{curve}": _ecdsa(curve) for curve in _CURVES},
    "ssh-rsa": _rsa,
}
