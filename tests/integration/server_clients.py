# SPDX-License-Identifier: Apache-2.0
"""What people's programs do: the official clients of OpenAI and Anthropic against a server.

Runs in vLLM's own Python, which has both clients: `server_clients.py URL MODEL`, with the key in
the variable API_KEY. Prints a JSON object: for each check null, or why it failed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

import anthropic
import openai

URL, MODEL = sys.argv[1:3]
KEY = os.environ["API_KEY"]
QUESTION: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 20},
        "country": {"enum": ["France", "Japan"]},
    },
    "required": ["city", "country"],
    "additionalProperties": False,
}

client = openai.OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
claude = anthropic.Anthropic(base_url=URL, api_key=KEY, max_retries=0)


def ask(**more: Any) -> Any:
    return client.chat.completions.create(
        **{"model": MODEL, "messages": QUESTION, "temperature": 0, "max_tokens": 60} | more
    )


def fits(text: str) -> None:
    found = json.loads(text)
    assert set(found) == {"city", "country"}, found
    assert found["country"] in ("France", "Japan"), found


def refused(kind: type[Exception], call: Callable[[], Any]) -> None:
    try:
        answer = call()
    except kind as error:
        assert isinstance(error, openai.APIStatusError | anthropic.APIStatusError)
        assert "request_id" in error.response.json()["error"], error.response.text
    else:
        raise AssertionError(f"not refused: {answer!r}")


def models() -> None:
    assert [model.id for model in client.models.list()] == [MODEL]


def chat() -> None:
    answer = ask()
    assert "Paris" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 1


def chat_streamed() -> None:
    pieces = list(ask(stream=True, stream_options={"include_usage": True}))
    words = [p.choices[0].delta.content or "" for p in pieces if p.choices]
    assert len(words) > 3
    assert "Paris" in "".join(words)
    assert pieces[-1].usage.completion_tokens > 1


def completion() -> None:
    answer = client.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=8
    )
    assert "Paris" in answer.choices[0].text


def responses() -> None:
    answer = client.responses.create(
        model=MODEL, input=QUESTION[0]["content"], temperature=0, max_output_tokens=20
    )
    assert "Paris" in answer.output_text


def structured_output() -> None:
    schema = {"name": "city", "schema": CITY, "strict": True}
    answer = ask(response_format={"type": "json_schema", "json_schema": schema})
    fits(answer.choices[0].message.content)


def embeddings_refused() -> None:
    """The model has none: an error of the client's, and no failure of the server's."""
    refused(openai.NotFoundError, lambda: client.embeddings.create(model=MODEL, input="x"))


def wrong_key() -> None:
    stranger = client.with_options(api_key=KEY + "x")
    refused(openai.AuthenticationError, lambda: list(stranger.models.list()))


def unknown_model() -> None:
    refused(openai.NotFoundError, lambda: ask(model="other"))


def too_long() -> None:
    refused(openai.BadRequestError, lambda: ask(max_tokens=5000))


def anthropic_message() -> None:
    answer = claude.messages.create(
        model=MODEL, messages=QUESTION, max_tokens=20, extra_body={"temperature": 0}
    )
    assert "Paris" in answer.content[0].text  # type: ignore[union-attr]
    assert answer.usage.output_tokens > 1


def anthropic_streamed() -> None:
    with claude.messages.stream(
        model=MODEL, messages=QUESTION, max_tokens=20, extra_body={"temperature": 0}
    ) as stream:
        words = list(stream.text_stream)
    assert len(words) > 3
    assert "Paris" in "".join(words)


def anthropic_wrong_key() -> None:
    stranger = claude.with_options(api_key=KEY + "x")
    refused(
        anthropic.AuthenticationError,
        lambda: stranger.messages.create(model=MODEL, messages=QUESTION, max_tokens=20),
    )


CHECKS = (
    models,
    chat,
    chat_streamed,
    completion,
    responses,
    structured_output,
    embeddings_refused,
    wrong_key,
    unknown_model,
    too_long,
    anthropic_message,
    anthropic_streamed,
    anthropic_wrong_key,
)


def main() -> None:
    results: dict[str, str | None] = {}
    for check in CHECKS:
        try:
            check()
        except Exception:
            results[check.__name__] = traceback.format_exc(limit=-3)
        else:
            results[check.__name__] = None
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
