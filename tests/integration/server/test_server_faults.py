# SPDX-License-Identifier: Apache-2.0
"""The server under load while something is killed, stopped, silent, slow or gone.

A server that has ended is started again on the same port by the test, as systemd would.
"""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest

from tests.support.mixed_load import KINDS, Kind, Load, all_at_once, ask, client
from tests.support.server_fixture import KEY, LOAD_TIMEOUT_S, Server, all_gone, name_of
from tests.support.usage_load import Steady, kept, key

pytestmark = pytest.mark.vllm

#: Tokens that no test waits for: an answer of so many takes longer than all of the test.
ENDLESS = 900


def url(server: Server) -> str:
    return str(server.open.base_url).rstrip("/")


def works(server: Server) -> bool:
    return server.authorised.post("/generate", json={"prompt": "Hi", "max_tokens": 2}).is_success


def wait_for_running(server: Server, number: int) -> None:
    deadline = time.monotonic() + 300
    while server.metric("vllm:num_requests_running") < number:
        assert time.monotonic() < deadline, "the engine never got so many requests"
        time.sleep(0.05)


# What clients do to a server that stays.


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_clients_that_leave_free_their_slots(shared_server: Server, kind: Kind) -> None:
    with closing(_begin(shared_server, kind)):
        wait_for_running(shared_server, 1)
    shared_server.wait_until_idle()


def test_many_that_leave_at_once(shared_server: Server) -> None:
    sockets = [_begin(shared_server, kind) for kind in KINDS for _ in range(3)]
    wait_for_running(shared_server, 20)
    for one in sockets:
        one.close()
    shared_server.wait_until_idle()
    assert works(shared_server)


def test_a_slow_client_holds_up_nobody(shared_server: Server) -> None:
    """One that sends its request byte by byte, and one that does not read its stream."""
    with (
        closing(socket.create_connection(("127.0.0.1", shared_server.port))) as sender,
        closing(_begin(shared_server, KINDS[1], tokens=100)) as reader,
        Load(url(shared_server)) as load,
    ):
        text = _request(KINDS[0], 4)
        for place in range(40):
            sender.sendall(text[place : place + 1])
            time.sleep(0.05)
        load.wait_for(4)
        sender.sendall(text[40:])
        assert b" 200 OK" in sender.recv(100)
        reader.settimeout(300)
        said = b""
        while b"[DONE]" not in said:
            part = reader.recv(65536)
            assert part, said
            said += part
    assert all(outcome.whole for outcome in load.outcomes), load.outcomes
    shared_server.wait_until_idle()


def test_a_thousand_silent_connections_hold_up_nobody(shared_server: Server) -> None:
    with Load(url(shared_server)) as load:
        load.wait_for(1)
        silent = [socket.create_connection(("127.0.0.1", shared_server.port)) for _ in range(1000)]
        try:
            load.wait_for(8)
            assert shared_server.open.get("/health").status_code == 200
        finally:
            for one in silent:
                one.close()
    assert all(outcome.whole for outcome in load.outcomes), load.outcomes
    shared_server.wait_until_idle()


def _request(kind: Kind, tokens: int) -> bytes:
    body = json.dumps(kind.request(tokens)).encode()
    lines = (
        f"POST {kind.path} HTTP/1.1",
        f"Host: {socket.gethostname()}",
        f"Authorization: Bearer {KEY}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*lines, "", "")).encode() + body


def _begin(server: Server, kind: Kind, tokens: int = ENDLESS) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", server.port))
    # So small that a stream which nobody reads fills it.
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.sendall(_request(kind, tokens))
    return one


# What befalls the server.


@pytest.fixture
def server(fallen: Server) -> Server:
    """It, healthy: started again if the test before ended it."""
    fallen.have_healthy()
    return fallen


@pytest.fixture
def families() -> Iterator[list[psutil.Process]]:
    """Processes that must be gone when the test is over."""
    found: list[psutil.Process] = []
    yield found
    left = all_gone(found)
    for process in left:
        process.kill()
    assert left == []


def recover(server: Server, load: Load, killed: float, what: str) -> None:
    """Waits for its end, starts it again, sees that the load is answered, and ends it."""
    server.process.wait(120)
    server.have_healthy()
    took = time.monotonic() - killed
    load.wait_for(6)
    print(f"{what}: healthy again after {took:.1f} s")  # noqa: T201 - for the figures in docs/evidence.md
    assert server.open.get("/health").status_code == 200
    # A server that is asked all the time need never be seen idle.
    load.end()
    server.wait_until_idle()


def test_sigkill_of_the_engine(server: Server, families: list[psutil.Process]) -> None:
    with Load(url(server)) as load:
        load.wait_for(4)
        families += server.processes()
        killed = time.monotonic()
        server.engine().send_signal(signal.SIGKILL)
        # 503, or nobody who listens: what a load balancer takes for the same.
        while (sample := server.health()) and sample.status == 200:
            assert time.monotonic() - killed < 120, sample
            time.sleep(0.05)
        assert server.wait_for("unhealthy").status == 503
        assert server.process.wait(120) == 1, "systemd starts again what failed"
        assert all_gone(families) == []
        # Nothing was taken for an answer that was none.
        assert {o.status for o in load.outcomes if o.whole} == {200}
        load.end()
    assert {o.status for o in load.outcomes} <= {0, 200, 500, 503}, load.outcomes
    with Load(url(server)) as load:
        recover(server, load, killed, "SIGKILL of the engine")


def kept_of(server: Server) -> int:
    return sum(counted["ok"] for counted in kept(server, "steady").values())


def test_sigkill_of_the_server(server: Server, families: list[psutil.Process]) -> None:
    server.write_access(key("steady"))
    server.reload()
    with Load(url(server)) as load, Steady(server, "steady") as steady:
        load.wait_for(4)
        families += server.processes()
        deadline = time.monotonic() + 300
        while not (written := kept_of(server)):
            assert time.monotonic() < deadline, server.tail()
            time.sleep(0.2)
        killed = time.monotonic()
        server.process.send_signal(signal.SIGKILL)
        assert server.process.wait(120) == -signal.SIGKILL
        ended = time.monotonic()
        # Neither the engine nor systemd ends it: there is no systemd here.
        assert all_gone(families) == []
        print(f"SIGKILL of the server: all gone after {time.monotonic() - killed:.1f} s")  # noqa: T201
        recover(server, load, killed, "SIGKILL of the server")
        steady.end()
    # What was written is kept, all that it answered afterwards is there, and nothing is twice.
    # One request was under way: it may have been answered and lost, or counted and not answered.
    after = sum(at > ended for at in steady.answered)
    assert after
    deadline = time.monotonic() + 120
    while kept_of(server) < written + after and time.monotonic() < deadline:
        time.sleep(0.2)
    assert written + after - 1 <= kept_of(server) <= len(steady.answered) + 1


def test_sigkill_of_the_server_while_its_engine_is_stopped(
    server: Server, families: list[psutil.Process]
) -> None:
    families += server.processes()
    server.engine().send_signal(signal.SIGSTOP)
    server.process.send_signal(signal.SIGKILL)
    assert server.process.wait(120) == -signal.SIGKILL
    assert all_gone(families) == []


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_sigkill_while_it_loads(
    make_server: Callable[..., Server], families: list[psutil.Process], method: str
) -> None:
    loading = make_server(start_method=method)
    loading.start()
    deadline = time.monotonic() + LOAD_TIMEOUT_S
    while not any("EngineCore" in name_of(process) for process in loading.processes()):
        assert time.monotonic() < deadline, loading.tail()
        time.sleep(0.05)
    families += loading.processes()
    loading.process.send_signal(signal.SIGKILL)
    assert loading.process.wait(120) == -signal.SIGKILL
    assert all_gone(families) == []


def test_an_engine_that_stands_still_for_a_while(server: Server) -> None:
    engine = server.engine()
    with Load(url(server)) as load:
        load.wait_for(4)
        engine.send_signal(signal.SIGSTOP)
        try:
            assert server.wait_for("stuck").status == 503
            with client(url(server)) as http:
                assert ask(http, KINDS[0], 2).status == 503
        finally:
            engine.send_signal(signal.SIGCONT)
        server.wait_for("healthy")
        load.wait_for(6)
    # Those that had been accepted were answered, late.
    assert {o.status for o in load.outcomes} <= {200, 503}
    server.wait_until_idle()


def test_sigterm_while_the_engine_stands_still(
    server: Server, families: list[psutil.Process]
) -> None:
    """It can't answer what it accepted, but it ends in time and leaves nothing."""
    families += server.processes()
    server.write_access()
    before = server.accepted()
    outcomes, threads = all_at_once(url(server), 4, 50)
    server.wait_for_accepted(before + 4)
    server.engine().send_signal(signal.SIGSTOP)
    server.wait_for("stuck")
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    # 20 s are for what runs (shutdown_timeout), 30 more are what the unit's TimeoutStopSec adds.
    # The rest is for a busy machine.
    server.process.wait(100)
    print(f"SIGTERM while stuck: ended after {time.monotonic() - began:.1f} s")  # noqa: T201
    for thread in threads:
        thread.join(60)
    assert len(outcomes) == 4, "no client waits for ever"


@pytest.fixture
def journaled(fallen: Server) -> Server:
    """It, as systemd tells that stderr is the journal."""
    if hasattr(fallen, "process"):
        fallen.stop()
    fallen.log.touch()
    there = fallen.log.stat()
    fallen.variables["JOURNAL_STREAM"] = f"{there.st_dev}:{there.st_ino}"
    fallen.have_healthy()
    return fallen


def test_workers_that_stand_still_and_die(
    journaled: Server, families: list[psutil.Process]
) -> None:
    """The engine's workers are processes of their own, below its own."""
    server = journaled
    families += server.processes()
    workers = [p for p in server.engine().children() if "Worker" in name_of(p)]
    assert workers, [name_of(p) for p in families]
    workers[0].send_signal(signal.SIGSTOP)
    try:
        outcomes, threads = all_at_once(url(server), 1, 2)
        sample = server.wait_for("stuck")
        assert "has not answered for" in sample.body["detail"]
        while (later := server.health()) and later.body["detail"] == sample.body["detail"]:
            time.sleep(0.1)
        assert later is not None
        assert later.status == 503
    finally:
        workers[0].send_signal(signal.SIGCONT)
    server.wait_for("healthy")
    for thread in threads:
        thread.join(300)
    assert [(o.status, o.whole) for o in outcomes] == [(200, True)]
    with Load(url(server)) as load:
        load.wait_for(4)
        killed = time.monotonic()
        workers[0].send_signal(signal.SIGKILL)
        while (sample := server.health()) and sample.status == 200:
            assert time.monotonic() - killed < 120, sample
        print(f"SIGKILL of a worker: unhealthy after {time.monotonic() - killed:.2f} s")  # noqa: T201
        assert server.process.wait(120) == 1
        print(f"SIGKILL of a worker: ended after {time.monotonic() - killed:.1f} s")  # noqa: T201
        load.end()
    assert "The process of a worker of the engine ended" in server.log.read_text(errors="replace")
    assert {o.status for o in load.outcomes if o.whole} == {200}
    # Those that waited for an answer were told why, whole or in their stream.
    assert 503 in {o.status for o in load.outcomes}
    _the_journal_has_levels(server)


def _the_journal_has_levels(server: Server) -> None:
    lines = server.log.read_text(errors="replace").splitlines()
    marked = [line for line in lines if line[:1] == "<" and line[1:2].isdigit() and line[2] == ">"]
    # All but what C++ and the interpreter print themselves.
    assert [line for line in lines if " vllm." in line or "llm_server" in line] == [
        line for line in marked if " vllm." in line or "llm_server" in line
    ]
    assert any(line.startswith("<6>INFO vllm.v1.engine.core (EngineCore): ") for line in marked)
    assert any(line.startswith("<2>CRITICAL llm_server: ") for line in marked)
    assert max(len(line.encode()) for line in marked) < 2048
