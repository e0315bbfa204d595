# SPDX-License-Identifier: Apache-2.0
"""Whatever a service of the host answers is an answer, or none that can be read."""

from __future__ import annotations

import socket
import threading

import pytest
from llm_dashboard.local import Fetch, UnavailableError

JSON = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
ENDS_EARLY = b'Transfer-Encoding: chunked\r\n\r\n64\r\n{"st'


def fetched(answer: bytes) -> object:
    """What is made of exactly these bytes, behind which the connection ends."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            return Fetch(60)(f"http://127.0.0.1:{listening.getsockname()[1]}/health")
        finally:
            serving.join()


@pytest.mark.parametrize("status", [b"200 OK", b"503 Service Unavailable"])
def test_a_body_is_read_also_of_a_failure(status: bytes) -> None:
    body = b'{"status": "loading"}'
    assert fetched(b"HTTP/1.1 %s\r\n" % status + JSON % (len(body), body)) == {"status": "loading"}


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n" + ENDS_EARLY, "IncompleteRead"),
        (b"HTTP/1.1 503 Service Unavailable\r\n" + ENDS_EARLY, "status 503"),
        (b"no HTTP at all\r\n\r\n", "no HTTP at all"),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", "more than 100 headers"),
        (b"HTTP/1.1 200 OK\r\n" + JSON % (4, b"text"), "Expecting value"),
        (b"HTTP/1.1 500 Oops\r\n" + JSON % (4, b"text"), "status 500"),
        (b"", "closed connection"),
    ],
)
def test_what_cannot_be_read_is_no_answer(answer: bytes, said: str) -> None:
    with pytest.raises(UnavailableError, match=said):
        fetched(answer)
