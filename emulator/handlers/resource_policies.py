# SPDX-License-Identifier: Apache-2.0
"""Resource policies: insert and delete of instance schedules."""

from __future__ import annotations

import re

from emulator import rules
from emulator.call import Call, handles
from emulator.errors import Json, already_exists, in_use, invalid, required
from emulator.world import base

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
    schedule = body.get("instanceSchedulePolicy")
    if not schedule:
        raise required("resource.instanceSchedulePolicy")
    times = [name for name in ("vmStartSchedule", "vmStopSchedule") if name in schedule]
    if not times:
        raise required("resource.instanceSchedulePolicy.vmStartSchedule")
    for name in times:
        cron = schedule[name].get("schedule", "")
        if not _CRON.fullmatch(cron):
            where = f"resource.instanceSchedulePolicy.{name}.schedule"
            raise invalid(where, cron, "It must be a cron expression of five fields.")
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
