# SPDX-License-Identifier: Apache-2.0
"""The listening socket: an address, or a file."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from llm_server.errors import ConfigError
from llm_server.transport.listener import bind, bind_path


def test_an_address_that_is_taken_is_told() -> None:
    with bind("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}: Address"):
            bind("127.0.0.1", port)


def test_a_file_is_open_to_all_and_what_was_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    for _ in range(2):  # the second time as after a server that was killed
        with bind_path(path), socket.socket(socket.AF_UNIX) as client:
            assert path.stat().st_mode & 0o777 == 0o666
            client.connect(str(path))


def test_a_file_that_is_in_use_or_is_something_else_stays(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with bind_path(path), pytest.raises(ConfigError, match="Address already in use"):
        bind_path(path)
    other = tmp_path / "text"
    other.write_text("kept")
    with pytest.raises(ConfigError, match="another file is there"):
        bind_path(other)
    assert other.read_text() == "kept"
    with pytest.raises(ConfigError, match=r"uds: cannot listen on .*No such file"):
        bind_path(tmp_path / "none" / "api.sock")
