# SPDX-License-Identifier: Apache-2.0
"""The keys that open the page: those of the server whose scope shows metrics."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml

#: A key of the scope inference asks the model, and sees nothing of others.
SCOPES = ("all", "metrics")


class KeysError(Exception):
    """The file cannot be read; the text repeats nothing of it."""


@dataclass(frozen=True)
class Key:
    """One key, by its digest; `expires` in seconds since 1970."""

    name: str
    sha256: str
    expires: float | None = None


class Keys:
    """The file, read again whenever it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[Key, ...] = ()

    def known(self, now: float) -> tuple[Key, ...]:
        """The keys that open the page now.

        Raises:
            KeysError: the file cannot be read; nobody gets in then.
        """
        try:
            there = self._path.stat()
            seen = (there.st_ino, there.st_mtime_ns, there.st_size)
            if seen != self._seen:
                self._keys = parsed(yaml.safe_load(self._path.read_text(encoding="utf-8")))
                self._seen = seen
        except OSError as error:
            raise KeysError(f"{self._path} cannot be read: {error.strerror}") from None
        except (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError):
            raise KeysError(f"{self._path} is no file with keys") from None
        return tuple(one for one in self._keys if one.expires is None or now < one.expires)


def parsed(data: Any) -> tuple[Key, ...]:
    """The keys of access.yaml that open the page; the server has checked it.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is not of that form.
    """
    if not isinstance(data, Mapping):
        raise TypeError
    return tuple(
        Key(str(one["name"]), str(one["sha256"]), _end(one.get("expires")))
        for one in data.get("keys") or ()
        if one.get("scope", "all") in SCOPES
    )


def _end(value: object) -> float | None:
    """As the server reads it: a day counts to its end, and without a zone it is UTC."""
    if value is None:
        return None
    text = str(value)
    # Python 3.10 does not know Z.
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    if len(text) <= len("2027-01-31"):
        moment += timedelta(days=1)
    return moment.timestamp()


def find(keys: Iterable[Key], given: str) -> Key | None:
    """The key that was given; the time does not tell which one matched."""
    digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).hexdigest()
    found = [key for key in keys if hmac.compare_digest(digest, key.sha256)]
    return found[0] if found else None
