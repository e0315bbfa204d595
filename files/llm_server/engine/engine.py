# SPDX-License-Identifier: Apache-2.0
"""Loads vLLM's engine beside a running event loop, and asks it for text."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import threading
import uuid
from argparse import Namespace
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from typing import Any, TypeVar

from ..errors import ConfigError, LoadError
from ..logs.failures import remember_errors
from ..settings import Settings
from ..state import Step
from ..vllm_api import client as vllm_client
from ..vllm_api import compat as vllm_compat
from ..vllm_api import names as vllm_names
from . import head_start
from .causes import CauseRecorder
from .fork_guard import ForkGuard
from .generate_routes import Generated, GenerateRequest, Part, create_router, without_generate
from .swagger import put_prefix_into_docs

logger = logging.getLogger("llm_server.engine")
T = TypeVar("T")

#: Up to here a CPU host gains more from a quick start than from threads bound to cores.
SMALL_HOST_CPUS = 4


@dataclass(frozen=True)
class Engine:
    """A loaded engine, and vLLM's own app around it."""

    client: Any
    args: Namespace
    app: Any
    #: What the model can do, in vLLM's words.
    tasks: tuple[str, ...]
    #: In what its client is not the one whose requests can be watched.
    unknown: tuple[str, ...] = ()

    @property
    def generates(self) -> bool:
        """Whether it makes text; a model that makes vectors or scores does not."""
        return "generate" in self.tasks

    @property
    def died(self) -> bool:
        """Whether the engine's process has ended or failed."""
        return bool(self.client.errored)

    async def shut_down(self) -> None:
        """Ends the engine's processes."""
        vllm_client.stop_listening(self.client)
        await asyncio.get_running_loop().run_in_executor(None, self.client.shutdown)

    async def generate(self, request: GenerateRequest) -> Generated:
        """Continues a prompt; being cancelled aborts the request in the engine.

        Raises:
            VLLMValidationError: prompt and answer would not fit the model's context.
        """
        prompt, prompt_tokens = await self._render(request)
        # Only the end is wanted: no message for every token.
        outputs = self._ask(prompt, self._params(request, "FINAL_ONLY"))
        parts: list[Part] = []
        tokens = 0
        async for output in outputs:
            parts = [Part(o.index, o.text, o.finish_reason) for o in output.outputs]
            tokens = sum(len(o.token_ids) for o in output.outputs)
        return Generated(parts, prompt_tokens, tokens)

    async def stream(self, request: GenerateRequest) -> AsyncGenerator[Generated, None]:
        """The same piece by piece; the first is empty, and comes once the request is accepted.

        Each has what is new; the counts of tokens are those so far.
        """
        prompt, prompt_tokens = await self._render(request)
        params = self._params(request, "DELTA")
        tokens = 0
        async with aclosing(self._ask(prompt, params)) as outputs:
            yield Generated([], prompt_tokens, 0)
            async for output in outputs:
                tokens += sum(len(o.token_ids) for o in output.outputs)
                parts = [Part(o.index, o.text, o.finish_reason) for o in output.outputs]
                yield Generated(parts, prompt_tokens, tokens)

    def _ask(self, prompt: Any, params: Any) -> Any:
        return self.client.generate(prompt, params, f"generate-{uuid.uuid4().hex}")

    async def encode(self, text: str) -> None:
        """Has a model that makes no text do what it is for, with the first of its tasks."""
        task = next(t for t in self.tasks if t in vllm_compat.get("POOLING_TASKS"))
        prompt = await vllm_client.render(self.client, text)
        params = vllm_compat.get("PoolingParams")(task=task)
        async for _ in self.client.encode(prompt, params, f"encode-{uuid.uuid4().hex}"):
            pass

    async def _render(self, request: GenerateRequest) -> tuple[Any, int]:
        prompt = await vllm_client.render(self.client, request.prompt)
        prompt_tokens = len(prompt.get("prompt_token_ids") or ())
        self._check_fits(prompt_tokens, request.max_tokens)
        return prompt, prompt_tokens

    @staticmethod
    def _params(request: GenerateRequest, kind: str) -> Any:
        stop = [request.stop] if isinstance(request.stop, str) else request.stop
        return vllm_compat.get("SamplingParams")(
            max_tokens=request.max_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            stop=stop,
            seed=request.seed,
            n=request.n,
            output_kind=getattr(vllm_compat.get("RequestOutputKind"), kind),
        )

    def _check_fits(self, prompt_tokens: int, max_tokens: int) -> None:
        context = self.client.model_config.max_model_len
        if prompt_tokens + max_tokens > context:
            raise vllm_compat.get("VLLMValidationError")(
                f"The prompt has {prompt_tokens} tokens and max_tokens is {max_tokens}: together"
                f" more than the model's context of {context} tokens. Shorten one of them.",
                parameter="max_tokens",
                value=max_tokens,
            )


def choose_start_method(settings: Settings, config: Any) -> str:
    """Decides how the engine's process begins: `fork` or `spawn`.

    Forked, it inherits what is imported already: on two cores a 135M model answers after 10 s
    instead of 26 s. vLLM itself falls back to spawn where CUDA is initialised. On CPUs spawn
    lets each worker bind its threads to cores, which pays off where there are many.
    """
    if settings.start_method != "auto":
        return settings.start_method
    if not vllm_compat.get("current_platform").is_cpu():
        return "fork"
    small = usable_cpus() <= SMALL_HOST_CPUS and config.parallel_config.world_size == 1
    return "fork" if small else "spawn"


def start_plain(args: Namespace, config: Any) -> Any:
    """The engine as vLLM itself starts it, in a process that inherits nothing of this one."""
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "spawn"
    return vllm_compat.make_client(config, args)


def stay_eager(settings: Settings) -> list[str]:
    """Has torch compile nothing where the settings say so; returns what stands against a fork."""
    if settings.enforce_eager:
        try:
            vllm_compat.stay_eager(here=settings.start == "fast")
        except (ImportError, AttributeError) as error:
            return [f"torch._dynamo.config.disable cannot be set ({error})"]
    return []


def _say_plain(differing: list[str]) -> None:
    logger.warning(
        "vLLM %s is not as the fast start knows it, so it starts plain, which takes longer: %s",
        vllm_compat.version(),
        "; ".join(differing),
    )


def _unknown_client() -> tuple[str, ...]:
    differing = tuple(vllm_compat.differences(vllm_names.COUNT))
    if differing:
        logger.warning(
            "vLLM %s keeps its requests in another way: tokens are not counted, so limits by tokens"
            " do not hold, and an engine that stops is seen later. Take a vLLM that this server"
            " knows (vllm_venv_version) to have them back: %s",
            vllm_compat.version(),
            "; ".join(differing),
        )
    return differing


def usable_cpus() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0))


class Loader:
    """Loads the engine in a thread of its own; the loop stays free to answer /health."""

    def __init__(
        self,
        settings: Settings,
        guard: ForkGuard,
        progress: Callable[[str, Step], None],
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._progress = progress
        self._loop = loop

    async def load(self) -> Engine:
        """Loads the model and builds the app.

        Raises:
            ConfigError: vLLM refuses the settings.
            LoadError: the engine did not start; names the cause.
        """
        future: asyncio.Future[Engine] = self._loop.create_future()

        def settle(set_it: Callable[[Any], None], value: Any) -> None:
            if not future.done():
                set_it(value)

        def work() -> None:
            try:
                engine = self._load()
            except BaseException as error:  # whatever it is, the loop must hear of it
                self._call_soon(settle, future.set_exception, error)
            else:
                self._call_soon(settle, future.set_result, engine)

        # A daemon: SIGTERM while loading must not wait for the weights.
        threading.Thread(target=work, name="load", daemon=True).start()
        engine = await future
        await vllm_compat.get("init_app_state")(
            engine.client, engine.app.state, engine.args, await engine.client.get_supported_tasks()
        )
        return engine

    def _call_soon(self, function: Callable[..., None], *args: Any) -> None:
        self._loop.call_soon_threadsafe(function, *args)

    def _say(self, text: str, step: Step) -> None:
        logger.info("%s", text)
        self._call_soon(self._progress, text, step)

    def _load(self) -> Engine:
        # Imports make a million objects that stay. Looking for garbage among them takes up to a
        # second, and vLLM does so many times while the engine starts: from here on they are
        # left out, also in the engine's process, which is forked from this one.
        gc.disable()
        try:
            self._say("importing vLLM", Step.IMPORT)
            differing = stay_eager(self._settings)
            args = vllm_compat.parse(self._settings)
            self._say("reading the model's configuration", Step.CONFIGURATION)
            fast = self._settings.start == "fast"
            config = vllm_compat.engine_config(args, look_here=fast)
            vllm_compat.get("AsyncLLM")
            if fast and (differing := [*differing, *head_start.differences()]):
                fast = False
                _say_plain(differing)
        finally:
            gc.freeze()
            gc.enable()
        return self._start(args, config, fast=fast)

    def _start(self, args: Namespace, config: Any, *, fast: bool) -> Engine:
        starting = f"starting the engine of vLLM {vllm_compat.version()} and loading the weights"
        self._say(starting, Step.ENGINE)
        causes = CauseRecorder()
        with causes:
            try:
                client = self._make_client(args, config, fast=fast)
            except Exception as error:
                raise LoadError(causes.first() or vllm_compat.first_line(error)) from error
            finally:
                self._guard.forked.set()
        self._say("building the API", Step.API)
        tasks = self._on_loop(client.get_supported_tasks())
        app = vllm_compat.get("build_app")(args, tasks, config.model_config)
        remember_errors(app)
        # The redirect of a slash would lead to an absolute address; see `paths`.
        app.router.redirect_slashes = False
        engine = Engine(client, args, app, tuple(tasks), _unknown_client())
        name = self._settings.served_model_name
        router = (
            create_router(name, engine, tasks)
            if engine.generates
            else without_generate(name, tasks)
        )
        app.include_router(router)
        put_prefix_into_docs(app, self._settings.root_path)
        return engine

    def _make_client(self, args: Namespace, config: Any, *, fast: bool) -> Any:
        if fast:
            try:
                return self._start_fast(args, config)
            except head_start.NotKnownError as error:
                _say_plain([str(error)])
        return start_plain(args, config)

    def _start_fast(self, args: Namespace, config: Any) -> Any:
        # After the configuration: on CPUs that sets spawn.
        method = choose_start_method(self._settings, config)
        os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = method
        self._guard.several = config.parallel_config.data_parallel_size > 1
        threading.Thread(target=self._preload_app, name="preload", daemon=True).start()
        with ExitStack() as stack:
            if method == "fork":
                if "OMP_NUM_THREADS" not in os.environ:
                    vllm_compat.limit_cpu_threads(max(1, usable_cpus() - 1))
                stack.enter_context(head_start.spare_garbage_collection())
            return head_start.start_engine(config, args, self._guard, forks=method == "fork")

    def _preload_app(self) -> None:
        # Only after the fork: the child must not inherit an import lock that this thread holds.
        # Meanwhile the other thread waits for the engine's process, so the time is free.
        self._guard.forked.wait()
        vllm_compat.preload_app()

    def _on_loop(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


async def make_first_token(engine: Engine) -> None:
    """Generates one real token, or one vector: the proof that the model can answer.

    Raises:
        LoadError: the engine gave an error instead.
    """
    try:
        if not engine.generates:
            await engine.encode("Hello")
            return
        await engine.generate(
            GenerateRequest(prompt="Hello", max_tokens=1, temperature=0.7, top_p=0.9)
        )
    except Exception as error:
        raise LoadError(f"no first token: {vllm_compat.first_line(error)}") from error


def check(settings: Settings) -> None:
    """Checks the settings as far as it goes without loading the model.

    Raises:
        ConfigError: vLLM refuses them.
    """
    try:
        args = vllm_compat.parse(settings)
        vllm_compat.engine_config(args, look_here=settings.start == "fast")
    except ImportError as error:
        raise ConfigError([f"vLLM cannot be imported: {error}"]) from None
