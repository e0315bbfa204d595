# SPDX-License-Identifier: Apache-2.0
"""What people's programs do with openai, anthropic, LangChain and LiteLLM, as they are released.

Runs in an environment that has them: `clients_battery.py URL MODEL chat|vectors`, with the key in
the variable API_KEY, and a key with bounds in BOUNDED_KEY. Prints a JSON object: for each check
null, or why it failed.
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

URL, MODEL, WHAT = sys.argv[1:4]
KEY = os.environ["API_KEY"]
WRONG = "wrong-key-0123456789"
QUESTION: list[Any] = [{"role": "user", "content": "Say hello."}]
SHORT: dict[str, Any] = {"model": MODEL, "messages": QUESTION, "max_tokens": 8}


def gpt(key: str = KEY, url: str = f"{URL}/v1") -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=0)


def claude(key: str = KEY) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=URL, api_key=key, max_retries=0)


def refused(kind: type[Exception], call: Callable[[], Any]) -> Any:
    try:
        answer = call()
    except kind as error:
        return error
    raise AssertionError(f"not refused: {answer!r}")


def openai_answers() -> None:
    assert gpt().chat.completions.create(**SHORT).choices[0].message.content
    pieces = list(gpt().chat.completions.create(**SHORT, stream=True))
    assert len(pieces) > 2
    assert gpt().models.retrieve(MODEL).id == MODEL
    error = refused(openai.NotFoundError, lambda: gpt().models.retrieve("none"))
    assert error.code == "model_not_found", error


def openai_wrong_key() -> None:
    error = refused(openai.AuthenticationError, gpt(WRONG).models.list)
    assert (error.code, error.type) == ("invalid_api_key", "invalid_request_error"), error
    assert "not known" in error.message
    assert error.request_id


def openai_base_url_without_version() -> None:
    error = refused(openai.NotFoundError, lambda: gpt(url=URL).chat.completions.create(**SHORT))
    assert "Did you mean /v1/chat/completions?" in error.message


def openai_what_is_left() -> None:
    client = gpt(os.environ["BOUNDED_KEY"])
    client.models.list()
    first = client.chat.completions.with_raw_response.create(**SHORT)
    second = client.chat.completions.with_raw_response.create(**SHORT)
    name = "x-ratelimit-remaining-requests"
    assert int(first.headers[name]) == 1, dict(first.headers)
    assert int(second.headers[name]) == 0
    error = refused(openai.RateLimitError, lambda: client.chat.completions.create(**SHORT))
    assert int(error.response.headers["retry-after"]) > 0


def anthropic_answers() -> None:
    answer = claude().messages.create(**SHORT)
    assert answer.content
    assert answer._request_id, "the header of that name"
    with claude().messages.stream(**SHORT) as stream:
        assert "".join(stream.text_stream)


def anthropic_errors() -> None:
    error = refused(
        anthropic.NotFoundError, lambda: claude().messages.create(**SHORT | {"model": "none"})
    )
    assert error.body["type"] == "error", error.body
    assert error.body["error"]["type"] == "not_found_error"
    assert error.request_id == error.body["request_id"]
    error = refused(anthropic.AuthenticationError, lambda: claude(WRONG).messages.create(**SHORT))
    assert error.body["error"]["type"] == "authentication_error"


def langchain_answers() -> None:
    from langchain_openai import ChatOpenAI

    chat = ChatOpenAI(model=MODEL, base_url=f"{URL}/v1", api_key=KEY, max_tokens=8)
    assert chat.invoke("Say hello.").content
    assert len(list(chat.stream("Say hello."))) > 2


def litellm_answers() -> None:
    import litellm

    asked = {"model": f"openai/{MODEL}", "messages": QUESTION, "max_tokens": 8}
    asked |= {"api_base": f"{URL}/v1", "num_retries": 0}
    assert litellm.completion(**asked, api_key=KEY).choices[0].message.content
    assert len(list(litellm.completion(**asked, api_key=KEY, stream=True))) > 2
    refused(litellm.AuthenticationError, lambda: litellm.completion(**asked, api_key=WRONG))
    through = asked | {"model": f"anthropic/{MODEL}", "api_base": URL}
    assert litellm.completion(**through, api_key=KEY).choices[0].message.content


def langchain_vectors() -> None:
    from langchain_openai import OpenAIEmbeddings

    made = OpenAIEmbeddings(
        model=MODEL, base_url=f"{URL}/v1", api_key=KEY, check_embedding_ctx_length=False
    ).embed_documents([f"Text {number}" for number in range(1000)])
    assert len(made) == 1000
    assert len({len(vector) for vector in made}) == 1
    assert made[0] != made[1]


CHECKS: dict[str, tuple[Callable[[], None], ...]] = {
    "chat": (
        openai_answers,
        openai_wrong_key,
        openai_base_url_without_version,
        openai_what_is_left,
        anthropic_answers,
        anthropic_errors,
        langchain_answers,
        litellm_answers,
    ),
    "vectors": (langchain_vectors,),
}


def main() -> None:
    found: dict[str, str | None] = {}
    for check in CHECKS[WHAT]:
        try:
            check()
        except Exception:
            found[check.__name__] = traceback.format_exc()
        else:
            found[check.__name__] = None
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
