# SPDX-License-Identifier: Apache-2.0
"""Instance schedules: the resource policy, and whether an instance follows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..diff import Change, before_after, changes, merged
from ..errors import ApiError, GceError
from . import cron, naming
from .client import GceClient
from .operations import finish

Json = dict[str, Any]
_PLACES = {"start": "vmStartSchedule", "stop": "vmStopSchedule"}


class Schedule:
    """One schedule of a region by name; `check` only plans."""

    def __init__(self, client: GceClient, region: str, name: str, check: bool) -> None:
        self.client, self.region, self.name, self.check = client, region, name, check
        self.collection = f"{client.root}/regions/{region}/resourcePolicies"
        self.path = f"{self.collection}/{name}"
        self.where = f"instance schedule {name} in {region}"

    def present(self, params: Mapping[str, Any]) -> Json:
        """Make it or change what differs, and attach it to the instance."""
        desired = {
            field: params[field]
            for field in ("start", "stop", "time_zone", "expiration")
            if params[field] is not None
        }
        when = cron.expected(desired.get("start"), desired.get("stop"), desired["time_zone"])
        resource = self._fetch()
        current = _view(resource)
        if resource is None:
            found = [Change("schedule", None, self.name, "create")]
        else:
            found = changes(current, desired, lambda *_: "live")
        after = merged(current, desired)
        if found and not self.check:
            self._write(after, new=resource is None)
            resource = self._fetch()
            after = _view(resource)
        attached = self._attach(params)
        if attached:
            found.append(attached)
            current, after = {**current, "instance": None}, {**after, "instance": attached.after}
        return {**self._result(resource, found, current, after), "expected": when}

    def absent(self, params: Mapping[str, Any]) -> Json:
        """Take it away from the instance, and delete it."""
        resource = self._fetch()
        if resource is None:
            return {**self._result(None, [], {}, {}), "expected": "unknown"}
        found, before = [], {**_view(resource), "name": self.name}
        if params["instance"] and self._is_attached(params):
            found.append(Change("instance", params["instance"], None, "live"))
            before["instance"] = params["instance"]
            if not self.check:
                self._instance_call("removeResourcePolicies", params)
        found.append(Change("schedule", self.name, None, "delete"))
        if not self.check:
            what = f"delete the {self.where}"
            finish(self.client, self.client.delete(self.path, what), what)
        return {**self._result(None, found, before, {}), "expected": "unknown"}

    def _attach(self, params: Mapping[str, Any]) -> Change | None:
        if not params["instance"] or self._is_attached(params):
            return None
        if not self.check:
            self._instance_call("addResourcePolicies", params)
        return Change("instance", None, params["instance"], "live")

    def _is_attached(self, params: Mapping[str, Any]) -> bool:
        path = self._instance(params)
        instance = self.client.find(path, f"read the instance {params['instance']}")
        if instance is None and not self.check and params["state"] == "present":
            raise GceError(
                f"There is no instance {params['instance']} in {params['zone']} that could follow "
                f"the {self.where}.",
                reason="notFound",
                remedy="make it first (module gce_instance), or correct instance and zone.",
                status=404,
            )
        there = [naming.relative(str(one)) for one in (instance or {}).get("resourcePolicies", [])]
        return self.path in there

    def _instance(self, params: Mapping[str, Any]) -> str:
        return f"{self.client.root}/zones/{params['zone']}/instances/{params['instance']}"

    def _instance_call(self, verb: str, params: Mapping[str, Any]) -> None:
        what = f"change whether {params['instance']} follows the {self.where} ({verb})"
        body = {"resourcePolicies": [self.path]}
        done = self.client.post(f"{self._instance(params)}/{verb}", what, body)
        finish(self.client, done, what)

    def _write(self, after: Mapping[str, Any], new: bool) -> None:
        policy: Json = {"timeZone": after["time_zone"]}
        for field, place in _PLACES.items():
            if after.get(field):
                policy[place] = {"schedule": after[field]}
        if after.get("expiration"):
            policy["expirationTime"] = after["expiration"]
        if not new:
            what = f"change the {self.where}"
            body = {"instanceSchedulePolicy": policy}
            finish(self.client, self.client.patch(self.path, what, body), what)
            return
        what = f"create the {self.where}"
        content = {"name": self.name, "instanceSchedulePolicy": policy}
        try:
            finish(self.client, self.client.post(self.collection, what, content), what)
        except ApiError as error:
            # An earlier run that was interrupted was faster.
            if error.reason != "alreadyExists":
                raise

    def _fetch(self) -> Json | None:
        found = self.client.find(self.path, f"read the {self.where}")
        if found and "instanceSchedulePolicy" not in found:
            raise GceError(
                f"The resource policy {self.name} in {self.region} is no instance schedule. "
                "It was left alone.",
                reason="notASchedule",
                remedy="choose another name.",
            )
        return found

    def _result(
        self, resource: Json | None, found: list[Change], before: Json, after: Json
    ) -> Json:
        return {
            "changed": bool(found),
            "changes": [change.as_dict() for change in found],
            "diff": before_after(before, after, {**before, **after}),
            "schedule": resource,
        }


def _view(resource: Mapping[str, Any] | None) -> Json:
    policy = (resource or {}).get("instanceSchedulePolicy") or {}
    view = {field: (policy.get(place) or {}).get("schedule") for field, place in _PLACES.items()}
    view |= {"time_zone": policy.get("timeZone"), "expiration": policy.get("expirationTime")}
    return {field: value for field, value in view.items() if value}
