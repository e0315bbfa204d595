# SPDX-License-Identifier: Apache-2.0
"""Goes on with HTTP/1.1 where a client offers another protocol that this server does not speak.

Such an offer (`Upgrade: h2c`, as curl --http2 and Java's client make it) may be ignored, says
RFC 9110, 7.8. The parser below uvicorn takes the word for the deed: it stops after the head and
leaves the body unread.
"""

from __future__ import annotations

from typing import Any

import httptools

#: What the parser tells a protocol.
_EVENTS = (
    "on_message_begin",
    "on_url",
    "on_header",
    "on_headers_complete",
    "on_body",
    "on_message_complete",
)


class Parser:
    """In place of `httptools.HttpRequestParser`: an offer that is not taken is read over."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._parser: Any = httptools.HttpRequestParser(connection)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._parser, name)

    def feed_data(self, data: bytes) -> None:
        """Parses what has come.

        Raises:
            httptools.HttpParserUpgrade: a websocket begins, or a tunnel is asked for.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                if self._parser.get_method() == b"CONNECT" or self._connection.takes_upgrade():
                    raise
                data = data[upgrade.args[0] :]
                self._begin_again()
                if data:
                    continue
            return

    def _begin_again(self) -> None:
        """Reads the same head once more, without the offer, in silence."""
        listener = _Listener(self._connection)
        parser = httptools.HttpRequestParser(listener)
        lines = [self._parser.get_method() + b" / HTTP/" + self._parser.get_http_version().encode()]
        lines += [
            name + b": " + value for name, value in self._connection.headers if name != b"upgrade"
        ]
        self._parser = parser
        self._connection.begin_body()
        parser.feed_data(b"\r\n".join([*lines, b"", b""]))
        listener.hears = True


class _Listener:
    """Passes the parser's events on, those of a head that was heard already left out."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.hears = False

    def __getattr__(self, name: str) -> Any:
        if name not in _EVENTS:
            raise AttributeError(name)
        event = getattr(self._connection, name)
        # A request without a body is complete with its head.
        if name == "on_message_complete":
            return event

        def passed(*arguments: bytes) -> None:
            if self.hears:
                event(*arguments)

        return passed
