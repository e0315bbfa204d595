# SPDX-License-Identifier: Apache-2.0
"""Handlers of API methods; importing this package registers them all."""

from emulator.handlers import (
    addresses,
    disks,
    firewalls,
    instance_disks,
    instance_insert,
    instance_policies,
    instance_power,
    instance_settings,
    instances,
    networks,
    operations,
    projects,
    read,
    resource_policies,
)

__all__ = [
    "addresses",
    "disks",
    "firewalls",
    "instance_disks",
    "instance_insert",
    "instance_policies",
    "instance_power",
    "instance_settings",
    "instances",
    "networks",
    "operations",
    "projects",
    "read",
    "resource_policies",
]
