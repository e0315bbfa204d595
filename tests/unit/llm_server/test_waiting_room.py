# SPDX-License-Identifier: Apache-2.0
"""From the waiting room to the model's server: real forks and sockets, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[3]

PROGRAM = """
import asyncio, json, socket, time
from llm_server.keys.access import Access, AccessControl
from llm_server.asgi.stack import build_front
from llm_server.transport.listener import HttpServer, bind
from llm_server.settings import Settings
from llm_server.state import ServerState
from llm_server.process.waiting_room import Waiting, WaitingRoom

listener = bind("127.0.0.1", 0)
settings = Settings(model_path="m", served_model_name="m", access_file="x")

def front(name):
    state = ServerState(name)
    app = build_front(settings, state, AccessControl(Access()))
    return Waiting(state, app, lambda: None, lambda: None)

room = WaitingRoom.open(listener, lambda: front("room"))
address = listener.getsockname()

def ask():
    began = time.monotonic()
    with socket.create_connection(address) as client:
        client.sendall(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
        text = client.recv(65536)
        while b"}" not in text:
            text += client.recv(65536)
    return json.loads(text.partition(b"\\r\\n\\r\\n")[2])["model"], time.monotonic() - began

while True:
    try:
        assert ask()[0] == "room"
        break
    except ConnectionError:
        time.sleep(0.01)
idle = socket.create_connection(address)
half = socket.create_connection(address)
half.sendall(b"GET /health HTTP/1.1\\r\\n")
assert ask()[0] == "room"  # which has accepted by then who came before

async def main():
    server = HttpServer(front("model")[1])
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.005)
    closing = asyncio.create_task(room.close())
    loop = asyncio.get_running_loop()
    answers = []
    while not closing.done():
        answers.append(await loop.run_in_executor(None, ask))
    await closing
    answers.append(await loop.run_in_executor(None, ask))
    server.should_exit = True
    await serving
    return answers

answers = asyncio.run(main())
assert len(answers) >= 2, answers
assert answers[-1][0] == "model", answers
assert max(took for _, took in answers) < 30, answers
for client in (idle, half):
    client.settimeout(60)
    try:
        assert client.recv(1) == b"", "nobody keeps what the room had open"
    except ConnectionResetError:
        pass
print("done")
"""


def test_somebody_accepts_all_the_time_also_with_idle_connections() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM)],
        env=os.environ | {"PYTHONPATH": str(ROOT / "files")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
