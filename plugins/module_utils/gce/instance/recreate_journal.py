# SPDX-License-Identifier: Apache-2.0
"""Notes of an instance that is deleted to be recreated, kept until the new one exists.

Between the two nobody else knows it. A run that is interrupted there, or that gets no new machine,
leaves it to the next.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import GceError
from ..client import GceClient

_FORMAT = 1
# An interrupted recreation is continued within days. Later nobody remembers it, and others
# may have made and deleted the instance from a machine that does not have the note.
OLD_DAYS = 7


@dataclass(frozen=True)
class Note:
    """One instance.

    Attributes:
        instance_id: Google's id of the one that was to be deleted.
        fields: all that it had, flat; secret metadata too.
        days: its age.
    """

    instance_id: str
    fields: dict[str, Any]
    days: float = 0.0

    def is_of(self, resource: Mapping[str, Any]) -> bool:
        """Whether this instance is the old one, so that its deletion is still to come."""
        return str(resource.get("id")) == self.instance_id

    def going_disks(self) -> list[str]:
        """Names of the disks that were set to go with it, before they were kept for the new one."""
        return sorted(
            field.split(".")[1]
            for field, value in self.fields.items()
            if field.startswith("disks.") and field.endswith(".auto_delete") and value
        )


def noted_zones(folder: str, client: GceClient, name: str) -> list[str]:
    """Zones that the folder has a note of this instance for, also where it may not be now."""
    zones = []
    for path in sorted(Path(folder).expanduser().glob(f"recreate-{name}-*.json") if folder else []):
        try:
            whose = [str(part) for part in json.loads(path.read_text(encoding="utf-8"))["whose"]]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        # The name of another instance may begin with this one's.
        if path.name == _file_name(whose) and [*whose[:2], *whose[3:]] == [
            client.endpoint,
            client.project,
            name,
        ]:
            zones.append(whose[2])
    return zones


def _file_name(whose: list[str]) -> str:
    digest = hashlib.sha256("\n".join(whose).encode()).hexdigest()[:12]
    return f"recreate-{whose[-1]}-{digest}.json"


class RecreateNotes:
    """The note of one instance by project, zone and name, as a file that only its user can read.

    Args:
        folder: where it is kept; '' for a reader that never makes an instance.
    """

    def __init__(self, folder: str, client: GceClient, zone: str, name: str) -> None:
        self._whose = [client.endpoint, client.project, zone, name]
        place = Path(folder).expanduser() if folder else None
        self.path = place / _file_name(self._whose) if place else None

    def read(self) -> Note | None:
        """The note; None where there is none, or where it is not to be understood."""
        if self.path is None:
            return None
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
            if found["format"] != _FORMAT or found["whose"] != self._whose:
                return None
            days = (time.time() - self.path.stat().st_mtime) / 86_400
            return Note(str(found["instance_id"]), dict(found["fields"]), days)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def write(self, resource: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
        """Keep it, whole or not at all.

        Raises:
            GceError: it can't be written, so nothing may be deleted yet.
        """
        if self.path is None:
            return
        content = {
            "format": _FORMAT,
            "whose": self._whose,
            "instance_id": str(resource.get("id")),
            "fields": dict(fields),
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._forget_halves()
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as out:
                    json.dump(content, out)
                    out.flush()
                    os.fsync(out.fileno())
                Path(name).replace(self.path)
            except OSError:
                Path(name).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise GceError(
                f"What the instance {self._whose[-1]} has can't be kept in {self.path.parent} "
                f"while it is recreated ({error.strerror}). Nothing was changed.",
                reason="stateDir",
                remedy="let that folder be written, or name another (state_dir).",
            ) from None

    def forget(self) -> bool:
        """The new one is there, or none is desired; returns whether there was a note."""
        if self.path is None:
            return False
        there = self.path.exists()
        self.path.unlink(missing_ok=True)
        self._forget_halves()
        return there

    def _forget_halves(self) -> None:
        """A run that was killed while it wrote left one, with secrets in it."""
        if self.path is not None:
            for half in self.path.parent.glob(f".{self.path.name}.*"):
                half.unlink(missing_ok=True)
