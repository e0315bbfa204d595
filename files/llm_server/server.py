# SPDX-License-Identifier: Apache-2.0
"""Runs it all: listen at once, load beside it, tell systemd, end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence

import psutil
import uvicorn
from starlette.types import ASGIApp

from .auth import ApiKeyMiddleware
from .engine import Engine, Loader, make_first_token
from .errors import ConfigError, LoadError
from .fork_guard import ForkGuard
from .gate import Gate
from .notify import Notifier
from .settings import Settings
from .state import Phase, ServerState
from .warm_up import warm_up

logger = logging.getLogger("llm_server")

#: How often the engine is looked at.
WATCH_INTERVAL_S = 1.0
#: How long a dead engine's server still says so on /health before it exits to be restarted.
UNHEALTHY_GRACE_S = 3.0
#: How long answers that are complete get to reach slow clients at the end.
CLOSE_TIMEOUT_S = 5

EXIT_OK, EXIT_FAILED = 0, 1


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: this module decides what a signal means."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def descriptors(self) -> list[int]:
        """The file descriptors of the listening socket and of every open connection."""
        listening = [s.fileno() for server in self.servers for s in server.sockets]
        transports = [getattr(c, "transport", None) for c in self.server_state.connections]
        open_sockets = [t.get_extra_info("socket") for t in transports if t is not None]
        return [n for n in (*listening, *(s.fileno() for s in open_sockets if s)) if n >= 0]


class Service:
    """One server from start to exit."""

    def __init__(self, settings: Settings, keys: Sequence[str], notifier: Notifier) -> None:
        self.settings = settings
        self.notifier = notifier
        self.state = ServerState(settings.served_model_name)
        app: ASGIApp = Gate(self.state)
        if settings.api_key_required:
            app = ApiKeyMiddleware(app, keys)
        self.server = _Server(
            uvicorn.Config(
                app,
                lifespan="off",  # vLLM's app has its own, which begins when it is built
                log_config=None,
                access_log=False,
                timeout_keep_alive=65,  # above the 60 s of common load balancers
                timeout_graceful_shutdown=CLOSE_TIMEOUT_S,
                server_header=False,
            )
        )
        self._stop = asyncio.Event()
        self._engine: Engine | None = None
        self._exit = EXIT_OK

    async def run(self, listener: socket.socket) -> int:
        """Serves until a signal, a failed load or a dead engine; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        guard = ForkGuard(loop, lambda: [listener.fileno(), *self.server.descriptors()])
        guard.install()
        serving = asyncio.create_task(self.server.serve(sockets=[listener]))
        model = asyncio.create_task(
            self._serve_model(Loader(self.settings, guard, self._say, loop))
        )
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({serving, model, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            await self._drain()
        else:
            self._exit = EXIT_FAILED  # only a signal is a reason to end well
        guard.close()
        self.server.should_exit = True
        model.cancel()
        stop.cancel()
        await asyncio.gather(serving, model, stop, return_exceptions=True)
        await self._shut_down_engine()
        return self._exit

    def _say(self, text: str) -> None:
        self.state.progress(text)
        self.notifier.status(text)

    async def _serve_model(self, loader: Loader) -> None:
        """Loads the model, opens the gate and watches the engine until it dies."""
        began = time.monotonic()
        try:
            engine = self._engine = await loader.load()
            engine.app.state.server = self.server  # vLLM's handlers end it when the engine dies
            self._say("generating the first token")
            await make_first_token(engine)
            self._say("warming up")
            await warm_up(
                engine.client, self.settings.warm_up_requests, self.settings.warm_up_timeout
            )
            # What is here now stays: never again search it for garbage while clients wait.
            gc.collect()
            gc.freeze()
        except (ConfigError, LoadError) as error:
            self._fail(f"The model could not be loaded: {error}")
            return
        except Exception as error:
            logger.debug("loading failed", exc_info=True)
            self._fail(f"The model could not be loaded: {type(error).__name__}: {error}")
            return
        async with engine.app.router.lifespan_context(engine.app):
            self.state.app = engine.app
            self.state.engine_died = lambda: engine.died
            seconds = time.monotonic() - began
            self.state.move(Phase.HEALTHY, "ready")
            self.notifier.ready(f"Serving {self.settings.served_model_name}")
            logger.info("Ready after %.1f s: %s", seconds, self.settings.served_model_name)
            while not engine.died:
                await asyncio.sleep(WATCH_INTERVAL_S)
        self._fail("The engine's process ended; this server exits so that it is started again")
        await asyncio.sleep(UNHEALTHY_GRACE_S)

    def _fail(self, message: str) -> None:
        if self.state.phase is Phase.DRAINING:
            return
        self._exit = EXIT_FAILED
        self.state.move(Phase.UNHEALTHY, message)
        self.notifier.status(message)
        logger.critical("%s", message)

    async def _drain(self) -> None:
        """Lets running requests finish, up to the deadline; new ones get 503."""
        self.state.move(Phase.DRAINING, "stopping")
        self.notifier.stopping(f"Finishing {self.state.in_flight} requests")
        logger.info("Stopping: %d requests in flight", self.state.in_flight)
        deadline = time.monotonic() + self.settings.shutdown_timeout
        while self.state.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.state.in_flight:
            logger.warning("Stopping: %d requests were cut off", self.state.in_flight)

    async def _shut_down_engine(self) -> None:
        if self._engine is not None and not self._engine.died:
            await self._engine.shut_down()


def bind(host: str, port: int) -> socket.socket:
    """Opens the listening socket before anything else.

    Raises:
        ConfigError: the address is not there or taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        raise ConfigError(
            [f"host, port: cannot listen on {host}:{port}: {error.strerror}"]
        ) from None
    return listener


def run(settings: Settings, keys: Sequence[str]) -> int:
    """Runs the server in this process; does not return once it has served."""
    notifier = Notifier.from_environment()
    listener = bind(settings.host, settings.port)
    notifier.status("listening; the model is not loaded yet")

    async def main() -> int:
        return await Service(settings, keys, notifier).run(listener)

    status = EXIT_FAILED
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            status = runner.run(main())
    finally:
        _end_children()
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        # Not sys.exit: a thread that still loads weights would be waited for, and torch's
        # teardown takes seconds and prints pages about leaked objects.
        os._exit(status)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - vLLM brings it; tests do without
    except ImportError:
        return None
    return uvloop.Loop  # type: ignore[no-any-return]


def _end_children() -> None:
    """Ends whatever the engine left: nothing may outlive this process."""
    children = psutil.Process().children(recursive=True)
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=2)
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(alive, timeout=2)
