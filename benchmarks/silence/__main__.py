# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks.silence [--package FOLDER] [--kind reported|largest]`: one table.

Starts a server with the Python and the model that tests use, sends each heavy body again and
again from one process, and times /health from another one.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import threading
import time
from pathlib import Path

import httpx

from tests.support.server_fixture import KEY, Server, setting

from .bodies import REPORTED, Heavy, largest
from .probe import probe

#: How long each body is sent, again and again, by so many clients at once.
SEND_S, CLIENTS = 8.0, 2
#: How long one body may take, and how long the server gets afterwards to answer again.
BODY_S, REST_S = 30.0, 90.0


def main() -> None:
    """Measures and prints."""
    options = argparse.ArgumentParser()
    options.add_argument("--package", type=Path, help="a folder with another llm_server")
    options.add_argument("--kind", choices=("reported", "largest"), default="reported")
    options.add_argument("--only", help="names that hold this text")
    options.add_argument("--elements", type=int, default=20_000)
    options.add_argument("--token-ids", type=int, default=300_000)
    options.add_argument("--size", type=int, default=4 * 2**20)
    given = options.parse_args()
    chosen = (
        REPORTED
        if given.kind == "reported"
        else largest(given.elements, given.size, given.token_ids)
    )
    with tempfile.TemporaryDirectory() as folder:
        server = Server(
            Path(folder) / "server",
            setting("GCE_VLLM_TEST_PYTHON"),
            setting("GCE_VLLM_TEST_MODEL"),
            {"stall_timeout": 3600},
            {"PYTHONPATH": str(given.package)} if given.package else {},
        )
        server.start()
        try:
            server.wait_for("healthy")
            print("| body | path | bytes | answers | p99 of /health | longest |", flush=True)
            print("| --- | --- | --- | --- | --- | --- |", flush=True)
            for heavy in chosen:
                if given.only is None or given.only in f"{heavy.path} {heavy.name}":
                    print(_row(server.port, heavy), flush=True)
        finally:
            server.close()


def _row(port: int, heavy: Heavy) -> str:
    body = heavy.make()
    mine, its = multiprocessing.Pipe()
    prober = multiprocessing.get_context("spawn").Process(target=probe, args=(port, its))
    prober.start()
    mine.recv()  # it has begun
    statuses = _send(port, heavy.path, body)
    mine.send("stop")
    found: list[float] = mine.recv() if mine.poll(REST_S) else [REST_S]
    prober.kill()
    prober.join()
    found.sort()
    p99 = found[min(len(found) - 1, len(found) * 99 // 100)]
    return (
        f"| {heavy.name} | `{heavy.path}` | {len(body):,} | {statuses}"
        f" | {p99 * 1000:,.0f} ms | {found[-1] * 1000:,.0f} ms |"
    )


def _send(port: int, path: str, body: bytes) -> str:
    """Sends it until the time is over; says which answers came."""
    seen: dict[str, int] = {}
    end = time.monotonic() + SEND_S

    def client() -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=BODY_S) as http:
            while time.monotonic() < end:
                try:
                    status = str(http.post(path, content=body, headers=headers).status_code)
                except httpx.TimeoutException:
                    status = "none"
                except httpx.TransportError:
                    status = "closed"
                seen[status] = seen.get(status, 0) + 1

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for one in clients:
        one.start()
    for one in clients:
        one.join()
    return ", ".join(f"{count} x {status}" for status, count in sorted(seen.items()))


if __name__ == "__main__":
    main()
