# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for virtual machines: podman containers that boot systemd and run sshd.

Only the standard library is used, so that `python3 -m emulator.machines` works before anything
is installed. A stand-in is not a prison: its root user holds CAP_SYS_ADMIN, which systemd needs
to make its sandboxing of units real. Boot nothing in it that you would not run on the host.
"""
