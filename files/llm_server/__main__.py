# SPDX-License-Identifier: Apache-2.0
"""`python -m llm_server --config FILE [--check-config [--user NAME]] | --check-access FILE`."""

from __future__ import annotations

import argparse
import logging
import os
import pwd
import signal
import sys
from pathlib import Path

from . import risks
from .errors import ConfigError
from .keys.access import load_access
from .logs import log
from .settings import load_settings, normalise, read_access
from .transport.tls import TlsFiles

EXIT_CONFIG = 2


def main() -> int:
    """Parses the command line; 0 is success, 2 means wrong settings."""
    # The default of the signal that asks for a reload is to end the process.
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    options = _options()
    if options.check_access:
        return _check_access(options.check_access, keys_needed=not options.keys_optional)
    if options.check_certificate:
        return _check_certificate(options.check_certificate)
    if not options.config:
        print("--config: name the settings file", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    try:
        settings = load_settings(options.config)
        if options.user:
            _become(options.user)
        access = read_access(settings)
        log.configure(settings.log_level, content=settings.log_content)
        arguments = {normalise(name): value for name, value in settings.vllm_args.items()}
        for message in risks.warnings(arguments, os.environ):
            logging.getLogger("llm_server").warning("%s", message)
        if options.check_config:
            if settings.tls:
                settings.tls.check()
            # Imported here: a mistake found above is told without waiting for vLLM.
            from .engine.engine import check  # noqa: PLC0415

            check(settings)
            return 0
        from .server import run  # noqa: PLC0415

        return run(settings, access)
    except ConfigError as error:
        for message in error.messages:
            print(f"{options.config}: {message}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llm_server", description="Serves one model with vLLM.")
    parser.add_argument("--config", type=Path, help="the settings file (YAML)")
    parser.add_argument(
        "--check-config", action="store_true", help="check the settings and exit: 0 good, 2 wrong"
    )
    parser.add_argument(
        "--user", help="once the settings file is read, go on as this user (needs root)"
    )
    parser.add_argument(
        "--check-access", type=Path, help="check a file of keys and limits, and exit"
    )
    parser.add_argument(
        "--keys-optional", action="store_true", help="with --check-access: no key is no mistake"
    )
    parser.add_argument(
        "--check-certificate", type=Path, help="check a file with a certificate and its key"
    )
    return parser.parse_args()


def _check_access(path: Path, *, keys_needed: bool) -> int:
    try:
        load_access(path, keys_needed=keys_needed)
    except ConfigError as error:
        print("\n".join(error.messages), file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    return 0


def _check_certificate(path: Path) -> int:
    try:
        TlsFiles(ssl_certfile=path).check()
    except ConfigError as error:
        print("\n".join(error.messages), file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG
    return 0


def _become(name: str) -> None:
    """Drops root for the user that the service runs as: what it cannot read is found here."""
    try:
        user = pwd.getpwnam(name)
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
    except (KeyError, PermissionError) as error:
        raise ConfigError([f"--user: cannot become {name}: {error}"]) from None


if __name__ == "__main__":
    sys.exit(main())
