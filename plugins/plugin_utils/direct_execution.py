# SPDX-License-Identifier: Apache-2.0
"""Runs one of our modules in a process forked from this one, which has imported Ansible already.

That saves packing the module, starting a Python, and importing everything again. The module's
process is its own: what it prints, its folder, and what it leaves behind in memory go with it.

Ansible tells a module's code by switches in `ansible.module_utils` that it runs on the controller.
The forked process sets them as they are in any other module. They are private; where one is missing
`available` says so, and modules are packed and started as Ansible does it.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import os
import selectors
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from ansible.module_utils import basic
from ansible.plugins.action import ActionBase
from ansible.plugins.loader import module_loader

try:
    from ansible.module_utils import _internal
    from ansible.module_utils._internal import _traceback
    from ansible.module_utils._internal._ansiballz._loader import _handle_exception
except ImportError:
    _internal = _traceback = _handle_exception = None

ACTION = "llmops.gce_vllm.gce_instance"
ENVIRONMENT = "GCE_VLLM_DIRECT_EXECUTION"
# What our action has instead of Ansible's own.
OVERRIDDEN = ("_configure_module", "_is_pipelining_enabled", "_low_level_execute_command")
PROFILE = "legacy"  # how options and results are written down; that of every module that names none
_FALSE = ("0", "false", "no", "off")
# Whatever modules of ours import only once they need it.
_LATE_IMPORTS = (
    "ansible.module_utils._internal._json._profiles._module_legacy_c2m",
    "ansible.module_utils._internal._json._profiles._module_legacy_m2c",
    "google.auth.transport.requests",
    "google.oauth2.credentials",
    "google.oauth2.service_account",
)


def available() -> bool:
    """Whether it is switched on, and Ansible is as we know it."""
    if os.environ.get(ENVIRONMENT, "").strip().lower() in _FALSE or not hasattr(os, "fork"):
        return False
    known = (
        (_internal, ("is_controller", "get_controller_serialize_map", "import_controller_module")),
        (_traceback, ("_is_traceback_enabled", "_is_module_traceback_enabled")),
        (basic, ("_ANSIBLE_ARGS", "_ANSIBLE_PROFILE")),
        (ActionBase, OVERRIDDEN),
    )
    return _handle_exception is not None and all(
        hasattr(module, name) for module, names in known for name in names
    )


def python_name(module: str) -> str:
    """By which name Python imports a collection's module."""
    namespace, collection, name = module.split(".", 2)
    return f"ansible_collections.{namespace}.{collection}.plugins.modules.{name}"


def same_python(interpreter: str) -> bool:
    """Whether a host's interpreter is the one that runs this, in the same environment."""
    # Virtual environments have links to one program in common: what tells them apart is the folder.
    theirs, ours = Path(interpreter), Path(sys.executable)
    try:
        return theirs.samefile(ours) and theirs.parent.samefile(ours.parent)
    except OSError:
        return False


def preload(module: str) -> None:
    """Import a module and what it needs later, so that processes that are forked have it."""
    for name in (module, *_LATE_IMPORTS):
        # Whoever runs the module hears of it, in that module's words.
        with contextlib.suppress(Exception):
            importlib.import_module(name)


def preload_for(action: str) -> None:
    """In the process that forks the workers: preload what a task needs if its module is ours."""
    found = module_loader.find_plugin_with_context(action)
    if found.action_plugin == ACTION and available():
        preload(python_name(found.resolved_fqcn))


def run(module: str, arguments: bytes, folder: str) -> tuple[int, bytes, bytes]:
    """Run a module to its end.

    Args:
        module: where Python finds it.
        arguments: its options in JSON, as Ansible gives them to modules.
        folder: where it runs.

    Returns:
        Exit status, standard output, standard error; where a signal ended it, as a shell tells it.
    """
    ends = [os.pipe(), os.pipe()]
    child = os.fork()
    if child == 0:
        _in_child(module, arguments, folder, [write for _, write in ends])
    for _, write in ends:
        os.close(write)
    try:
        written = _read([read for read, _ in ends])
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    finally:
        for read, _ in ends:
            os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        said = f"{signal.strsignal(-status)}\n".encode()
        return 128 - status, written[0], written[1] + said
    return status, written[0], written[1]


def _read(ends: list[int]) -> list[bytes]:
    chunks: Mapping[int, list[bytes]] = {end: [] for end in ends}
    with selectors.DefaultSelector() as selector:
        for end in ends:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                chunk = os.read(key.fd, 65536)
                chunks[key.fd].append(chunk)
                if not chunk:
                    selector.unregister(key.fd)
    return [b"".join(chunks[end]) for end in ends]


def _in_child(module: str, arguments: bytes, folder: str, outputs: list[int]) -> NoReturn:
    # Nothing may come out of here: above is the controller's code, which would go on in two places.
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        atexit._clear()  # those of the controller
        _redirect(outputs)
        os.chdir(folder)
        _as_in_a_module()
        status = _main(module, arguments)
        atexit._run_exitfuncs()  # the module's: it removes its temporary folder there
    except BaseException as error:
        with contextlib.suppress(BaseException):
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(BaseException):
                stream.flush()
        os._exit(status)


def _redirect(outputs: list[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in zip((nothing, *outputs), range(3), strict=True):
        os.dup2(source, target)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = (
        open(end, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
        for end in (1, 2)
    )


def _as_in_a_module() -> None:
    _internal.is_controller = False
    _internal.get_controller_serialize_map = dict
    _internal.import_controller_module = lambda _name: None
    _traceback._is_traceback_enabled = _traceback._is_module_traceback_enabled


def _main(module: str, arguments: bytes) -> int:
    basic._ANSIBLE_ARGS, basic._ANSIBLE_PROFILE = arguments, PROFILE
    try:
        try:
            importlib.import_module(module).main()
            raise RuntimeError("New-style module did not handle its own exit.")
        except Exception as error:
            _handle_exception(error, PROFILE)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        sys.stderr.write(f"{end.code}\n")
    return 1
