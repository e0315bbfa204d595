# SPDX-License-Identifier: Apache-2.0
"""What an instance publishes about itself, such as its SSH host keys."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from ...errors import ApiError, GceError, WaitTimeoutError
from .. import host_keys, naming
from ..client import GceClient
from ..operations import wait_until
from .instance import Instance

ENABLING_KEY = "enable-guest-attributes"
_HOST_KEYS = "hostkeys"
# Seconds after its start in which an instance boots, and that one which has booted is waited for.
_BOOTS_S, _LATE_S = 900, 15


def read(
    client: GceClient, zone: str, name: str, query_path: str, seconds: float
) -> dict[str, Any]:
    """`{namespace: {key: value}}` below `query_path`, waiting up to `seconds` for the first.

    Raises:
        GceError: no such instance, it may not publish, it published nothing in that time, or
            something else than a host key under a host key's name.
    """
    instance = Instance(client, zone, name)
    where = instance.calls.where
    path = f"{instance.calls.path}/getGuestAttributes"
    what = f"read guest attributes of the {where}"
    try:
        if there := attributes(client.find(path, what, queryPath=query_path) or {}):
            _refuse_malformed(there.get(_HOST_KEYS, {}), where)
            return there
    except ApiError as error:
        if error.status not in (400, 403, 404):
            raise
    # Why there are none, and whether there will be any, the instance itself tells.
    resource = instance.fetch()
    if resource is None:
        raise GceError(
            f"There is no {where}.",
            reason="instanceNotFound",
            remedy="correct name and zone, or make the instance first.",
            status=404,
        )
    _refuse_disabled(resource, where)

    def poll() -> dict[str, Any]:
        # A 404 means 'nothing published yet': that the instance exists has been seen.
        found = client.find(path, what, queryPath=query_path)
        return attributes(found or {})

    booted = _up_for(resource) > _BOOTS_S
    seconds = min(seconds, client.seconds_left(), _LATE_S if booted else seconds)
    try:
        seen = wait_until(
            poll,
            lambda found: bool(found) or seconds <= 0,
            seconds=seconds,
            what=f"guest attributes '{query_path}' of the {where} (is it still booting?)",
            describe=lambda found: "no attribute at all" if not found else str(sorted(found)),
            pause=1.0,
        )
    except WaitTimeoutError:
        if not (booted and query_path.startswith(_HOST_KEYS)):
            raise
        raise _made_before(where, name, zone) from None
    if not seen and booted and query_path.startswith(_HOST_KEYS):
        raise _made_before(where, name, zone)
    if not seen:
        raise GceError(
            f"The {where} has published no guest attributes '{query_path}' yet; "
            f"its status is {resource.get('status')}.",
            reason="noGuestAttributes",
            remedy="give it time to boot (wait), and see that its image runs Google's guest agent.",
            status=404,
        )
    _refuse_malformed(seen.get(_HOST_KEYS, {}), where)
    return seen


def _up_for(resource: dict[str, Any]) -> float:
    """Seconds since an instance started; 0 where it doesn't run, or doesn't say."""
    started = resource.get("lastStartTimestamp")
    if resource.get("status") != "RUNNING" or not started:
        return 0
    try:
        return time.time() - datetime.fromisoformat(str(started)).timestamp()
    except ValueError:
        return 0


def _made_before(where: str, name: str, zone: str) -> GceError:
    """Host keys are published when they are made: at the first boot with an instance's number, by
    cloud-init and by Google's guest agent. Neither a wait nor a restart brings them.
    """
    write = (
        "curl -X PUT -H 'Metadata-Flavor: Google' --data "
        '"$(cut -d" " -f2 /etc/ssh/ssh_host_ed25519_key.pub)" '
        f"http://metadata.google.internal/computeMetadata/v1/instance/guest-attributes/{_HOST_KEYS}"
        "/ssh-ed25519"
    )
    return GceError(
        f"The {where} has been running for a while and has published no host keys. It did not do "
        f"so when it made them: {ENABLING_KEY} was not TRUE then, as where others made it.",
        reason="hostKeysNotPublished",
        remedy=f"publish the key that it has, on the instance itself (`gcloud compute ssh {name} "
        f"--zone {zone}`, or its serial console): `{write}`, and run again. Or recreate the "
        "instance with that metadata. A restart does not help.",
        status=404,
    )


def attributes(resource: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The API's list of `{namespace, key, value}`, nested."""
    nested: dict[str, dict[str, str]] = {}
    for item in (resource.get("queryValue") or {}).get("items") or []:
        nested.setdefault(item["namespace"], {})[item["key"]] = item.get("value", "")
    return nested


def _refuse_malformed(keys: dict[str, str], where: str) -> None:
    """Any process on the instance may write these, and whoever reads them believes them."""
    for kind, value in keys.items():
        if reason := host_keys.problem(kind, value):
            raise GceError(
                f"The {where} publishes a host key '{ascii(kind)[1:-1][:40]}' that is none: "
                f"{reason}.",
                reason="malformedHostKey",
                remedy="a process on it wrote that: find out which, or recreate the instance.",
            )


def _refuse_disabled(resource: dict[str, Any], where: str) -> None:
    metadata = naming.items_to_dict((resource.get("metadata") or {}).get("items"))
    value = metadata.get(ENABLING_KEY)
    # Not named on the instance, the project's own metadata may still allow it.
    if value is not None and value.upper() not in ("TRUE", "1", "Y", "YES"):
        raise GceError(
            f"The {where} may not publish guest attributes: "
            f"its metadata has {ENABLING_KEY}={value}.",
            reason="guestAttributesDisabled",
            remedy=f"set its metadata {ENABLING_KEY} to TRUE. Host keys are published when they "
            "are made. An instance that booted without it has to be recreated, or to publish them "
            "by hand.",
        )
