# SPDX-License-Identifier: Apache-2.0
"""Handlers of API methods; importing this package registers them all."""

from emulator.handlers import (
    addresses,
    disks,
    firewalls,
    instance_insert,
    instance_power,
    instance_settings,
    instances,
    networks,
    operations,
    projects,
    read,
)

__all__ = [
    "addresses",
    "disks",
    "firewalls",
    "instance_insert",
    "instance_power",
    "instance_settings",
    "instances",
    "networks",
    "operations",
    "projects",
    "read",
]
