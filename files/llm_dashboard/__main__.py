# SPDX-License-Identifier: Apache-2.0
"""`python3 -m llm_dashboard`: serves the page until it is ended."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from .app import Service
from .board import Board, Sources
from .keys import Keys


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; nothing in it is a secret."""
    of = Sources()
    parser = argparse.ArgumentParser(prog="llm_dashboard", description=__doc__)
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument(
        "--range",
        action="append",
        default=[],
        type=_range,
        dest="ranges",
        help="IPv4 range that may ask besides this host; needs --tls-file",
    )
    parser.add_argument("--tls-file", type=Path, help="certificate and key in one file")
    parser.add_argument("--access-file", type=Path, default=Path("/etc/llm-server/access.yaml"))
    parser.add_argument("--prometheus", default=of.prometheus)
    parser.add_argument("--alertmanager", default=of.alertmanager)
    parser.add_argument("--server", default=of.server)
    parser.add_argument("--ledger", type=Path, default=of.ledger)
    parser.add_argument("--unit", action="append", default=[], dest="units")
    parser.add_argument("--scrape-seconds", type=int, default=of.scrape_seconds)
    parser.add_argument("--hour-price", type=float, help="USD that the machine costs an hour")
    found = parser.parse_args(argv)
    if found.ranges and not found.tls_file:
        parser.error("--range needs --tls-file: else keys cross the network as they are")
    return found


def _range(text: str) -> ipaddress.IPv4Network:
    # Of IPv4 alone, as that is what is listened on. An address within a range stands for it.
    return ipaddress.IPv4Network(text, strict=False)


def main(argv: Sequence[str]) -> int:
    """Serve."""
    args = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    sources = Sources(
        prometheus=args.prometheus,
        alertmanager=args.alertmanager,
        server=args.server,
        ledger=args.ledger,
        units=tuple(args.units) or Sources().units,
        scrape_seconds=args.scrape_seconds,
        hour_price=args.hour_price,
    )
    service = Service(
        Board(sources), Keys(args.access_file), args.ranges, secure=bool(args.tls_file)
    )
    uvicorn.run(
        service.app(),
        # On loopback alone where nobody else may ask.
        host="0.0.0.0" if args.ranges else "127.0.0.1",  # noqa: S104
        port=args.port,
        ssl_certfile=str(args.tls_file) if args.tls_file else None,
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        limit_concurrency=64,
        timeout_keep_alive=30,
        loop="asyncio",
        http="h11",
        ws="none",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
