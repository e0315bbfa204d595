# SPDX-License-Identifier: Apache-2.0
"""Command line: `python -m emulator serve`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
from importlib import import_module
from pathlib import Path

from emulator.serve.server import Settings, serve
from emulator.world.backend import Backend
from emulator.world.backend_records import RecordsBackend

_PROJECT = re.compile(r"[a-z][a-z0-9-]{4,28}[a-z0-9]")


def main(arguments: list[str] | None = None) -> None:
    """Parses the command line and serves in the foreground."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(
        level=options.log_level.upper(), format="%(levelname)s %(name)s %(message)s"
    )
    state = options.state_dir.resolve() if options.state_dir else None
    settings = Settings(
        port=options.port,
        tls_port=options.tls_port,
        proxy_port=options.proxy_port,
        state_dir=state,
        projects=tuple(options.project or ["demo-project"]),
        delay=options.operation_delay,
    )
    serve(settings, _backend(options.backend, options.owner, state, options.machine_option))


def _backend(
    kind: str, owner: str | None, state: Path | None, machine_options: list[str]
) -> Backend:
    if kind == "records":
        if machine_options:
            raise SystemExit("--machine-option is for --backend podman only.")
        return RecordsBackend()
    if owner is None:
        if state is None:
            raise SystemExit(
                "--backend podman needs --state-dir, so that a restart finds its machines."
            )
        # The same state owns the same machines.
        owner = "emulator-" + hashlib.sha256(str(state).encode()).hexdigest()[:8]
    module = import_module("emulator.machines.podman_backend")  # not needed for records
    backend: Backend = module.PodmanBackend.from_options(owner, machine_options)
    return backend


def _project(text: str) -> str:
    if not _PROJECT.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no project id: 6 to 30 of a-z, 0-9 and '-', beginning with a letter"
        )
    return text


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is no port: 0 to 65535")
    return port


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m emulator", description=__doc__)
    command = parser.add_subparsers(dest="command", required=True).add_parser(
        "serve", help="serve an emulated Compute Engine on loopback, in the foreground"
    )
    command.add_argument("--port", type=_port, required=True, help="plain HTTP; 0: any free one")
    command.add_argument(
        "--tls-port", type=_port, help="HTTPS with a certificate for Google's names"
    )
    command.add_argument("--proxy-port", type=_port, help="CONNECT proxy to the TLS port")
    command.add_argument("--state-dir", type=Path, help="kept between runs; default: temporary")
    command.add_argument(
        "--project", type=_project, action="append", help="repeatable; default demo-project"
    )
    command.add_argument("--backend", choices=["records", "podman"], default="records")
    command.add_argument(
        "--machine-option", action="append", default=[], metavar="K=V", help="for podman"
    )
    command.add_argument("--owner", help="label of the machines; default: from the state directory")
    command.add_argument(
        "--operation-delay", type=float, default=0.0, metavar="SECONDS", help="of each operation"
    )
    command.add_argument("--log-level", default="warning", choices=["debug", "info", "warning"])
    return parser


if __name__ == "__main__":
    main()
