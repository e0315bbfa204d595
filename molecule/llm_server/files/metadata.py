# SPDX-License-Identifier: Apache-2.0
"""Stands in for a cloud's metadata server, or says which of its ports can be reached from here.

`metadata.py serve` answers on each port until it is ended; `metadata.py reach` writes JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import sys

ADDRESSES = {"4": "169.254.169.254", "6": "fd20:ce::254"}
PORTS = [
    (socket.SOCK_STREAM, 53),
    (socket.SOCK_STREAM, 80),
    (socket.SOCK_STREAM, 443),
    (socket.SOCK_DGRAM, 53),
    (socket.SOCK_DGRAM, 123),
]


def family(version: str) -> socket.AddressFamily:
    """IPv4 or IPv6."""
    return socket.AF_INET if version == "4" else socket.AF_INET6


def serve() -> None:
    """Answer whoever asks."""
    waiting = selectors.DefaultSelector()
    for version, address in ADDRESSES.items():
        for kind, port in PORTS:
            listener = socket.socket(family(version), kind)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((address, port))
            if kind == socket.SOCK_STREAM:
                listener.listen()
            waiting.register(listener, selectors.EVENT_READ, listener)
    while True:
        for key, _ in waiting.select():
            listener: socket.socket = key.data
            if listener.type == socket.SOCK_STREAM:
                listener.accept()[0].close()
            else:
                listener.sendto(b"x", listener.recvfrom(10)[1])


def reach() -> None:
    """Print `tcp4:80` and its like to whether it answers."""
    found = {}
    for version, address in ADDRESSES.items():
        for kind, port in PORTS:
            name = f"{'tcp' if kind == socket.SOCK_STREAM else 'udp'}{version}:{port}"
            with socket.socket(family(version), kind) as one:
                # Rejected it ends at once; what is only dropped must not hang.
                one.settimeout(20)
                try:
                    one.connect((address, port))
                    if kind == socket.SOCK_DGRAM:
                        one.send(b"x")
                        one.recv(10)
                    found[name] = True
                except OSError:
                    found[name] = False
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    {"serve": serve, "reach": reach}[sys.argv[1]]()
