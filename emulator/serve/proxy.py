# SPDX-License-Identifier: Apache-2.0
"""A CONNECT proxy that leads Google's API names, and nothing else, to the emulator's TLS port."""

from __future__ import annotations

import asyncio
import contextlib
import re

_REQUEST = re.compile(rb"CONNECT ([A-Za-z0-9.-]+):(\d+) HTTP/1\.[01]\r\n")
_NAMES = re.compile(r"([a-z0-9-]+\.)?googleapis\.com|accounts\.google\.com")
_TIMEOUT = 10.0
_MOST_HEADER = 16 * 1024


def allowed(host: str, port: int) -> bool:
    """Whether the proxy stands in for this target."""
    return port == 443 and _NAMES.fullmatch(host.lower()) is not None


class Proxy:
    """Splices tunnels; one task a direction."""

    def __init__(self, tls_port: int) -> None:
        self._tls_port = tls_port
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        """Handles one client connection."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
        try:
            await self._tunnel(client, back)
        except (OSError, asyncio.IncompleteReadError, TimeoutError):
            pass  # either side went away
        finally:
            if task is not None:
                self._tasks.discard(task)
            back.close()
            with contextlib.suppress(OSError):
                await back.wait_closed()

    def close(self) -> None:
        """Ends all tunnels."""
        for task in list(self._tasks):
            task.cancel()

    async def _tunnel(self, client: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(client.readuntil(b"\r\n\r\n"), _TIMEOUT)
        except asyncio.LimitOverrunError:
            await _refuse(back, 431, f"The header has more than {_MOST_HEADER} bytes.")
            return
        match = _REQUEST.match(head)
        if match is None:
            await _refuse(back, 405, "Only CONNECT is served.")
            return
        host, port = match[1].decode(), int(match[2])
        if not allowed(host, port):
            await _refuse(back, 403, f"{host}:{port} is not one of the names served here.")
            return
        reader, writer = await asyncio.open_connection("127.0.0.1", self._tls_port)
        back.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await back.drain()
            await asyncio.gather(_copy(client, writer), _copy(reader, back))
        finally:
            writer.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()
    with contextlib.suppress(OSError):
        target.write_eof()


async def _refuse(back: asyncio.StreamWriter, status: int, text: str) -> None:
    body = text.encode() + b"\n"
    back.write(
        f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    await back.drain()


async def start(port: int, tls_port: int) -> tuple[asyncio.Server, Proxy]:
    """Listens on loopback."""
    proxy = Proxy(tls_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port, limit=_MOST_HEADER)
    return server, proxy
