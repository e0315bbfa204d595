# SPDX-License-Identifier: Apache-2.0
"""Listens: plain HTTP, TLS and the proxy, all on loopback, until a signal says stop."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio.to_thread
import uvicorn
from starlette.types import ASGIApp

from emulator.control.power_off import has_ended
from emulator.control.reconcile import reconcile
from emulator.request.auth import Authority
from emulator.serve import proxy, tls
from emulator.serve.app import create_app
from emulator.serve.gate import Connection
from emulator.world.backend import Backend, TellsEnds
from emulator.world.storage import Store
from emulator.world.world import World

_HOST = "127.0.0.1"
_THREADS = 200  # requests that wait for an operation hold a thread each


@dataclass(frozen=True)
class Settings:
    """What to serve.

    Attributes:
        port, tls_port, proxy_port: 0 takes any free one; None leaves TLS or the proxy out.
        state_dir: None means a temporary one that goes with the process.
        delay: seconds that every operation takes at least.
    """

    port: int
    tls_port: int | None
    proxy_port: int | None
    state_dir: Path | None
    projects: tuple[str, ...]
    delay: float


class _Server(uvicorn.Server):
    """One of several in a process: signals are the caller's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def say(text: str) -> None:
    """A line for whoever started this."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def serve(settings: Settings, backend: Backend) -> None:
    """Serves until SIGINT or SIGTERM."""
    temporary = None
    state = settings.state_dir
    if state is None:
        temporary = state = Path(tempfile.mkdtemp(prefix="emulated-gce-"))
        say(f"state {state}")
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        asyncio.run(_serve(settings, state, backend))
    finally:
        if temporary is not None:
            shutil.rmtree(temporary)


async def _serve(settings: Settings, state: Path, backend: Backend) -> None:
    anyio.to_thread.current_default_thread_limiter().total_tokens = _THREADS
    store = Store(state / "state.sqlite")
    world = World(store, backend, settings.delay)
    for project in settings.projects:
        world.add_project(project)
    await asyncio.to_thread(reconcile, world)
    if isinstance(backend, TellsEnds):
        backend.on_end(partial(has_ended, world))
    plain = _listen(settings.port)
    url = f"http://{_HOST}:{plain.getsockname()[1]}"
    key_file = state / "credentials.json"
    authority = Authority(store, key_file, settings.projects[0], f"{url}/token")
    app = create_app(world, authority)
    certificate = tls.certificate(state)
    servers = [(_server(app, None), plain)]
    lines = [f"credentials {key_file}", f"ca {state / 'ca.pem'}"]
    tunnels = None
    tls_port = settings.tls_port
    if tls_port is None and settings.proxy_port is not None:
        tls_port = 0  # the proxy needs one
    if tls_port is not None:
        secure = _listen(tls_port)
        tls_port = secure.getsockname()[1]
        servers.append((_server(app, certificate), secure))
        lines.append(f"tls https://{_HOST}:{tls_port}")
        if settings.proxy_port is not None:
            tunnels = await proxy.start(settings.proxy_port, tls_port)
            proxy_port = tunnels[0].sockets[0].getsockname()[1]
            lines.append(f"proxy http://{_HOST}:{proxy_port}")
    tasks = [asyncio.create_task(server.serve(sockets=[sock])) for server, sock in servers]
    while not all(server.started for server, _ in servers):
        await asyncio.sleep(0.01)
    for line in lines:
        say(line)
    say(f"ready {url}")
    await _until_signal()
    if tunnels is not None:
        tunnels[0].close()
        tunnels[1].close()
    for server, _ in servers:
        server.should_exit = True
        server.force_exit = True  # a client that waits for an operation must not hold us up
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.to_thread(world.operations.close)
    store.close()


def _listen(port: int) -> socket.socket:
    # With the protocol named asyncio sets TCP_NODELAY; without, each answer waits 40 ms for an ACK.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except OSError as error:
        raise SystemExit(f"Port {port} on {_HOST} can't be taken: {error.strerror}.") from error
    return listener


def _server(app: ASGIApp, certificate: Path | None) -> _Server:
    return _Server(
        uvicorn.Config(
            app,
            http=Connection,
            lifespan="off",
            log_level="warning",
            access_log=False,
            ssl_certfile=certificate,
            timeout_keep_alive=75,
        )
    )


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
