# SPDX-License-Identifier: Apache-2.0
"""Argument spec of gce_instance, without the options that all modules share."""

from __future__ import annotations

from typing import Any

_BOOL = {"type": "bool"}
_TEXT = {"type": "str"}
_TEXTS = {"type": "list", "elements": "str"}

_ACCELERATORS: dict[str, Any] = {
    "type": "list",
    "elements": "dict",
    "options": {
        "type": {"type": "str", "required": True},
        "count": {"type": "int", "default": 1},
    },
}
_MODEL = {"type": "str", "choices": ["STANDARD", "SPOT"]}
EXCLUSIVE = [("zone", "placements")]

SPEC: dict[str, Any] = {
    "zone": _TEXT,
    "placements": {
        "type": "list",
        "elements": "dict",
        "options": {
            "zone": {"type": "str", "required": True},
            "machine_type": _TEXT,
            "accelerators": _ACCELERATORS,
            "provisioning_model": _MODEL,
        },
    },
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "stopped", "absent"], "default": "present"},
    "machine_type": _TEXT,
    "accelerators": _ACCELERATORS,
    "boot_disk": {
        "type": "dict",
        "options": {
            "image": _TEXT,
            "image_family": _TEXT,
            "image_project": _TEXT,
            "size_gb": {"type": "int"},
            "type": _TEXT,
        },
        "mutually_exclusive": [("image", "image_family")],
    },
    "network": _TEXT,
    "subnetwork": _TEXT,
    "external_ip": _BOOL,
    "address": _TEXT,
    "tags": _TEXTS,
    "labels": {"type": "dict"},
    "metadata": {"type": "dict"},
    "service_account": {
        "type": "dict",
        "options": {"email": {"type": "str", "required": True}, "scopes": _TEXTS},
    },
    "shielded": {
        "type": "dict",
        "options": {"secure_boot": _BOOL, "vtpm": _BOOL, "integrity_monitoring": _BOOL},
    },
    "scheduling": {
        "type": "dict",
        "options": {
            "provisioning_model": _MODEL,
            "instance_termination_action": {"type": "str", "choices": ["STOP", "DELETE"]},
            "on_host_maintenance": {"type": "str", "choices": ["MIGRATE", "TERMINATE"]},
            "automatic_restart": _BOOL,
        },
    },
    "deletion_protection": _BOOL,
    "allow_stop": {"type": "bool", "default": False},
    "allow_recreate": {"type": "bool", "default": False},
}
