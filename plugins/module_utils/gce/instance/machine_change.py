# SPDX-License-Identifier: Apache-2.0
"""Changes a stopped instance's machine type, and puts the old one back where Google refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...diff import Change
from ...errors import GceError
from ...hardware import machine_types
from ..client import GceClient
from ..operations import wait_until
from .api import InstanceCalls
from .change_table import way
from .reader import InstanceReader


class MachineChange:
    """Remembers what an instance was before it was stopped for a change.

    Attributes:
        before: its flat fields; None where nothing was stopped or all went well.
    """

    def __init__(self, client: GceClient, calls: InstanceCalls, reader: InstanceReader) -> None:
        self.client, self.calls, self.reader = client, calls, reader
        self.before: Mapping[str, Any] | None = None

    def stopped_for(self, before: Mapping[str, Any]) -> None:
        """It ran, and is stopped now for a change."""
        self.before = before

    def accepted(self) -> None:
        """It runs again, as it is."""
        self.before = None

    def deleted(self) -> None:
        """It is to be recreated: there is nothing that its old form could be given back to."""
        self.before = None

    def put_back(self) -> str:
        """Give the stopped instance its old machine and start it; what to say of that, '' for
        nothing.
        """
        before, self.before = self.before, None
        if before is None:
            return ""
        machine = f"its former machine ({before['machine_type']})"
        try:
            resource = self.calls.fetch()
            if resource is None or resource.get("status") == "RUNNING":
                return ""
            found, stays = self._changed_since(before, resource)
            self.calls.apply(found, resource, before)
            self.calls.call("start")
            wait_until(
                lambda: self.calls.fetch() or {},
                lambda one: one.get("status") == "RUNNING",
                seconds=self.client.seconds_left(),
                what=f"the {self.calls.where} to be RUNNING",
                describe=lambda one: str(one.get("status")),
            )
        except GceError as error:
            return (
                f" The instance, stopped for this change, did not get {machine} back either and is "
                f"stopped: {error.message}"
            )
        kept = f" As the task asks, and not put back: {', '.join(stays)}." if stays else ""
        if not found:
            return f" The instance, stopped for this change, was started again.{kept}"
        return f" The instance, stopped for this change, has {machine} again and was started.{kept}"

    def _changed_since(
        self, before: Mapping[str, Any], resource: Mapping[str, Any]
    ) -> tuple[list[Change], list[str]]:
        """Changes that lead back, and fields that took a stop too and stay as they are now."""
        now = self.reader.view(resource, before)
        differs = [one for one in {**before, **now} if now.get(one) != before.get(one)]
        back = {one for one in differs if _of_machine(one)}
        if machine_types.bundles_gpus(before["machine_type"]):
            back.discard("accelerators")  # they come back with it
        stays = [
            one
            for one in sorted(set(differs) - back)
            if one not in ("accelerators", "status")
            and way(one, before.get(one), now.get(one)) == "stop"
        ]
        return [Change(one, now.get(one), before.get(one), "stop") for one in sorted(back)], stays


def _of_machine(field: str) -> bool:
    own = ("machine_type", "accelerators", "discard_local_ssd")
    return field in own or field.startswith("scheduling.")
