# SPDX-License-Identifier: Apache-2.0
"""`python -m gpu_metrics --port 9400`: serves the GPUs' metrics until it is ended."""

from __future__ import annotations

import argparse
import logging
import sys
import threading
from collections.abc import Sequence

import pynvml

from .collector import Collector
from .page import Page, server
from .xids import Xids


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="gpu_metrics", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9400, help="dcgm-exporter's")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    """Serve; a host without a driver is served too, as one whose driver does not answer."""
    args = arguments(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    xids = Xids(pynvml)
    threading.Thread(target=xids.run, name="xids", daemon=True).start()
    with server(Page(Collector(pynvml, xids)), args.host, args.port) as listening:
        listening.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
