# SPDX-License-Identifier: Apache-2.0
"""vLLM's own load tool in two processes, against an endpoint that counts who asks at once."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytestmark = pytest.mark.vllm
ROOT = Path(__file__).parents[3]
PYTHON = os.environ.get("GCE_VLLM_TEST_PYTHON", "")
#: Processes, and the most that each of them has under way.
TRIED, FEWEST = 2, 16
SCRIPT = """\
import json, sys
from llm_benchmark.crew import Crew
from llm_benchmark.load import Level, Load
if __name__ == "__main__":
    crew = Crew(2)
    load = Load(sys.argv[1], "m", sys.argv[2], input_tokens=8, output_tokens=3)
    good = crew.run(load, Level.closed("32:64"), 1)
    try:
        crew.run(Load(sys.argv[1], "m", "/no/such/tokenizer"), Level.closed("32:64"), 1)
    except RuntimeError as error:
        said = str(error)
    again = crew.run(load, Level.closed("32:64"), 2)
    print(json.dumps([good, said, again]), file=sys.stderr)
"""


class Endpoint(ThreadingHTTPServer):
    """Streams three tokens to each request, and knows how many there were at once.

    The first to come are held until there are more than one process sends at once, so that the one
    that gets going first does not get done before the other begins.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.lock = threading.Lock()
        self.now = self.most = self.all = 0
        self.crowded = threading.Event()


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.now += 1
            self.server.all += 1
            self.server.most = max(self.server.most, self.server.now)
            # Each process tries the endpoint with a request alone before it sends load.
            held = self.server.all > TRIED
            if self.server.now > FEWEST:
                self.server.crowded.set()
        if held:
            self.server.crowded.wait(60)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        pieces = [{"choices": [{"text": " a"}]}] * 3
        usage = {"prompt_tokens": 8, "completion_tokens": 3}
        for piece in [*pieces, {"choices": [], "usage": usage}]:
            time.sleep(0.05)
            self.wfile.write(f"data: {json.dumps(piece)}\n\n".encode())
        with self.server.lock:
            self.server.now -= 1
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_two_processes_press_at_once_and_give_one_result(
    endpoint: Endpoint, tmp_path: Path
) -> None:
    script = tmp_path / "press.py"
    script.write_text(SCRIPT)
    url = f"http://127.0.0.1:{endpoint.server_port}"
    done = subprocess.run(
        [PYTHON, str(script), url, os.environ["GCE_VLLM_TEST_MODEL"]],
        env={**os.environ, "PYTHONPATH": str(ROOT / "files"), "OPENAI_API_KEY": "unused"},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    good, said, again = json.loads(done.stderr.strip().splitlines()[-1])
    for figures in (good, again):
        assert figures["completed"] == 64 and figures["load_processes"] == 2, figures
        assert figures["total_output_tokens"] == 192
        assert figures["p50_ttft_ms"] >= 50 and figures["p50_e2el_ms"] >= 150
    assert "the load tool failed" in said
    # And one of each process before each run: the tool tries the endpoint first.
    assert endpoint.all == 128 + 2 * TRIED
    # One of them has 16; more at once is both.
    assert FEWEST < endpoint.most <= 2 * FEWEST
