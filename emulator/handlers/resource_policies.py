# SPDX-License-Identifier: Apache-2.0
"""Resource policies: insert, patch and delete of instance schedules."""

from __future__ import annotations

import re
import zoneinfo
from datetime import datetime

from emulator.errors import Json, already_exists, in_use, invalid, required
from emulator.request.call import Call, handles
from emulator.rules import resources as rules
from emulator.world.world import base

_CRON = re.compile(r"\S+( \S+){4}")


@handles("resourcePolicies.insert")
def insert(call: Call) -> Json:
    """Creates an instance schedule."""
    call.check_scope()
    body = dict(call.body)
    rules.need(body, "name")
    rules.name(body["name"])
    ref = call.ref("resourcePolicies", body["name"])
    if call.world.find(ref):
        raise already_exists(ref.path)
    _check(body.get("instanceSchedulePolicy"))
    policy = (
        base("resourcePolicy", ref)
        | body
        | {
            "region": f"{ref.link.rsplit('/resourcePolicies', 1)[0]}",
            "status": "READY",
        }
    )
    call.world.store.put(ref, policy)
    return call.begin("insert", ref, policy, lambda: None)


@handles("resourcePolicies.patch")
def patch(call: Call) -> Json:
    """Changes the times of a schedule; what is not given stays."""
    call.check_scope()
    ref = call.ref("resourcePolicies", call.params["resourcePolicy"])
    policy = call.world.get(ref)
    if not call.body.get("instanceSchedulePolicy"):
        raise required("resource.instanceSchedulePolicy")
    wanted = policy["instanceSchedulePolicy"] | call.body["instanceSchedulePolicy"]
    _check(wanted)
    policy |= {"instanceSchedulePolicy": wanted}
    call.world.store.put(ref, policy)
    return call.begin("patch", ref, policy, lambda: None)


def _check(schedule: Json | None) -> None:
    """Whether Google would take the schedule."""
    if not schedule:
        raise required("resource.instanceSchedulePolicy")
    where = "resource.instanceSchedulePolicy"
    times = [name for name in ("vmStartSchedule", "vmStopSchedule") if name in schedule]
    if not times:
        raise required(f"{where}.vmStartSchedule")
    for name in times:
        cron = schedule[name].get("schedule", "")
        if not _CRON.fullmatch(cron):
            raise invalid(
                f"{where}.{name}.schedule", cron, "It must be a cron expression of five fields."
            )
    zone = schedule.get("timeZone", "UTC")
    if zone not in zoneinfo.available_timezones():
        raise invalid(f"{where}.timeZone", zone, "It must be a name of the tz database.")
    expires = schedule.get("expirationTime")
    if expires:
        try:
            datetime.fromisoformat(expires)
        except ValueError as error:
            raise invalid(f"{where}.expirationTime", expires, "It must be RFC 3339.") from error


@handles("resourcePolicies.delete")
def delete(call: Call) -> Json:
    """Removes a policy that nothing uses."""
    call.check_scope()
    ref = call.ref("resourcePolicies", call.params["resourcePolicy"])
    policy = call.world.get(ref)
    for user, instance in call.world.store.items("instances", call.project):
        if ref.link in instance.get("resourcePolicies", []):
            raise in_use(ref.path, user.link)
    return call.begin("delete", ref, policy, lambda: call.world.store.delete(ref))
