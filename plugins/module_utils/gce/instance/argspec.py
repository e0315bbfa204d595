# SPDX-License-Identifier: Apache-2.0
"""Argument spec of gce_instance, without the options that all modules share."""

from __future__ import annotations

from typing import Any

from ansible.module_utils.basic import env_fallback

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
_MODEL = {"type": "str", "choices": ["STANDARD", "SPOT", "FLEX_START", "RESERVATION_BOUND"]}
_PERFORMANCE: dict[str, Any] = {
    "provisioned_iops": {"type": "int"},
    "provisioned_throughput": {"type": "int"},
}
_DISK: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["attached", "detached"], "default": "attached"},
    "size_gb": {"type": "int"},
    "type": _TEXT,
    "image": _TEXT,
    "device_name": _TEXT,
    "mode": {"type": "str", "choices": ["READ_WRITE", "READ_ONLY"]},
    "auto_delete": _BOOL,
    **_PERFORMANCE,
}
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
            "auto_delete": _BOOL,
            **_PERFORMANCE,
        },
        "mutually_exclusive": [("image", "image_family")],
    },
    "disks": {"type": "list", "elements": "dict", "options": _DISK},
    "delete_disks": {"type": "bool", "default": False},
    "network": _TEXT,
    "subnetwork": _TEXT,
    "external_ip": _BOOL,
    "address": _TEXT,
    "tags": _TEXTS,
    "absent_tags": _TEXTS,
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
            "max_run_duration": {"type": "int"},
            "instance_termination_action": {"type": "str", "choices": ["STOP", "DELETE"]},
            "on_host_maintenance": {"type": "str", "choices": ["MIGRATE", "TERMINATE"]},
            "automatic_restart": _BOOL,
        },
    },
    "reservation_affinity": {
        "type": "dict",
        "options": {
            "type": {"type": "str", "required": True, "choices": ["any", "none", "specific"]},
            "reservations": _TEXTS,
        },
    },
    "resource_policies": _TEXTS,
    "deletion_protection": _BOOL,
    "discard_local_ssd": _BOOL,
    "report_newer_image": {"type": "bool", "default": True},
    "allow_stop": {"type": "bool", "default": False},
    "allow_recreate": {"type": "bool", "default": False},
    "state_dir": {
        "type": "path",
        "default": "~/.local/state/gce-vllm",
        "fallback": (env_fallback, ["GCE_VLLM_STATE_DIR"]),
    },
}
