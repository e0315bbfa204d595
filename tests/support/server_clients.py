# SPDX-License-Identifier: Apache-2.0
"""What people's programs do: the official clients of OpenAI and Anthropic against a server.

Runs in vLLM's own Python, which has both clients: `server_clients.py URL MODEL [tools]`, with the
key in the variable API_KEY; `tools` are the checks for a server that was started with a parser of
tool calls. Prints a JSON object: for each check null, or why it failed.
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


def background_refused() -> None:
    """What nobody waits for would be bounded by nothing."""
    refused(
        openai.BadRequestError,
        lambda: client.responses.create(model=MODEL, input="x", background=True),
    )


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


#: With `strict` the arguments are held to the schema, so that the smallest model gets them right.
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "describe_city",
        "description": "Looks a city up",
        "strict": True,
        "parameters": CITY,
    },
}


def _tools(choice: Any, **more: Any) -> Any:
    return ask(tools=[TOOL], tool_choice=choice, max_tokens=100, **more)


def _called(choice: Any) -> None:
    (call,) = _tools(choice).choices[0].message.tool_calls
    assert call.id
    assert call.function.name == "describe_city"
    fits(call.function.arguments)


def tool_by_name() -> None:
    _called({"type": "function", "function": {"name": "describe_city"}})


def tool_required() -> None:
    _called("required")


def tool_streamed() -> None:
    stream = _tools({"type": "function", "function": {"name": "describe_city"}}, stream=True)
    parts = [part for chunk in stream for part in chunk.choices[0].delta.tool_calls or ()]
    assert len(parts) > 2, "the arguments come piece by piece"
    assert [part.function.name for part in parts if part.function.name] == ["describe_city"]
    fits("".join(part.function.arguments or "" for part in parts))


def tool_none() -> None:
    answer = _tools("none")
    assert not answer.choices[0].message.tool_calls
    assert answer.choices[0].message.content


def tool_auto() -> None:
    """Whether so small a model calls one is its own affair: the server takes the choice."""
    assert _tools("auto").choices[0].finish_reason in ("stop", "length", "tool_calls")


def tool_result() -> None:
    """The second half of the round: what the tool said goes back to the model."""
    call = {"name": "describe_city", "arguments": '{"city": "Paris", "country": "France"}'}
    answer = ask(
        messages=[
            *QUESTION,
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "call-1", "type": "function", "function": call}],
            },
            {"role": "tool", "tool_call_id": "call-1", "content": "It has the Eiffel Tower."},
        ],
        tools=[TOOL],
    )
    assert answer.usage.prompt_tokens > 0


def tool_unknown() -> None:
    refused(
        openai.BadRequestError,
        lambda: _tools({"type": "function", "function": {"name": "other"}}),
    )


CHECKS = (
    models,
    chat,
    chat_streamed,
    completion,
    responses,
    background_refused,
    structured_output,
    embeddings_refused,
    wrong_key,
    unknown_model,
    too_long,
    anthropic_message,
    anthropic_streamed,
    anthropic_wrong_key,
)


TOOL_CHECKS = (
    tool_by_name,
    tool_required,
    tool_streamed,
    tool_none,
    tool_auto,
    tool_result,
    tool_unknown,
)


def main() -> None:
    results: dict[str, str | None] = {}
    for check in TOOL_CHECKS if "tools" in sys.argv[3:] else CHECKS:
        try:
            check()
        except Exception:
            results[check.__name__] = traceback.format_exc(limit=-3)
        else:
            results[check.__name__] = None
    sys.stdout.write(json.dumps(results))


if __name__ == "__main__":
    main()
