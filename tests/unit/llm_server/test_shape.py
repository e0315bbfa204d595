# SPDX-License-Identifier: Apache-2.0
"""What an error of any app becomes before a client sees it."""

from __future__ import annotations

import json

import pytest
from llm_server.asgi.error_shape import error_of, first_error, last_events, stream_error
from llm_server.errors import whole_body

SHAPE = {"message", "type", "param", "code", "request_id"}


def said(message: object, status: int = 400, *, inside: bool = True) -> dict[str, object]:
    body = json.dumps({"error": {"message": message, "type": "T", "code": 1}}).encode()
    return error_of(body, status, "id", inside=inside)[1]


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Loading /var/lib/llm-server/models/x failed", "Loading a file failed"),
        ("in /usr/lib/python3/vllm/engine.py, line 3", "in a file, line 3"),
        ("open '/etc/passwd'", "open 'a file'"),
        ("no /settings.yaml", "no a file"),
        ("see /v1/models and /health", "see /v1/models and /health"),
        ("application/json, 1/2/3, and/or", "application/json, 1/2/3, and/or"),
        ("see https://docs.vllm.ai/en/latest/x.html", "see https://docs.vllm.ai/en/latest/x.html"),
        ("say </think> or <a/>", "say </think> or <a/>"),
        ("Pointer '/definitions/Foo' does not exist", "Pointer '/definitions/Foo' does not exist"),
        ("at #/$defs/a/b and /properties/x/0", "at #/$defs/a/b and /properties/x/0"),
        (
            "n must be at most 1, got 2. To increase this limit, set the VLLM_MAX_N_SEQUENCES"
            " environment variable.",
            "n must be at most 1, got 2. To increase this limit, set"
            " llm_server_limits.max_sequences.",
        ),
        ("bad\nTraceback (most recent call last):\n  File x", "bad"),
    ],
)
def test_paths_stay_here(text: str, seen: str) -> None:
    assert said(text)["message"] == seen


@pytest.mark.parametrize(
    ("status", "seen"),
    [
        (500, "The server failed."),
        (501, "Not Implemented."),
        (502, "Bad Gateway."),
        (503, "Service Unavailable."),
        (599, "Error."),
    ],
)
def test_failures_of_the_app_are_not_told(status: int, seen: str) -> None:
    error = said("KeyError: secret", status)
    assert (error["message"], error["code"], set(error)) == (seen, status, SHAPE)


@pytest.mark.parametrize(
    ("text", "status", "seen"),
    [
        ("Regex compilation timed out after 5s. Pattern: secret", 400, "too long to compile"),
        ("Chat template rendering timed out after 30.0s.", 503, "Service Unavailable"),
        ("[1:2:3] /project/cpp/grammar_functor.cc:3567: Check failed", 400, "cannot be compiled"),
        ("'utf-8' codec can't encode: surrogates not allowed", 400, "cannot be sent"),
    ],
)
def test_what_is_not_the_servers_fault(text: str, status: int, seen: str) -> None:
    body = json.dumps({"error": {"message": text, "type": "T", "code": 500}}).encode()
    found, error = error_of(body, 500, "id", inside=True)
    assert (found, error["code"]) == (status, status)
    assert seen in error["message"]
    assert "secret" not in error["message"]
    assert error_of(body, 500, "id", inside=False)[0] == 500
    event = first_error(b"data: " + body + b"\n\n", "id")
    assert event is not None and event[0] == status


def test_what_this_server_says_itself_is_told() -> None:
    assert said("loading", 503, inside=False)["message"] == "loading"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"detail": [{"msg": "bad"}]}', b"\xff"])
@pytest.mark.parametrize("status", [400, 499, 422])
def test_whatever_an_app_answers(body: bytes, status: int) -> None:
    error = error_of(body, status, "id", inside=True)[1]
    assert set(error) == SHAPE
    assert error["message"]


def test_errors_in_a_stream() -> None:
    chunk = b'data: {"error": {"message": "see /etc/x/y", "type": "T", "code": 400}}\n\n'
    line, rest = stream_error(chunk, "id").split(b"\n", 1)
    error = json.loads(line.removeprefix(b"data: "))["error"]
    assert (error["message"], error["code"], error["request_id"]) == ("see a file", 400, "id")
    assert rest == b"\n"
    masked = stream_error(b'data: {"error": "secret"}\n\n', "id")
    assert b"secret" not in masked
    assert b'"code": 500' in masked
    assert stream_error(b'data: {"error', "id") == b'data: {"error'


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (413, "request_too_large"),
        (422, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
    ],
)
def test_the_anthropic_api_has_a_shape_of_its_own(status: int, kind: str) -> None:
    error = {"message": "m", "type": "T", "param": None, "code": status, "request_id": "id"}
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        whole = whole_body(error, status, path)
        assert (whole["type"], whole["request_id"]) == ("error", "id")
        assert (whole["error"]["type"], whole["error"]["message"]) == (kind, "m")
    for path in ("/v1/messagesx", "/v1/chat/completions", "/"):
        assert whole_body(error, status, path) == {"error": error}


def test_the_end_of_a_stream_is_told_as_its_kind_of_stream_does() -> None:
    assert last_events("/v1/messages", {"code": 504}, 504).startswith(b"event: error\ndata: {")
    assert last_events("/generate", {"code": 504}, 504).endswith(b"\n\ndata: [DONE]\n\n")
