# SPDX-License-Identifier: Apache-2.0
"""Several API requests in one: multipart/mixed parts that each hold an HTTP request."""

from __future__ import annotations

import json
import secrets
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from urllib.parse import parse_qsl, urlsplit

from emulator.errors import ApiError, not_found
from emulator.serve.dispatch import Answer, Dispatcher, api_path


def answer(
    dispatcher: Dispatcher, content_type: str, authorization: str | None, body: bytes
) -> tuple[str, bytes]:
    """Content type and body of the answer.

    Raises:
        ApiError: 400 where the request is no multipart.
    """
    header = f"Content-Type: {content_type}\r\nMIME-Version: 1.0\r\n\r\n".encode()
    message = BytesParser().parsebytes(header + body)
    if not message.is_multipart():
        raise ApiError(400, "badRequest", "A batch must be multipart/mixed.")
    boundary = f"batch_{secrets.token_hex(16)}"
    parts = []
    for part in message.get_payload():
        if isinstance(part, Message):
            parts.append(_part(dispatcher, part, authorization, boundary))
    text = "".join(parts) + f"--{boundary}--\r\n"
    return f"multipart/mixed; boundary={boundary}", text.encode()


def _part(dispatcher: Dispatcher, part: Message, authorization: str | None, boundary: str) -> str:
    raw = part.get_payload(decode=True)
    status, content = _request(dispatcher, raw if isinstance(raw, bytes) else b"", authorization)
    identity = part.get("Content-ID", "").strip("<>")
    text = json.dumps(content)
    return (
        f"--{boundary}\r\nContent-Type: application/http\r\n"
        f"Content-ID: <response-{identity}>\r\n\r\n"
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        "Content-Type: application/json; charset=UTF-8\r\n"
        f"Content-Length: {len(text.encode())}\r\n\r\n{text}\r\n"
    )


def _request(dispatcher: Dispatcher, raw: bytes, authorization: str | None) -> Answer:
    line, _, rest = raw.lstrip().partition(b"\n")
    words = line.decode().split()
    if len(words) < 2:
        return 400, ApiError(400, "badRequest", "A part must hold an HTTP request.").body()
    inner = BytesParser().parsebytes(rest)
    headers = {name.lower(): value for name, value in inner.items()}
    if authorization:
        headers.setdefault("authorization", authorization)
    url = urlsplit(words[1])
    path = api_path(url.path)
    if path is None:
        return 404, not_found(url.path).body()
    payload = inner.get_payload(decode=True)
    return dispatcher.answer(
        words[0],
        path,
        parse_qsl(url.query, keep_blank_values=True),
        headers,
        payload if isinstance(payload, bytes) else b"",
    )
