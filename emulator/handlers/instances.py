# SPDX-License-Identifier: Apache-2.0
"""What a running instance tells: guest attributes and serial port output."""

from __future__ import annotations

from emulator.errors import ApiError, Json, not_found, not_ready
from emulator.request.call import Call, handles
from emulator.world import guest_attributes
from emulator.world.backend import HasConsole
from emulator.world.references import Ref
from emulator.world.world import key_of


@handles("instances.getGuestAttributes")
def get_guest_attributes(call: Call) -> Json:
    """Attributes of a namespace (`hostkeys/`) or one of them (`hostkeys/ssh-ed25519`)."""
    ref, instance = _instance(call)
    path = call.params.get("queryPath") or ""
    key = call.params.get("variableKey")
    if key:
        path = key
    merged = call.world.metadata(instance, call.project)
    if not guest_attributes.enabled(merged):
        raise _missing(path)
    if instance["status"] != "RUNNING":
        raise not_ready(ref.path)
    namespace, _, wanted = path.partition("/")
    published = call.world.backend.guest_attributes(key_of(ref))
    found = guest_attributes.merged(call.world.store, instance, published)
    items = [
        {"namespace": space, "key": name, "value": value}
        for space, values in sorted(found.items())
        for name, value in sorted(values.items())
        if namespace in {"", space} and wanted in {"", name}
    ]
    if not items:
        raise _missing(path)
    answer: Json = {
        "kind": "compute#guestAttributes",
        "selfLink": f"{ref.link}/getGuestAttributes",
        "queryPath": path,
    }
    if key:
        return answer | {"variableKey": key, "variableValue": items[0]["value"]}
    return answer | {"queryValue": {"items": items}}


@handles("instances.getSerialPortOutput")
def get_serial_port_output(call: Call) -> Json:
    """What the machine wrote to its console, from byte `start` on."""
    ref, instance = _instance(call)
    backend = call.world.backend
    if instance["status"] != "RUNNING":
        raise not_ready(ref.path)
    port = call.params.get("port", 1)
    text = backend.console(key_of(ref)) if isinstance(backend, HasConsole) and port == 1 else ""
    raw = text.encode()
    start = min(int(call.params.get("start", 0)), len(raw))
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": f"{ref.link}/serialPort",
        "contents": raw[start:].decode(errors="replace"),
        "start": str(start),
        "next": str(len(raw)),
    }


def _instance(call: Call) -> tuple[Ref, Json]:
    call.check_scope()
    ref = call.ref("instances", call.params["instance"])
    instance = call.world.find(ref)
    if instance is None:
        raise not_found(ref.path)
    return ref, instance


def _missing(path: str) -> ApiError:
    return ApiError(
        404, "notFound", f"The resource '{path}' of type 'Guest Attribute' was not found."
    )
