# SPDX-License-Identifier: Apache-2.0
"""Log lines: their priority, their length, and readers that read nothing."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from llm_server.logs.log_lines import ACCESS, LINE_BYTES, LineFormatter, cut
from llm_server.logs.log_queue import QueuedStderr

from tests.unit.llm_server.fake_engine import KEY

FILES = Path(__file__).parents[3] / "files"


def record(message: str, level: int = logging.INFO, name: str = "x", **given: Any) -> Any:
    made = logging.LogRecord(name, level, __file__, 1, message, None, None)
    made.__dict__.update(given)
    return made


def lines(message: str, level: int = logging.INFO, priorities: bool = True, **given: Any) -> Any:
    return LineFormatter(priorities=priorities).format(record(message, level, **given)).split("\n")


@pytest.mark.parametrize(
    ("level", "priority"),
    [
        (logging.CRITICAL, "<2>"),
        (logging.ERROR, "<3>"),
        (logging.WARNING, "<4>"),
        (35, "<4>"),
        (logging.INFO, "<6>"),
        (logging.DEBUG, "<7>"),
        (1, "<7>"),
    ],
)
def test_each_line_has_its_priority(level: int, priority: str) -> None:
    seen = lines("one\ntwo\r\n\n<0>four", level)
    assert len(seen) == 4
    assert all(line.startswith(priority) for line in seen)
    assert seen[1:] == [priority + "  two", priority + "  ", priority + "  <0>four"]
    assert not lines("one\ntwo", level, priorities=False)[1].startswith("<")


def test_a_traceback_has_it_too() -> None:
    try:
        raise ValueError("a\nb")
    except ValueError:
        info = sys.exc_info()
    seen = lines("failed", logging.ERROR, exc_info=info)
    assert len(seen) > 4
    assert all(line.startswith("<3>") for line in seen)


@pytest.mark.parametrize(
    "message",
    [
        "x" * 100_000,
        "\u00e9" * 3000,
        "\U0001f600" * 3000,
        "\ud800" * 3000,
        "\x1b" * 3000,
        "\n".join(["y" * 5000] * 5000),
    ],
)
def test_no_line_is_longer_than_its_bound(message: str) -> None:
    formatted = LineFormatter(priorities=True).format(record(message, logging.ERROR)) + "\n"
    data = formatted.encode()
    assert all(len(line) <= LINE_BYTES for line in data.splitlines(keepends=True))
    assert "left out" in formatted
    assert len(data) < 130 * LINE_BYTES


def test_what_is_left_out_is_told() -> None:
    assert cut("x" * 100, 100) == "x" * 100
    said = cut("x" * 101, 100)
    assert len(said) <= 100
    kept, _, left = said.partition(" ... ")
    assert len(kept) + int(left.split()[0]) == 101


def test_controls_do_not_reach_a_terminal() -> None:
    assert lines("a\x1b[2Jb\x00\x9bc\td", priorities=False) == ["INFO x: a\\x1b[2Jb\\x00\\x9bc\td"]


def test_a_line_of_json_stays_as_it_is() -> None:
    assert lines('{"a": "\\n"}', name=ACCESS) == ['<6>{"a": "\\n"}']


def test_lines_of_other_processes_name_them() -> None:
    assert lines("m", priorities=False, vllm_process_name="EngineCore") == [
        "INFO x (EngineCore): m"
    ]


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def logger_to(descriptor: int, most_bytes: int = 100_000) -> tuple[logging.Logger, QueuedStderr]:
    handler = QueuedStderr(descriptor, most_bytes)
    handler.setFormatter(LineFormatter(priorities=False))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    return logger, handler


def test_a_full_pipe_stops_nobody_and_is_told(pipe: tuple[int, int]) -> None:
    read, write = pipe
    logger, handler = logger_to(write)
    for number in range(2000):
        logger.info("%d %s", number, "x" * 1000)
    assert handler.dropped > 1000
    began = time.monotonic()
    handler.write_out(0.1)
    assert time.monotonic() - began < 30
    with os.fdopen(os.dup(read), "rb") as reader:
        seen = [reader.readline()]
        while b"were dropped" not in seen[-1]:
            seen.append(reader.readline())
    numbers = [int(line.split()[2]) for line in seen[:-1]]
    assert numbers == sorted(set(numbers)), "in their order, and each once"
    assert seen[-1].startswith(b"WARNING llm_server.log: ")


def test_a_reader_that_has_gone(pipe: tuple[int, int]) -> None:
    read, write = pipe
    other = os.dup(read)
    os.dup2(os.open(os.devnull, os.O_RDONLY), read)
    os.close(other)
    logger, handler = logger_to(write)
    logger.info("x")
    handler.write_out(10)
    assert handler.dropped == 1


def test_a_forked_process_writes_its_own_lines(pipe: tuple[int, int]) -> None:
    read, write = pipe
    logger, handler = logger_to(write)
    logger.info("parent")
    handler.write_out(10)
    child = os.fork()
    if child == 0:
        try:
            logger.info("child")
            handler.write_out(10)
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"INFO test: parent\nINFO test: child\n"


def test_it_may_be_closed_and_used_on(pipe: tuple[int, int]) -> None:
    read, write = pipe
    logger, handler = logger_to(write)
    logger.info("one")
    handler.close()
    logger.info("two")
    handler.write_out(10)
    assert os.read(read, 1000) == b"INFO test: one\nINFO test: two\n"


SAYS = """
import json, logging.config, multiprocessing, os, sys, warnings
from llm_server.logs import log

def as_vllm_does():
    logging.config.dictConfig(json.load(open(os.environ["VLLM_LOGGING_CONFIG_PATH"])))

def child():
    as_vllm_does()
    logging.getLogger("vllm.x").error("of a child")
    logging.getLogger("vllm.x").debug("not asked for")

if __name__ == "__main__":
    log.configure("info")
    logging.getLogger("llm_server").error("ours")
    logging.getLogger("uvicorn.error").warning("uvicorn's")
    warnings.warn("Python's")
    as_vllm_does()
    logging.getLogger("vllm.x").info("vllm's")
    logging.getLogger("llm_server.access").info('{"json": 1}')
    process = multiprocessing.get_context(sys.argv[1]).Process(target=child, name="Child")
    process.start()
    process.join()
    logging.getLogger("llm_server").critical("last")
    if sys.argv[2] == "hard":
        log.finish()
        os._exit(0)
    if sys.argv[2] == "raise":
        raise SystemExit(1)
"""


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize(
    ("method", "end"), [("fork", "hard"), ("fork", "raise"), ("fork", "end"), ("spawn", "end")]
)
def test_whose_lines_are_written(
    pipe: tuple[int, int], tmp_path: Path, journal: bool, method: str, end: str
) -> None:
    read, write = pipe
    there = os.fstat(write)
    stream = f"{there.st_dev}:{there.st_ino}" if journal else "1:1"
    script = tmp_path / "says.py"
    script.write_text(SAYS)
    subprocess.run(
        [sys.executable, script, method, end],
        env={"PYTHONPATH": str(FILES), "JOURNAL_STREAM": stream, "PATH": os.environ["PATH"]},
        stderr=write,
        timeout=300,
        check=False,
    )
    os.set_blocking(read, False)
    seen = os.read(read, 60_000).decode().splitlines()
    mark = [f"<{n}>" if journal else "" for n in (3, 4, 4, 6, 6, 3, 2)]
    wanted = (
        "ERROR llm_server: ours",
        "WARNING uvicorn.error: uvicorn's",
        f"WARNING py.warnings: {script}:17: UserWarning: Python's",
        "INFO vllm.x: vllm's",
        '{"json": 1}',
        "ERROR vllm.x (Child): of a child",
        "CRITICAL llm_server: last",
    )
    # Each process writes its own in their order; which process is first is not said.
    assert sorted(line for line in seen if not line.removeprefix("<4>").startswith("  ")) == sorted(
        m + w for m, w in zip(mark, wanted, strict=True)
    )


SERVES = """
import asyncio, sys
from llm_server.logs import log
log.configure("info")
from tests.unit.llm_server.fake_engine import Serving
from fastapi import FastAPI
async def main():
    serving = Serving(FastAPI())
    async with serving.open():
        print(serving.address[1], flush=True)
        await asyncio.sleep(600)
asyncio.run(main())
"""


def test_health_is_answered_where_nobody_reads_the_log(pipe: tuple[int, int]) -> None:
    _, write = pipe
    http = httpx.Client(timeout=300)
    process = subprocess.Popen(
        [sys.executable, "-c", SERVES],
        env=os.environ | {"PYTHONPATH": f"{FILES}:{FILES.parent}"},
        stdout=subprocess.PIPE,
        stderr=write,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(process.stdout.readline())}"
        key = {"Authorization": f"Bearer {KEY}"}
        for number in range(600):  # some 200 KB of log, and a pipe holds 64
            asked = http.post(f"{url}/{number}{'x' * 200}", headers=key)
            assert asked.status_code == 404
        assert http.get(f"{url}/health").json()["status"] == "healthy"
    finally:
        http.close()
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
