# SPDX-License-Identifier: Apache-2.0
"""Runs it all: listen at once, load beside it, tell systemd, end in good order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import time
from pathlib import Path

import psutil

from .asgi.stack import apply_limits, build_front, reload
from .engine.engine import Engine, Loader, make_first_token
from .engine.fork_guard import ForkGuard
from .engine.progress import Progress
from .engine.token_meter import Meter
from .engine.warm_up import warm_up
from .errors import ConfigError, LoadError
from .facts import facts_of
from .grammars.grammars import Grammars
from .keys.access import Access, AccessControl
from .keys.rights import LOOK_S, Reminder
from .ledger.ledger import Ledger
from .logs import log
from .process.control import NAME, Control
from .process.deaths import Deaths
from .process.guardian import Guardian
from .process.systemd_notify import Notifier
from .process.waiting_room import CLOSE_S, Waiting, WaitingRoom
from .record import Refusal
from .settings import Settings
from .state import Phase, ServerState, Step
from .telemetry.metrics import without_created
from .transport.listener import HttpServer, bind, bind_path
from .transport.tls import ServerContext, open_tls

logger = logging.getLogger("llm_server")

#: How often the engine is looked at.
WATCH_INTERVAL_S = 1.0
#: What a client is told whose answer has not begun when the time to finish is over.
CUT_OFF = Refusal(
    503, "The server stops; send the request again.", retry_after=10, reason="cut_off"
)
#: The same where the engine, or a part of it, has died.
LOST = Refusal(
    503,
    "The engine has died and is started again; try later.",
    retry_after=10,
    reason="unhealthy",
)
#: How long such a request gets to end by itself, once the engine has dropped it.
CUT_OFF_S = 1.0
#: How long usage of before is waited for, and the last may take to be written.
FIRST_USAGE_S, LAST_USAGE_S = 5.0, 3.0
#: How long a dead engine's server still says so on /health before it exits to be restarted.
UNHEALTHY_GRACE_S = 3.0

#: When Python looks for garbage while it serves: objects made since the last time, and how many
#: times for the young before it looks at older ones.
SELDOM = (50_000, 20, 100)

EXIT_OK, EXIT_FAILED = 0, 1


class Service:
    """One server from start to exit."""

    def __init__(
        self,
        settings: Settings,
        control: AccessControl,
        notifier: Notifier,
        room: WaitingRoom,
        guardian: Guardian,
        *,
        tls: ServerContext | None = None,
        control_listener: socket.socket | None = None,
    ) -> None:
        self.settings = settings
        self.control = control
        self.notifier = notifier
        self.room = room
        self.guardian = guardian
        self.state = ServerState(settings.served_model_name)
        self.control_listener = control_listener
        self.progress = Progress()
        self.meter = Meter(self.progress, lambda: control.limits.max_sequences)
        self.state.busy = lambda: any(self.meter.sizes().values())
        self.deaths = Deaths(self._lose_engine)
        self.grammars = Grammars(control)
        self.front = build_front(settings, self.state, control, tls)
        self.reminder = Reminder(control)
        self.tls = tls
        self.server = HttpServer(
            self.front, keep_alive_timeout=settings.keep_alive_timeout, tls=tls
        )
        self._began = time.monotonic()
        self._stop = asyncio.Event()
        self._hurry = False
        self._lost = asyncio.Event()
        self._engine: Engine | None = None
        self._exit = EXIT_OK

    async def run(self, listener: socket.socket) -> int:
        """Serves until a signal, a failed load or a dead engine; returns the exit status."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        reminding = asyncio.create_task(self._remind())
        listeners = [each for each in (listener, self.control_listener) if each]
        guard = ForkGuard(
            loop, lambda: [*(each.fileno() for each in listeners), *self.room.descriptors()]
        )
        guard.install()
        asked = Control(self.state, self.control_listener) if self.control_listener else None
        if asked:
            asked.open()
        model = asyncio.create_task(
            self._serve_model(Loader(self.settings, guard, self._say, loop), listener)
        )
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait({model, stop}, return_when=asyncio.FIRST_COMPLETED)
        if stop.done():
            await self._drain()
        else:
            self._exit = EXIT_FAILED  # only a signal is a reason to end well
        guard.close()
        model.cancel()
        stop.cancel()
        reminding.cancel()
        await asyncio.gather(model, stop, reminding, return_exceptions=True)
        if asked:
            asked.close()
        self.deaths.close()
        self.progress.close()
        await self._shut_down_engine()
        return self._exit

    def _end(self) -> None:
        """At the first signal requests may finish; at the next what still runs is cut off."""
        self._hurry = self._stop.is_set()
        self._stop.set()

    def _reload(self) -> None:
        reload(self.settings, self.control, self.tls)
        self.room.reload()
        self.reminder.look()

    async def _remind(self) -> None:
        while True:
            self.reminder.look()
            await asyncio.sleep(LOOK_S)

    def _say(self, text: str, step: Step) -> None:
        self.state.progress(text)
        self.state.begin(step)
        self.room.progress(text, step)
        self.notifier.status(text)

    async def _serve_model(self, loader: Loader, listener: socket.socket) -> None:
        """Loads the model, opens the gate and watches the engine until it dies."""
        began = time.monotonic()
        try:
            engine = self._engine = await loader.load()
            self.control.model = facts_of(engine.client, engine.app, engine.tasks)
            # Nearest to the engine: the meter counts what is let through.
            self.grammars.attach(engine.client)
            self.meter.attach(engine.client, known=not engine.unknown)
            self.deaths.watch(self.meter.view.processes())
            self.guardian.serves()
            engine.app.state.server = self.server  # vLLM's handlers end it when the engine dies
            self._say("generating the first token", Step.FIRST_TOKEN)
            await make_first_token(engine)
            if engine.generates:
                self._say("warming up", Step.WARM_UP)
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
        await self._open_ledger()
        async with engine.app.router.lifespan_context(engine.app):
            # With all that was there frozen, once more by vLLM itself, Python would go through
            # everything made since about once a second under load, while answers wait.
            gc.set_threshold(*SELDOM)
            serving = asyncio.create_task(self.server.serve(sockets=[listener]))
            try:
                # Both accept for a moment and say the same: healthy is told once the room is gone.
                while not self.server.started and not serving.done():
                    await asyncio.sleep(0.005)
                await self.room.close()
                self.state.app = engine.app
                self.state.engine_died = lambda: engine.died
                self.state.move(Phase.HEALTHY, "ready")
                seconds = time.monotonic() - began
                self.notifier.ready(f"Serving {self.settings.served_model_name}")
                logger.info("Ready after %.1f s: %s", seconds, self.settings.served_model_name)
                await self._watch(engine, serving)
                self._fail("The engine's process ended; this server exits to be started again")
                await asyncio.sleep(UNHEALTHY_GRACE_S)
            finally:
                self.server.should_exit = True
                await asyncio.gather(serving, return_exceptions=True)

    async def _open_ledger(self) -> None:
        """Only now: nothing is forked any more that would go on with its file."""
        ledger = self.control.ledger
        ledger.start(self._began)
        if not await asyncio.to_thread(ledger.wait_until_read, FIRST_USAGE_S):
            keys = self.control.access.keys
            if any(key.tokens_per_day or key.tokens_per_month for key in keys):
                logger.warning("What keys with budgets have used before is not known")

    async def _watch(self, engine: Engine, serving: asyncio.Task[None]) -> None:
        """Tells systemd that all is well while it is; returns when the engine has died."""
        before: dict[str, int] = {}
        while not engine.died and not serving.done():
            if (sizes := self.sizes()) != before:
                logger.debug("Tables: %s", json.dumps(sizes))
                before = sizes
            stall = self.progress.look()
            if stall.seconds > self.settings.stall_timeout:
                if self.state.phase is Phase.HEALTHY:
                    logger.error("Stuck: %s", stall)
                self.state.move(Phase.STUCK, str(stall))
                self.state.progress(str(stall))
                self.notifier.status(f"Stuck: {stall}")
            else:
                if self.state.phase is Phase.STUCK:
                    logger.warning("No longer stuck")
                    self.state.move(Phase.HEALTHY, "ready")
                self.notifier.watchdog()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._lost.wait(), WATCH_INTERVAL_S)

    def sizes(self) -> dict[str, int]:
        """Entries in the tables of requests: where nobody asks for anything all of them are 0."""
        return self.meter.sizes() | {"in_flight": self.state.in_flight}

    def _lose_engine(self, name: str) -> None:
        """A process has ended without which there are no answers: nobody waits for one."""
        logger.error("The process of %s ended", name)
        self.front.end_all(LOST, CUT_OFF_S)
        self.meter.view.fail()
        self._lost.set()

    def _fail(self, message: str) -> None:
        if self.state.phase is Phase.DRAINING:
            return
        self._exit = EXIT_FAILED
        self.state.move(Phase.UNHEALTHY, message)
        self.notifier.status(message)
        logger.critical("%s", message)

    async def _drain(self) -> None:
        """Lets running requests finish, up to the deadline or another signal; new ones get 503."""
        self.state.move(Phase.DRAINING, "stopping")
        self.notifier.stopping(f"Finishing {self.state.in_flight} requests")
        logger.info("Stopping: %d requests in flight", self.state.in_flight)
        deadline = time.monotonic() + self.settings.shutdown_timeout
        await self._until_idle(deadline)
        self._hurry = False
        if self.state.in_flight:
            logger.warning("Stopping: %d requests were cut off", self.state.in_flight)
            self.front.end_all(CUT_OFF, CUT_OFF_S)
            await self._until_idle(time.monotonic() + 2 * CUT_OFF_S)

    async def _until_idle(self, deadline: float) -> None:
        while self.state.in_flight and not self._hurry and time.monotonic() < deadline:
            await asyncio.sleep(0.05)

    async def _shut_down_engine(self) -> None:
        self.grammars.close()
        if self._engine is not None and not self._engine.died:
            await self._engine.shut_down()


def run(settings: Settings, access: Access) -> int:
    """Runs the server in this process; does not return once it has served."""
    notifier = Notifier.from_environment()
    guardian = Guardian.open()
    listener = bind_path(settings.uds) if settings.uds else bind(settings.host, settings.port)
    tls = open_tls(settings.tls)
    ledger = Ledger(settings.ledger_file, settings.served_model_name, days=settings.ledger_days)
    control = AccessControl(access, ledger)
    apply_limits(control)
    without_created()

    def waiting() -> Waiting:
        state = ServerState(settings.served_model_name)
        app = build_front(settings, state, control, tls)
        # A copy of its own: it counts what it refuses, and has begun before this process opens it.
        ledger.start()
        return Waiting(
            state, app, lambda: reload(settings, control, tls), lambda: ledger.close(CLOSE_S / 2)
        )

    # Before any thread and the event loop.
    room = WaitingRoom.open(listener, waiting, tls)
    notifier.status("listening; the model is not loaded yet")
    # After those who are forked here and must not hold it; where no service manager made a folder
    # for it, nobody asks.
    runtime = os.environ.get("RUNTIME_DIRECTORY")
    asked = bind_path(Path(runtime) / NAME) if runtime else None

    async def main() -> int:
        service = Service(
            settings, control, notifier, room, guardian, tls=tls, control_listener=asked
        )
        return await service.run(listener)

    status = EXIT_FAILED
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            status = runner.run(main())
    finally:
        ledger.close(LAST_USAGE_S)
        _end_children(guardian)
        log.finish()
        # Not sys.exit: a thread that still loads weights would be waited for, and torch's
        # teardown takes seconds and prints pages about leaked objects.
        os._exit(status)


def _loop_factory() -> type[asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - vLLM brings it; tests do without
    except ImportError:
        return None
    return uvloop.Loop  # type: ignore[no-any-return]


def _end_children(guardian: Guardian) -> None:
    """Ends whatever the engine left; the guardian ends by itself, after what is not below here."""
    children = [p for p in psutil.Process().children(recursive=True) if p.pid != guardian.pid]
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.terminate()
    _, alive = psutil.wait_procs(children, timeout=2)
    for child in alive:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(alive, timeout=2)
