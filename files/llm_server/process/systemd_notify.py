# SPDX-License-Identifier: Apache-2.0
"""Messages to systemd (sd_notify), over the socket that it names in NOTIFY_SOCKET."""

from __future__ import annotations

import contextlib
import os
import socket


class Notifier:
    """Sends state to systemd; does nothing where no service manager listens."""

    def __init__(self, address: str | None) -> None:
        self._address = "\0" + address[1:] if address and address[0] == "@" else address

    @classmethod
    def from_environment(cls) -> Notifier:
        """Takes NOTIFY_SOCKET out of the environment: no child may speak for the service."""
        return cls(os.environ.pop("NOTIFY_SOCKET", None))

    def ready(self, status: str) -> None:
        """The service can answer."""
        self._send("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={text}")

    def watchdog(self) -> None:
        """All is well: without this systemd restarts the service after WatchdogSec."""
        self._send("WATCHDOG=1")

    def stopping(self, status: str) -> None:
        """The service has begun to end."""
        self._send("STOPPING=1", f"STATUS={status}")

    def _send(self, *fields: str) -> None:
        if self._address is None:
            return
        message = "\n".join(field.replace("\n", " ") for field in fields)
        with (
            # Telling is a courtesy: a full or vanished socket must not end the service.
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.setblocking(False)
            sender.sendto(message.encode(), self._address)
