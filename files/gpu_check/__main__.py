# SPDX-License-Identifier: Apache-2.0
"""`python3 -m gpu_check`: exits with 0 once the GPUs are well, with 1 where they aren't in time."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence

from . import gpu_health, gpu_probe, this_host

PAUSE = 3.0


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what it asks for is as in gpu_info."""
    parser = argparse.ArgumentParser(prog="gpu_check", description=__doc__)
    parser.add_argument("--build", default="")
    parser.add_argument("--driver", default="")
    parser.add_argument("--capability", default="")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--brought", type=int, default=0, help="GPUs of the machine type")
    parser.add_argument("--visible", default="", help="as CUDA_VISIBLE_DEVICES")
    parser.add_argument("--own-unit", action="append", default=[])
    parser.add_argument("--foreign-memory-mib", type=int, default=1024)
    parser.add_argument("--timeout", type=float, default=60.0, help="seconds")
    return parser.parse_args(argv)


def main(
    argv: Sequence[str],
    host: gpu_probe.Host,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Look until the GPUs are well or the time is over: drivers take a while after a boot."""
    args = arguments(argv)
    needs = gpu_health.Needs(
        args.build, args.driver, args.capability, args.count, args.brought, args.visible
    )
    end = now() + args.timeout
    while True:
        facts = gpu_probe.collect(
            host,
            own_units=args.own_unit,
            foreign_memory_mib=args.foreign_memory_mib,
            needs=needs,
        )
        if not facts["problems"]:
            names = ", ".join(str(gpu["name"]) for gpu in facts["gpus"])
            sys.stdout.write(
                f"driver {facts['driver']}, {len(facts['gpus'])} GPU(s) well: {names}\n"
            )
            return 0
        if now() >= end:
            break
        sleep(PAUSE)
    for problem in facts["problems"]:
        sys.stderr.write(f"{problem}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], this_host.ThisHost()))
