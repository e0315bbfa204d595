# SPDX-License-Identifier: Apache-2.0
"""Where log lines go: stderr, which the journal stamps."""

from __future__ import annotations

import logging.config


def configure(level: str) -> None:
    """Sets up this package's and uvicorn's loggers, whatever libraries do to the root logger."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {"format": "%(levelname)s %(name)s: %(message)s"},
                "json": {"format": "%(message)s"},
            },
            "handlers": {
                "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
                "requests": {"class": "logging.StreamHandler", "formatter": "json"},
            },
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {
                "llm_server": {
                    "handlers": ["stderr"],
                    "level": level.upper(),
                    "propagate": False,
                },
                # One line of JSON for each request, whatever the level of everything else is.
                "llm_server.access": {
                    "handlers": ["requests"],
                    "level": "INFO",
                    "propagate": False,
                },
                "uvicorn": {"handlers": ["stderr"], "level": "WARNING", "propagate": False},
            },
        }
    )
