# SPDX-License-Identifier: Apache-2.0
"""`python -m llm_server --config FILE [--check-config [--user NAME]]`."""

from __future__ import annotations

import argparse
import os
import pwd
import sys
from pathlib import Path

from . import log
from .errors import ConfigError
from .settings import load_keys, load_settings

EXIT_CONFIG = 2


def main() -> int:
    """Parses the command line; 0 is success, 2 means wrong settings."""
    options = _options()
    try:
        settings = load_settings(options.config)
        if options.user:
            _become(options.user)
        keys = load_keys(settings.api_key_file) if settings.api_key_file else ()
        log.configure(settings.log_level)
        if options.check_config:
            # Imported here: a mistake found above is told without waiting for vLLM.
            from .engine import check  # noqa: PLC0415

            check(settings)
            return 0
        from .server import run  # noqa: PLC0415

        return run(settings, keys)
    except ConfigError as error:
        for message in error.messages:
            print(f"{options.config}: {message}", file=sys.stderr)  # noqa: T201
        return EXIT_CONFIG


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="llm_server", description="Serves one model with vLLM.")
    parser.add_argument("--config", type=Path, required=True, help="the settings file (YAML)")
    parser.add_argument(
        "--check-config", action="store_true", help="check the settings and exit: 0 good, 2 wrong"
    )
    parser.add_argument(
        "--user", help="once the settings file is read, go on as this user (needs root)"
    )
    return parser.parse_args()


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
